/** The wire on `@anthropic-ai/sdk`: the SDK sends the requests, and this library reads the responses. */
import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { hasProperty, isNumber, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as SemVer from "effect/SemVer"
import * as Claude from "./Claude.ts"
import { type ClaudeError, UnexpectedResponse } from "./ClaudeError.ts"
import { warnHere } from "./emitHere.ts"
import type { Params } from "./Message.ts"
import * as Refuse from "./options.ts"
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
 * `Options`, where each field may also be a `Config` that is read once, when the layer is built. An effect that reads
 * the key for each attempt is passed on unchanged.
 */
export type ConfigOptions = Configured.Configurable<Options>

/** An API key or a bearer token, or an effect that reads one for each attempt. */
export type Credential = Key.Credential

/** The oldest version of the SDK that this library is tested with. */
export const oldestTested = "1.14.0"

/**
 * Turns any failure into a `ClaudeError`: an error of the SDK or of `fetch`, an SSE error event (`{ error: body }`),
 * or any other value. Looks at the status, type, error code and chain of causes, never at error classes. To read a
 * `retry-after` that is a date, it needs `context.now` (milliseconds since the epoch) or a `date` header.
 */
export const classify: (failure: unknown, context?: Partial<Known>) => ClaudeError = (failure, context) =>
  classifyFailure(failure, { now: NaN, ...context })

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/** Provides `Claude` over the SDK. Throws a `RangeError` that explains which option is invalid. */
export const layer = (options: Options): Layer.Layer<Claude.Claude> => {
  Refuse.unknown("Anthropic", options, Sdk.fields)
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
 * Like `layer`, but reads missing options from the configuration when the layer is built: the key from
 * `ANTHROPIC_API_KEY`, or else a token from `ANTHROPIC_AUTH_TOKEN`, and the address from `ANTHROPIC_BASE_URL`. Fails
 * with a `ConfigError` that names the missing or invalid option and never shows a key.
 */
export const layerConfig = (config: ConfigOptions = {}): Layer.Layer<Claude.Claude, Config.ConfigError> =>
  Configured.layer("Anthropic", Sdk.fields, config, layer)

// -----------------------------------------------------------------------------
// Wire
// -----------------------------------------------------------------------------

const wire = (sender: Sdk.Sender, mayEndEarly: boolean): Claude.Wire => ({
  open: ({ params }) =>
    Effect.mapError(
      Effect.map(open(sender, mayEndEarly, params), (connection) => ({
        ...connection,
        read: Effect.mapError(connection.read, (error) => Cause.isDone(error) ? error : sender.mask(error))
      })),
      sender.mask
    ),
  countTokens: (params) =>
    asked(sender, params.model, (key) => (signal) => sender.count(params, signal, key)).pipe(
      Effect.flatMap((counted) =>
        hasProperty(counted, "input_tokens") && isNumber(counted.input_tokens)
          ? Effect.succeed(counted.input_tokens)
          : Effect.fail(new UnexpectedResponse({ model: params.model, detail: "the token count has no input_tokens" }))
      )
    ),
  models: listed(sender)
})

/** Sends a request, and returns the connection once the response headers have arrived. */
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
  // After a complete message, wait for the end of the body so that the socket can be reused. Otherwise close it now.
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

/** Reads the next bytes of a body. An interrupted read loses no bytes: the next read gets them. */
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

/** The most pages of the model list that are read, of up to 1,000 models each. Later pages are ignored. */
const mostPages = 10

/** Reads the model list page by page, starting after the model with the id `after`. */
const listed = (sender: Sdk.Sender, pages = mostPages, after?: string): Claude.Wire["models"] =>
  Effect.flatMap(asked(sender, undefined, (key) => (signal) => sender.models(after, signal, key)), (page) => {
    const { data, has_more: more, last_id: last } = { data: undefined, has_more: false, last_id: null, ...Object(page) }
    if (!Array.isArray(data) || !data.every(isModel) || data.length === 0) {
      return Effect.fail(new UnexpectedResponse({ detail: "the response is not a list of models" }))
    }
    return more === true && isString(last) && pages > 1
      ? Effect.map(listed(sender, pages - 1, last), (rest) => [...data, ...rest])
      : Effect.succeed(data)
  })

/** Checks only `id` and `lifecycle`, because `Models.refresh` accepts any value in the other fields. */
const isModel = (value: unknown): value is ModelInfo =>
  hasProperty(value, "id") && isString(value.id) && hasProperty(value, "lifecycle") &&
  ["active", "deprecated", "retired"].includes(String(value.lifecycle))

/** Sends a request whose response is one JSON body. */
const asked = (
  sender: Sdk.Sender,
  model: string | undefined,
  request: Asks<unknown>
): Effect.Effect<unknown, ClaudeError> =>
  Effect.mapError(Clock.clockWith((clock) => send(sender, model, clock, request)), sender.mask)

/**
 * Sends a request with the attempt's key. A function that does not declare `signal` spares the `AbortController` that
 * Effect creates for it.
 */
type Asks<A> = (key: string | undefined) => (signal: AbortSignal) => PromiseLike<A>

/** Sends a request. A failure without a response is classified as a network, key or request error. */
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
  // After a 401 the SDK drops its token, but its retries are off. So send again once: that reads a new key or token.
  return sender.renews
    ? Effect.catch(
      once,
      (error) => error._tag === "AuthenticationFailed" && error.status === 401 ? once : Effect.fail(error)
    )
    : once
}

/** The reason passed to `abort`. Without a reason, `abort` creates an error, which costs ten times as much. */
const closed = "the answer is not read any further"

type Reader = ReadableStreamDefaultReader<Uint8Array>

/**
 * After a complete message, waits up to a second for the body to end, and otherwise closes the socket. Uses a plain
 * timer, because an effect needs three fibers.
 */
const drain = (reader: Reader, controller: AbortController): void => {
  const late = setTimeout(() => controller.abort(closed), 1000)
  // `unref` lets the process exit before the timer fires. In browsers a timer is a number.
  if (typeof late === "object") late.unref()
  reader.read().then(
    ({ done }) => {
      clearTimeout(late)
      if (!done) controller.abort(closed)
    },
    () => clearTimeout(late)
  )
}

/** Warns in the log of each layer if the version of the installed SDK is below the oldest tested one, or unreadable. */
const warnIfOld = Effect.suspend(() => {
  const oldest = SemVer.parseUnsafe(oldestTested)
  const old = Result.map(SemVer.parse(Sdk.version), (version) => SemVer.isLessThan(version, oldest))
  if (!Result.getOrElse(old, () => true)) return Effect.void
  const message =
    `@anthropic-ai/sdk is ${Sdk.version}, older than the oldest tested version (${oldestTested}): upgrade it`
  return warnHere("OldSdk", message)
})
