/**
 * Events of calls, attempts and guards, and the log that receives them.
 *
 * No event shows a prompt, an answer or a key: errors keep the text of an answer
 * `Redacted`, which your own sink may unwrap.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import type { PlatformError } from "effect/PlatformError"
import type * as Ref from "effect/Ref"
import * as References from "effect/References"
import * as Appended from "./appended.ts"
import type { ClaudeError, GaveUp, Tag, Tried } from "./ClaudeError.ts"
import * as JsonLines from "./jsonLines.ts"
import * as Loggers from "./loggers.ts"
import type { Reply, Usage } from "./Message.ts"
import { reported } from "./reported.ts"
import { severity, severityOfEnd } from "./severity.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * `at` is in milliseconds since the epoch. `call` is undefined for a call without a policy, and in events of guards, such
 * as `CircuitOpened`. `model` is `*` if the event concerns all models.
 */
export interface Common {
  readonly at: number
  readonly call: string | undefined
  readonly model: string
}

/** The end of an attempt. `took` excludes the time that the attempt waited at guards. */
export interface Attempt extends Common {
  readonly attempt: number
  readonly requestId: string | undefined
  readonly took: Duration.Duration
}

/** The usage of all attempts of a call, in tokens; `input` includes those written to the cache and read from it. */
export interface Spent {
  readonly input: number
  readonly output: number
  /** US dollars, at the prices of the model catalogue. */
  readonly dollars: number
  /** True if the real usage may be higher: an attempt broke off, or a part of its cost is unknown. */
  readonly atLeast: boolean
}

/**
 * The calls in the time window of a `Monitor`; `causes` begins with the most frequent. A call that failed because of its
 * request (`InvalidRequest`, `Refused` …), or because an isolated circuit or a drain rejected it, is left out.
 */
export interface Rate {
  /** The fraction of calls that did not fail, from 0 to 1. */
  readonly rate: number
  readonly calls: number
  readonly failures: number
  readonly causes: ReadonlyArray<{ readonly tag: Tag; readonly count: number }>
}

/** `attempt` is the number of the next attempt. `error` and the logged `requestId` belong to the attempt before it. */
type Next = Common & { readonly attempt: number; readonly error: ClaudeError }

/** Events of attempts need no policy. Events of calls need a `Policy`; events of circuits and success rates, `Guards`. */
export type Event =
  /** `queued`: how long the attempt waited at guards: for a slot, for quota or for a circuit. */
  | Common & { readonly _tag: "AttemptStarted"; readonly attempt: number; readonly queued: Duration.Duration }
  | Attempt & {
    readonly _tag: "AttemptSucceeded"
    readonly timeToFirstToken: Duration.Duration | undefined
    readonly stopReason: Reply["stopReason"]
    readonly usage: Usage
  }
  | Attempt & { readonly _tag: "AttemptFailed"; readonly error: ClaudeError }
  /** `interrupt`: the caller was interrupted, or the answer's scope closed. `reader`: the reader stopped early or failed. */
  | Attempt & { readonly _tag: "AttemptAbandoned"; readonly by: "deadline" | "interrupt" | "reader" }
  | Next & { readonly _tag: "RetryScheduled"; readonly wait: Duration.Duration }
  | Next & {
    readonly _tag: "Continued"
    /**
     * What the next request does. `raise`: repeats the request with a higher `max_tokens`. `continue`: asks for the rest of
     * a cut answer. `resume`: asks for the rest of a paused answer. `nudge`: asks to continue after an empty answer.
     */
    readonly how: "raise" | "continue" | "resume" | "nudge"
  }
  | Next & { readonly _tag: "Restarted" | "Resumed" }
  | Common & { readonly _tag: "FellBack"; readonly to: string; readonly error: ClaudeError }
  /** A call has neither `GaveUp` nor `CallSucceeded` if it is interrupted, or fails with an error of the application. */
  | Common & {
    readonly _tag: "GaveUp"
    readonly error: ClaudeError
    readonly reason: GaveUp
    readonly history: ReadonlyArray<Tried>
    readonly spent: Spent
    readonly took: Duration.Duration
  }
  | Common & {
    readonly _tag: "CallSucceeded"
    readonly attempts: number
    readonly spent: Spent
    readonly took: Duration.Duration
  }
  | Common & { readonly _tag: "Warning"; readonly code: string; readonly message: string }
  /** The circuit of a model, or of the whole account if `model` is `*`, opened for `openFor`, for the reason `why`. */
  | Common & { readonly _tag: "CircuitOpened"; readonly openFor: Duration.Duration; readonly why: string }
  | Common & { readonly _tag: "CircuitProbing" | "CircuitClosed" }
  /** `openFor` is undefined if the circuit is isolated until a reset. */
  | Common & { readonly _tag: "CircuitIsolated"; readonly openFor: Duration.Duration | undefined; readonly why: string }
  /** The success rate that a `Monitor` measures fell below its objective, or recovered. */
  | Common & { readonly _tag: "SuccessRateLow" | "SuccessRateRecovered" } & Rate

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/** Receives events. `emit` runs in the fiber of the call: do slow work in another fiber. */
export interface CallLog {
  readonly emit: (event: Event) => Effect.Effect<void>
}

