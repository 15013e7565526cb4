/**
 * The wire of `@anthropic-ai/sdk`: the only file that runs SDK code.
 *
 * The SDK knows how to authenticate and how to send; everything after that is
 * ours. It neither retries, nor reads the body, nor logs, nor traces. The
 * request is made with its generic `post`, because `messages.create` writes to
 * the console on behalf of some models.
 */
import { Anthropic as Sdk, type ClientOptions } from "@anthropic-ai/sdk"
import { VERSION } from "@anthropic-ai/sdk/version"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { hasProperty, isNumber } from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as SemVer from "effect/SemVer"
import * as Claude from "./Claude.ts"
import { type ClaudeError, TimedOut, UnexpectedResponse } from "./ClaudeError.ts"
import { classify as classifyFailure, type Context } from "./internal/classify.ts"
import * as Refuse from "./internal/refuse.ts"
import { connect } from "./internal/response.ts"
import { tell } from "./internal/tell.ts"
import type * as Message from "./Message.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** How to reach the API. */
export interface Options {
  /** The key. Needed unless there is a `client`. */
  readonly apiKey?: string | Redacted.Redacted<string> | undefined
  /** Where the API is: `https://api.anthropic.com`. */
  readonly baseUrl?: string | undefined
  /** A client of your own, with its credentials, headers and middleware. Its retries, logs and spans are turned off. */
  readonly client?: Sdk | undefined
  /** What sends the requests: the global `fetch`. */
  readonly fetch?: ClientOptions["fetch"] | undefined
}

/** The oldest SDK this was tested with. */
export const oldestTested = "1.12.0"

/**
 * The one kind of error that `failure` is: an error of the SDK or of `fetch`, an SSE error event (`{ error: body }`), or
 * anything else. Looks at status, type, error code and the chain of causes, never at classes. A `retry-after` that is a
 * date needs `now`.
 */
export const classify: (failure: unknown, context?: Partial<Context>) => ClaudeError = (failure, context) =>
  classifyFailure(failure, { now: NaN, ...context })

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/** `Claude` by way of the SDK. Throws a `RangeError` with a sentence if the options cannot be meant. */
export const layerWith = (options: Options): Layer.Layer<Claude.Claude> => {
  const client = makeClient(options)
  return Layer.effect(
    Claude.Claude,
    Effect.tap(Claude.make(wire(client)), (claude) => Effect.provideService(warnIfOld, Claude.Claude, claude))
  )
}

/** Configured by `ANTHROPIC_API_KEY`, and `ANTHROPIC_BASE_URL` if it is set. */
export const layer: Layer.Layer<Claude.Claude, Config.ConfigError> = Layer.unwrap(
  Effect.suspend(() => Effect.map(config, layerWith))
)

/** The same, with another `fetch`. */
export const layerFetch = (fetch: NonNullable<Options["fetch"]>): Layer.Layer<Claude.Claude, Config.ConfigError> =>
  Layer.unwrap(Effect.map(config, (options) => layerWith({ ...options, fetch })))

const isKey = (key: string): boolean => /^[\x21-\x7e]+$/.test(key)

const isUrl = (url: string): boolean => {
  const parsed = URL.parse(url)
  return parsed !== null && /^https?:$/.test(parsed.protocol)
}

const config = Effect.gen(function*() {
  const apiKey = yield* Config.schema(
    Schema.Redacted(
      Schema.String.check(
        Schema.makeFilter((key) => isKey(key) || "a key of letters, digits and signs, without spaces")
      )
    ),
    "ANTHROPIC_API_KEY"
  )
  const baseUrl = yield* Config.option(Config.schema(
    Schema.String.check(Schema.makeFilter((url) => isUrl(url) || "an http or https URL")),
    "ANTHROPIC_BASE_URL"
  ))
  return { apiKey, baseUrl: Option.getOrUndefined(baseUrl) }
})

// -----------------------------------------------------------------------------
// Wire
// -----------------------------------------------------------------------------

/** The wire over a client. */
const wire = (client: Sdk): Claude.Wire => ({
  open: (request) =>
    Effect.flatMap(Effect.scope, (scope) =>
      Effect.withFiber((fiber) => {
        const controller = new AbortController()
        const clock = fiber.getRef(Clock.Clock)
        const { model } = request.params
        let reader: Reader | undefined
        let whole = false

        // An answer that is complete leaves its connection to the next, if the body ends now; any other closes it at once.
        const close = Effect.sync(() =>
          whole && reader !== undefined ? drain(reader, controller) : controller.abort(closed)
        )
        const sent = send(
          client,
          model,
          () =>
            client.post("/v1/messages", {
              ...requestOf({ ...request.params, stream: true }),
              stream: true,
              signal: controller.signal
            }).asResponse()
        )
        const received = (response: Response) => {
          const header = (name: string) => response.headers.get(name) ?? undefined
          const broken = (failure: unknown) =>
            classifyFailure(failure, { model, requestId: header("request-id"), now: clock.currentTimeMillisUnsafe() })
          reader = response.body?.getReader()
          return connect({
            status: response.status,
            header,
            model,
            now: clock.currentTimeMillisUnsafe(),
            onWhole: () => {
              whole = true
            },
            bytes: Effect.callback((resume) => {
              if (reader === undefined) return resume(Effect.undefined)
              reader.read().then(
                ({ value }) => resume(Effect.succeed(value)),
                (failure) => resume(Effect.fail(broken(failure)))
              )
            })
          })
        }
        return Effect.andThen(Scope.addFinalizer(scope, close), Effect.flatMap(sent, received))
      })),
  countTokens: (params) =>
    send(client, params.model, (signal) => client.post("/v1/messages/count_tokens", { ...requestOf(params), signal }))
      .pipe(
        Effect.flatMap((counted) =>
          hasProperty(counted, "input_tokens") && isNumber(counted.input_tokens)
            ? Effect.succeed(counted.input_tokens)
            : Effect.fail(new UnexpectedResponse({ model: params.model, detail: "it has no input_tokens" }))
        ),
        Effect.timeoutOrElse({
          duration: "30 seconds",
          orElse: () => Effect.fail(new TimedOut({ model: params.model, scope: "attempt" }))
        })
      )
})

