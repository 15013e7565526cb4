/**
 * Events of calls, attempts and guards, and the log that receives them.
 *
 * A log provided to the layer of a `Claude` belongs to that `Claude`: a caller
 * cannot reroute it. No event holds a prompt, an answer or a key in the clear:
 * errors keep the text of an answer `Redacted`, which your own sink may unwrap.
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

/** Fields of every event. `at` is in milliseconds since the epoch; `call` is undefined for a call without a policy. */
export interface Common {
  readonly at: number
  readonly call: string | undefined
  readonly model: string
}

/** Fields of the events that end an attempt. `took` excludes the time in our own queues. */
export interface Attempt extends Common {
  readonly attempt: number
  readonly requestId: string | undefined
  readonly took: Duration.Duration
}

/** Tokens and US dollars used by all attempts of a call; a lower bound if `atLeast` is set. */
export interface Spent {
  readonly input: number
  readonly output: number
  /** At the prices of the model catalogue. */
  readonly dollars: number
  /** True if the real cost may be higher: an attempt broke off, or a part of it has no known price. */
  readonly atLeast: boolean
}

/**
 * The calls and failures in the window of a `Monitor`, with the causes of the failures, most frequent first. A call does
 * not count if it failed because of its request (`InvalidRequest`, `Refused` …) or a circuit that was isolated by hand.
 */
export interface Rate {
  /** The share of calls that did not fail, from 0 to 1. */
  readonly rate: number
  readonly calls: number
  readonly failures: number
  readonly causes: ReadonlyArray<{ readonly tag: Tag; readonly count: number }>
}

/** One event. `Claude.make` emits attempt events, `Policy` call events, `Guards` circuit and success-rate events. */
export type Event =
  /** `queued`: the time the attempt waited at guards, for a slot, for quota or for a circuit. */
  | Common & { readonly _tag: "AttemptStarted"; readonly attempt: number; readonly queued: Duration.Duration }
  | Attempt & {
    readonly _tag: "AttemptSucceeded"
    readonly timeToFirstToken: Duration.Duration | undefined
    readonly stopReason: Reply["stopReason"]
    readonly usage: Usage
  }
  | Attempt & { readonly _tag: "AttemptFailed"; readonly error: ClaudeError }
  | Attempt & { readonly _tag: "AttemptAbandoned" }
  | Common & {
    readonly _tag: "RetryScheduled"
    readonly attempt: number
    readonly error: ClaudeError
    readonly wait: Duration.Duration
  }
  | Common & {
    readonly _tag: "Continued"
    readonly attempt: number
    readonly error: ClaudeError
    /** How the rest of the answer is requested. */
    readonly how: "raise" | "continue" | "resume" | "nudge"
  }
  | Common & { readonly _tag: "Restarted" | "Resumed"; readonly attempt: number; readonly error: ClaudeError }
  | Common & { readonly _tag: "FellBack"; readonly to: string; readonly error: ClaudeError }
  /** The end of a call; a streaming call ends with its stream. An interrupted call has no end event. */
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
  /** The circuit sent a probe, closed again, or was isolated by hand. */
  | Common & { readonly _tag: "CircuitProbed" | "CircuitClosed" | "CircuitIsolated" }
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

/**
 * Writes events to the `Logger`s provided where the layer is built, or else to the caller's loggers. The fields of an
 * event become log annotations.
 */
export const layer: Layer.Layer<never> = Layer.effect(
  CallLog,
  Effect.map(Loggers.ofThisPlace, (here) => ({ emit: (event) => here(logger.emit(event)) }))
)

/** Discards all events. */
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

/** Sends each event to all these logs, in order. */
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

/** The log level of each kind of event. */
const loudness: { readonly [T in Exclude<Event["_tag"], "AttemptFailed" | "GaveUp">]: LogLevel.Severity } = {
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
  CircuitProbed: "Info",
  CircuitClosed: "Info",
  CircuitIsolated: "Warn",
  SuccessRateLow: "Error",
  SuccessRateRecovered: "Info"
}

/**
 * An event as plain data: durations in milliseconds, the error as its tag and the first 200 characters of its message.
 */
export const record = ({ _tag, at, ...event }: Event): Readonly<Record<string, unknown>> => {
  const flat: Record<string, unknown> = { event: _tag, at: DateTime.formatIso(DateTime.makeUnsafe(at)) }
  for (const [key, value] of Object.entries(event)) {
    if (value === undefined || key === "error") continue
    flat[key] = Duration.isDuration(value) ? Duration.toMillis(value) : value
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
    : loudness[event._tag]

const logger: CallLog = {
  emit: (event) =>
    // Most events report success at a level below the minimum: do not build their log lines.
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
