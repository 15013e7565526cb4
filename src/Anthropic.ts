/** `Claude` on `@anthropic-ai/sdk`, without the SDK's retries and without its stream reader. */
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

/** Credentials, address and `fetch`. Exactly one of `apiKey`, `authToken` and `client` must be set. */
export type Options = Sdk.Options

/**
 * `Options`, where each field may also be a `Config`. A `Config` is read once, when the layer is built; an `Effect` as
 * `apiKey` or `authToken` still runs for each attempt.
 */
export type ConfigOptions = Configured.Configurable<Options>

/** An API key or a bearer token, or an effect that reads one for each attempt. */
export type Credential = Key.Credential

/** The oldest version of the SDK that this library is tested with. */
export const oldestTested = "1.14.0"

/**
 * Turns any failure into a `ClaudeError`: an error of the SDK or of `fetch`, an SSE error event (`{ error: body }`),
 * or any other value. Reads only properties, such as the status, and never uses `instanceof`, because a program may
 * contain several copies of the SDK. A `retry-after` that is a date is ignored unless `context.now` (milliseconds since
 * the epoch) or a `date` header tells the time.
 */
export const classify: (failure: unknown, context?: Partial<Known>) => ClaudeError = (failure, context) =>
  classifyFailure(failure, { now: NaN, ...context })

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/** Provides `Claude` over the SDK. Throws a `RangeError` that explains which option is invalid. */
export const layer = (options: Options): Layer.Layer<Claude.Claude> => {
  Refuse.unknown("Anthropic", options, Sdk.fields, "like { apiKey }")
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
 * Like `layer`. If no `client` is set, a missing key and a missing address are read from the configuration when the
 * layer is built: the key from `ANTHROPIC_API_KEY`, or else a token from `ANTHROPIC_AUTH_TOKEN`, and the address from
 * `ANTHROPIC_BASE_URL`. Fails with a `ConfigError` that names the missing or invalid option and does not show a key.
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

/** An interrupted read loses no bytes: the next read returns them. */
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

/** A page of the model list has up to 1,000 models. Later pages are ignored. */
const mostPages = 10

/** `after`: the id of the last model on the previous page. */
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

/** For responses that are one JSON body. */
const asked = (
  sender: Sdk.Sender,
  model: string | undefined,
  request: Asks<unknown>
): Effect.Effect<unknown, ClaudeError> =>
  Effect.mapError(Clock.clockWith((clock) => send(sender, model, clock, request)), sender.mask)

/**
 * `key` is the key of this attempt, if an effect reads it. `open` leaves out the parameter `signal`, because it has its own
 * `AbortController`: Effect creates one only for a function that declares the parameter.
 */
type Asks<A> = (key: string | undefined) => (signal: AbortSignal) => PromiseLike<A>

const send = <A>(
  sender: Sdk.Sender,
  model: string | undefined,
  clock: Clock.Clock,
  request: Asks<A>
): Effect.Effect<A, ClaudeError> => {
  const sendWith = (key: string | undefined) =>
    Effect.tryPromise({
      try: request(key),
      // `sent: false`: the request may not have been sent, so the cause may be the key or the request itself.
      catch: (failure) => classifyFailure(failure, { model, sent: false, now: clock.currentTimeMillisUnsafe() })
    })
  const once = sender.credential === undefined
    ? sendWith(undefined)
    : Effect.flatMap(Key.read(sender.credential, model), sendWith)
  // After a 401, send once more with a new key or token. The SDK would do so itself, but its retries are off.
  return sender.renews
    ? Effect.catch(
      once,
      (error) => error._tag === "AuthenticationFailed" && error.status === 401 ? once : Effect.fail(error)
    )
    : once
}

/** Passed to `abort`, because without a reason `abort` creates an error, which costs ten times as much. */
const closed = "the answer is not read any further"

type Reader = ReadableStreamDefaultReader<Uint8Array>

/**
 * Waits up to a second for the end of the body, and then closes the socket if the body has not ended. Uses `setTimeout`,
 * because the same in Effect needs three fibers.
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

/** A version that cannot be parsed counts as old. */
const warnIfOld = Effect.suspend(() => {
  const oldest = SemVer.parseUnsafe(oldestTested)
  const old = Result.map(SemVer.parse(Sdk.version), (version) => SemVer.isLessThan(version, oldest))
  if (!Result.getOrElse(old, () => true)) return Effect.void
  const message =
    `@anthropic-ai/sdk is ${Sdk.version}, older than the oldest tested version (${oldestTested}): upgrade it`
  return warnHere("OldSdk", message)
})