/**
 * Where events go: to the log provided to the layer of the `Claude`; without such a log, to the log in the caller's
 * context; without either, to Effect's `Logger`.
 */
export const CallLog = Context.Reference<CallLog>("resilient-claude/CallLog", { defaultValue: () => logger })

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/** Writes events, with their fields as annotations, to the `Logger`s of the layer, or else to the caller's loggers. */
export const layer: Layer.Layer<never> = Layer.effect(
  CallLog,
  Effect.map(Loggers.ofThisPlace, (here) => ({ emit: (event) => here(logger.emit(event)) }))
)

/** Discards all events, warnings included. */
export const layerNoop: Layer.Layer<never> = Layer.suspend(() => Layer.succeed(CallLog, { emit: () => Effect.void }))

/** The events that `layerMemory` has received, oldest first. */
export class Memory
  extends Context.Service<Memory, Ref.Ref<ReadonlyArray<Event>>>()("resilient-claude/CallLog/Memory")
{}

/** Keeps every event, for tests. */
export const layerMemory: Layer.Layer<Memory> = Layer.effectContext(Effect.sync(() => {
  const { append, ref } = Appended.make<Event>()
  return Context.add(Context.make(Memory, ref), CallLog, { emit: (event) => Effect.sync(() => append(event)) })
}))

/**
 * Appends each event to a file, as one line of JSON.
 *
 * A separate fiber writes, so a slow disk does not delay calls. Queued lines are written before the layer closes. If a
 * write fails or more than 10,000 lines are queued, lines are lost and the `Logger` gets a warning.
 */
export const layerJsonLines = (path: string): Layer.Layer<never, PlatformError, FileSystem.FileSystem> =>
  Layer.effect(
    CallLog,
    Effect.map(JsonLines.append(path), (append) => ({
      emit: (event) => Effect.suspend(() => append(record(event)))
    }))
  )

/** Sends each event to all these logs, in order. A log that fails does not stop the others. */
export const combine = <const Layers extends ReadonlyArray<Layer.Layer<never, unknown, unknown>>>(
  ...layers: Layers
): Layer.Layer<Layer.Success<Layers[number]>, Layer.Error<Layers[number]>, Layer.Services<Layers[number]>> =>
  // Cast: `forEach` loses the tuple type, and with it the services, errors and requirements of the layers.
  Layer.effectContext(Effect.map(
    Effect.forEach(layers, (layer) => Layer.build(layer)),
    (contexts) => {
      const logs = contexts.map((context) => Context.get(context, CallLog))
      const emit = (event: Event) =>
        Effect.forEach(logs, (log) => reported("a log sink", () => log.emit(event)), { discard: true })
      return Context.add(Context.mergeAll(...contexts), CallLog, { emit })
    }
  )) as never

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const levels: { readonly [T in Exclude<Event["_tag"], "AttemptFailed" | "GaveUp">]: LogLevel.Severity } = {
  AttemptStarted: "Debug",
  AttemptSucceeded: "Debug",
  AttemptAbandoned: "Debug",
  CallSucceeded: "Debug",
  RetryScheduled: "Info",
  Continued: "Info",
  Restarted: "Warn",
  Resumed: "Warn",
  FellBack: "Warn",
  Warning: "Warn",
  CircuitOpened: "Error",
  CircuitProbing: "Info",
  CircuitClosed: "Info",
  CircuitIsolated: "Warn",
  SuccessRateLow: "Error",
  SuccessRateRecovered: "Info"
}

/**
 * An event as plain data: `at` as an ISO date, each duration as milliseconds (`took` as `tookMs`), the error as its tag,
 * request id, status, error code and the first 200 characters of its message.
 */
export const record = ({ _tag, at, ...event }: Event): Readonly<Record<string, unknown>> => {
  const flat: Record<string, unknown> = { event: _tag, at: DateTime.formatIso(DateTime.makeUnsafe(at)) }
  for (const [key, value] of Object.entries(event)) {
    if (Duration.isDuration(value)) flat[`${key}Ms`] = Duration.toMillis(value)
    else if (value !== undefined && key !== "error") flat[key] = value
  }
  if ("error" in event) {
    flat["error"] = event.error._tag
    flat["message"] = event.error.message.slice(0, 200)
    if (event.error.requestId !== undefined) flat["requestId"] = event.error.requestId
    if (event.error.status !== undefined) flat["status"] = event.error.status
    if (event.error.errorCode !== undefined) flat["errorCode"] = event.error.errorCode
  }
  return flat
}

const levelOf = (event: Event): LogLevel.Severity =>
  event._tag === "GaveUp"
    ? severityOfEnd(event.error)
    : event._tag === "AttemptFailed"
    ? severity(event.error)
    : levels[event._tag]

const logger: CallLog = {
  emit: (event) =>
    // Do not build a log line that the minimum level discards: most events have the level `Debug`.
    Effect.contextWith((context: Context.Context<never>) =>
      LogLevel.isGreaterThan(Context.get(context, References.MinimumLogLevel), levelOf(event))
        ? Effect.void
        : reported("a logger", () => line(event))
    )
}

const line = (event: Event): Effect.Effect<void> => {
  const { at: _, event: name, ...details } = record(event)
  return Effect.annotateLogs(Effect.logWithLevel(levelOf(event))(`claude: ${String(name)}`), details)
}