/** Sends. What fails before there is a response is an error of the way to it, or of what we wanted to send. */
const send = <A>(client: Sdk, model: string, request: (signal: AbortSignal) => PromiseLike<A>) =>
  Effect.flatMap(Clock.Clock, (clock) => {
    const attempt = Effect.tryPromise({
      try: request,
      catch: (failure) => classifyFailure(failure, { model, sent: false, now: clock.currentTimeMillisUnsafe() })
    })
    return Effect.catch(attempt, (error) =>
      // The SDK forgets a token that was refused, but leaves it to its own retries to ask for another.
      error._tag === "Unauthorized" && error.status === 401 && client.credentials !== null
        ? attempt
        : Effect.fail(error))
  })

/** Why a request is aborted. Given, because `abort` makes an error otherwise, which costs ten times as much. */
const closed = "the answer is not read any further"

/** Nothing of the SDK's own: no retries, and a time-out so long (the longest a timer can be) that ours come first. */
const once = { maxRetries: 0, timeout: 2 ** 31 - 1 } as const

/** The options of the SDK for a request. Two parameters are headers. */
const requestOf = <P extends Partial<Pick<Message.Params, "user_profile_id" | "workspace_id">>>(params: P) => {
  const { user_profile_id, workspace_id, ...body } = params
  return {
    ...once,
    body,
    headers: {
      ...(user_profile_id === undefined ? undefined : { "anthropic-user-profile-id": user_profile_id }),
      ...(workspace_id === undefined ? undefined : { "anthropic-workspace-id": workspace_id })
    }
  }
}

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

const silent = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} }

const makeClient = ({ apiKey, baseUrl, client, fetch }: Options): Sdk => {
  if (baseUrl !== undefined && !isUrl(baseUrl)) {
    Refuse.refuse(`Anthropic: baseUrl is ${JSON.stringify(baseUrl)}: it must be an http or https URL`)
  }
  const options = {
    maxRetries: 0,
    logLevel: "off",
    logger: silent,
    openTelemetry: false,
    ...(baseUrl && { baseURL: baseUrl })
  } as const
  if (client !== undefined) return client.withOptions(fetch === undefined ? options : { ...options, fetch })
  const key = Redacted.isRedacted(apiKey) ? Redacted.value(apiKey) : apiKey
  if (key === undefined || !isKey(key)) {
    return Refuse.refuse(
      "Anthropic: apiKey is missing, empty, or has characters a header cannot carry: pass the key, or a client"
    )
  }
  return new Sdk({
    baseURL: "https://api.anthropic.com",
    ...options,
    apiKey: key,
    fetch: careful(fetch ?? globalThis.fetch),
    // A redirect is somebody's login page, and would be followed with the key.
    fetchOptions: { redirect: "manual" }
  })
}

/** How much of the body of an error is read, in characters, and for how long, in milliseconds: its status is known. */
const errorLimit = { length: 65_536, time: 1000 }

/** A `fetch` whose error bodies end: the SDK would read them for ever. */
const careful = (fetch: NonNullable<Options["fetch"]>): NonNullable<Options["fetch"]> => async (url, init) => {
  const response = await fetch(url, init)
  if (response.ok || response.body === null) return response
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  let text = ""
  const enough = setTimeout(() => void reader.cancel().catch(() => {}), errorLimit.time)
  try {
    for (let next = await reader.read(); !next.done && text.length < errorLimit.length; next = await reader.read()) {
      text += decoder.decode(next.value, { stream: true })
    }
    void reader.cancel().catch(() => {})
  } catch {
    // What came of it has to do.
  } finally {
    clearTimeout(enough)
  }
  const { headers, status } = response
  // The SDK asks no more of a response it turns into an error.
  return { ok: false, status, headers, url: response.url, body: null, text: () => Promise.resolve(text) } as Response
}

let warned = false

/** Says once in the life of the process that the SDK is older than any this was tested with. */
const warnIfOld = Effect.suspend(() => {
  const old = Result.map(
    SemVer.parse(VERSION),
    (version) => SemVer.isLessThan(version, SemVer.parseUnsafe(oldestTested))
  )
  if (warned || !Result.getOrElse(old, () => true)) return Effect.void
  warned = true
  const message = `@anthropic-ai/sdk is ${VERSION}, and the oldest that was tested is ${oldestTested}: upgrade it`
  return tell((at, model) => ({ _tag: "Warning", at, call: undefined, model, code: "OldSdk", message }))
})
