/**
 * The wire of `@anthropic-ai/sdk`: sends with it, and reads what comes back.
 */
import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { hasProperty, isNumber, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as SemVer from "effect/SemVer"
import * as Claude from "./Claude.ts"
import { type ClaudeError, TimedOut, UnexpectedResponse } from "./ClaudeError.ts"
import { warnHere } from "./emitHere.ts"
import type { Params } from "./Message.ts"
import { classify as classifyFailure, type Context as Known } from "./wire/classify.ts"
import * as Configured from "./wire/configured.ts"
import * as Key from "./wire/credential.ts"
import { connect } from "./wire/response.ts"
import * as Sdk from "./wire/sdkClient.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** How to reach the API. */
export type Options = Sdk.Options

/**
 * The same, each of which may be a `Config`, which is read once. Where an effect reads a key for each attempt, `layerConfig`
 * takes it as it is.
 */
export type ConfigOptions = Configured.Configurable<Options>

/** A key or a token, or an effect that reads it for each attempt. */
export type Credential = Key.Credential

/** The oldest SDK this was tested with. */
export const oldestTested = "1.14.0"

/**
 * The one kind of error that `failure` is: an error of the SDK or of `fetch`, an SSE error event (`{ error: body }`), or
 * anything else. Looks at status, type, error code and the chain of causes, never at classes. A `retry-after` that is a
 * date needs `now`, or a `date` header beside it.
 */
export const classify: (failure: unknown, context?: Partial<Known>) => ClaudeError = (failure, context) =>
  classifyFailure(failure, { now: NaN, ...context })

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/** `Claude` by way of the SDK. Throws a `RangeError` with a sentence if the options cannot be meant. */
export const layer = (options: Options): Layer.Layer<Claude.Claude> => {
  const sender = Sdk.make(options)
  return Layer.effect(
    Claude.Claude,
    Effect.tap(
      Claude.make(wire(sender, options.messageStop === "optional")),
      (claude) => Effect.provideService(warnIfOld, Claude.Claude, claude)
    )
  )
}

/**
 * The same, with what is not given read from the configuration when the layer is built: the key from `ANTHROPIC_API_KEY`,
 * or a token from `ANTHROPIC_AUTH_TOKEN`, and the address from `ANTHROPIC_BASE_URL` if that is set. Fails with a
 * `ConfigError` that says what is missing or wrong, and never shows a key.
 */
export const layerConfig = (config: ConfigOptions = {}): Layer.Layer<Claude.Claude, Config.ConfigError> =>
  Configured.layer("Anthropic", config, layer)

// -----------------------------------------------------------------------------
// Wire
// -----------------------------------------------------------------------------

/** The wire over a sender. */
const wire = (sender: Sdk.Sender, mayEndEarly: boolean): Claude.Wire => ({
  open: ({ params }) => open(sender, mayEndEarly, params),
  countTokens: (params) =>
    asked(sender, params.model, (key) => (signal) => sender.count(params, signal, key)).pipe(
      Effect.flatMap((counted) =>
        hasProperty(counted, "input_tokens") && isNumber(counted.input_tokens)
          ? Effect.succeed(counted.input_tokens)
          : Effect.fail(new UnexpectedResponse({ model: params.model, detail: "it has no input_tokens" }))
      )
    ),
  models: listed(sender)
})

/** Sends a request, and gives the connection when the headers of an answer are there. */
const open = Effect.fnUntraced(function*(
  sender: Sdk.Sender,
  mayEndEarly: boolean,
  params: Params
): Effect.fn.Return<Claude.Connection, ClaudeError, Scope.Scope> {
  const { model } = params
  const clock = yield* Clock.Clock
  const controller = new AbortController()
  let reader: Reader | undefined
  let whole = false
  // An answer that is complete leaves its connection to the next, if the body ends now; any other closes it at once.
  const close = Effect.sync(() => whole && reader !== undefined ? drain(reader, controller) : controller.abort(closed))
  yield* Scope.addFinalizer(yield* Scope.Scope, close)
  const response = yield* send(sender, model, clock, (key) => () => sender.message(params, controller.signal, key))

  const header = (name: string) => response.headers.get(name) ?? undefined
  const broken = (failure: unknown) =>
    classifyFailure(failure, { model, requestId: header("request-id"), now: clock.currentTimeMillisUnsafe() })
  reader = response.body?.getReader()
  return yield* connect({
    status: response.status,
    header,
    model,
    now: clock.currentTimeMillisUnsafe(),
    mayEndEarly,
    onWhole: () => {
      whole = true
    },
    bytes: reader === undefined ? Effect.undefined : chunks(reader, broken)
  })
})

/** The next bytes of a body. A read that is interrupted takes nothing: what comes after it is left to the next read. */
const chunks = (
  reader: Reader,
  broken: (failure: unknown) => ClaudeError
): Effect.Effect<Uint8Array | undefined, ClaudeError> => {
  let pending: ReturnType<Reader["read"]> | undefined
  let chunk: Uint8Array | undefined
  const taken = Effect.sync(() => {
    pending = undefined
    return chunk
  })
  return Effect.callback((resume) => {
    pending ??= reader.read()
    pending.then(
      ({ value }) => {
        chunk = value
        resume(taken)
      },
      (failure) => resume(Effect.fail(broken(failure)))
    )
  })
}

/** The most pages of models that are read; each has up to 1000. */
const mostPages = 10

/** All pages of the list of models. */
const listed = (sender: Sdk.Sender, pages = mostPages, after?: string): Claude.Wire["models"] =>
  Effect.flatMap(asked(sender, undefined, (key) => (signal) => sender.models(after, signal, key)), (page) => {
    const { data, has_more: more, last_id: last } = { data: undefined, has_more: false, last_id: null, ...Object(page) }
    if (!Array.isArray(data) || !data.every(isModel) || data.length === 0) {
      return Effect.fail(new UnexpectedResponse({ detail: "it is not a list of models" }))
    }
    return more === true && isString(last) && pages > 1
      ? Effect.map(listed(sender, pages - 1, last), (rest) => [...data, ...rest])
      : Effect.succeed(data)
  })

/** Whether it is a model, as far as we read it. */
const isModel = (value: unknown): value is ModelInfo =>
  hasProperty(value, "id") && isString(value.id) && hasProperty(value, "lifecycle") &&
  ["active", "deprecated", "retired"].includes(String(value.lifecycle))

/** A request that is answered in one piece, in 30 seconds. */
const asked = (
  sender: Sdk.Sender,
  model: string | undefined,
  request: Asks<unknown>
): Effect.Effect<unknown, ClaudeError> =>
  Effect.timeoutOrElse(Clock.clockWith((clock) => send(sender, model, clock, request)), {
    duration: "30 seconds",
    orElse: () => Effect.fail(new TimedOut({ model, scope: "attempt" }))
  })

/** Asks the API, with the key that was read for it. One that takes no signal costs no `AbortController`. */
type Asks<A> = (key: string | undefined) => (signal: AbortSignal) => PromiseLike<A>

/** Sends. What fails before there is a response is an error of the way to it, or of what we wanted to send. */
const send = <A>(
  sender: Sdk.Sender,
  model: string | undefined,
  clock: Clock.Clock,
  request: Asks<A>
): Effect.Effect<A, ClaudeError> => {
  const sendWith = (key: string | undefined) =>
    Effect.tryPromise({
      try: request(key),
      catch: (failure) => classifyFailure(failure, { model, sent: false, now: clock.currentTimeMillisUnsafe() })
    })
  const once = sender.credential === undefined
    ? sendWith(undefined)
    : Effect.flatMap(Key.read(sender.credential, model), sendWith)
  // The SDK forgets a token that was refused, but leaves it to its own retries to ask for another.
  return sender.renews
    ? Effect.catch(
      once,
      (error) => error._tag === "AuthenticationFailed" && error.status === 401 ? once : Effect.fail(error)
    )
    : once
}

/** Why a request is aborted. Given, because `abort` makes an error otherwise, which costs ten times as much. */
const closed = "the answer is not read any further"

type Reader = ReadableStreamDefaultReader<Uint8Array>

/** Waits a second for the end of a body that has nothing more to say. A plain timer: three fibers would wait for it. */
const drain = (reader: Reader, controller: AbortController): void => {
  const late = setTimeout(() => controller.abort(closed), 1000)
  // Nobody waits for it: a process may end before (timers are numbers in browsers).
  if (typeof late === "object") late.unref()
  reader.read().then(
    ({ done }) => {
      clearTimeout(late)
      if (!done) controller.abort(closed)
    },
    () => clearTimeout(late)
  )
}

let warned = false

/** Says once in the life of the process that the SDK is older than any this was tested with. */
const warnIfOld = Effect.suspend(() => {
  const old = Result.map(
    SemVer.parse(Sdk.version),
    (version) => SemVer.isLessThan(version, SemVer.parseUnsafe(oldestTested))
  )
  if (warned || !Result.getOrElse(old, () => true)) return Effect.void
  warned = true
  const message = `@anthropic-ai/sdk is ${Sdk.version}, and the oldest that was tested is ${oldestTested}: upgrade it`
  return warnHere("OldSdk", message)
})
