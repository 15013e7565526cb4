/**
 * What happened, told to whoever listens.
 *
 * A log that is provided to the layer of a `Claude` belongs to it, so that a
 * caller who provides another one does not reroute it. No event holds a prompt,
 * an answer or a key: what an error holds of an answer is `Redacted`, for a sink
 * of your own to unwrap if it may.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import type { PlatformError } from "effect/PlatformError"
import * as Ref from "effect/Ref"
import * as References from "effect/References"
import type { ClaudeError, GaveUp, Tag, Tried } from "./ClaudeError.ts"
import * as JsonLines from "./jsonLines.ts"
import * as Loggers from "./loggers.ts"
import type { Reply, Usage } from "./Message.ts"
import { reported } from "./reported.ts"
import { severity } from "./severity.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** What every event says. `at` is in milliseconds since the epoch, `call` is missing without a policy. */
export interface Common {
  readonly at: number
  readonly call: string | undefined
  readonly model: string
}

/** What the end of an attempt says. `took` does not count time spent in our own queues. */
export interface Attempt extends Common {
  readonly attempt: number
  readonly requestId: string | undefined
  readonly took: Duration.Duration
}

/** What all attempts of a call used, in tokens and US dollars: at least so much, where that is marked. */
export interface Spent {
  readonly input: number
  readonly output: number
  /** By the catalogue of models. */
  readonly dollars: number
  /** Whether it is more, because an attempt broke off or has no known price. */
  readonly atLeast: boolean
}

/**
 * How many calls there were in the window, how many of them failed, and with what, the most frequent first. Of the
 * availability, those failed that got no answer.
 */
export interface Rate {
  /** The share that did not fail, from 0 to 1. */
  readonly rate: number
  readonly calls: number
  readonly failures: number
  readonly causes: ReadonlyArray<{ readonly tag: Tag; readonly count: number }>
}

/** One thing that happened. Attempts are told by `Claude.make`, calls by `Policy`, circuits and rates by `Guards`. */
export type Event =
  /** `queued`: how long it had waited at guards: for a slot, for quota, for a circuit. */
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
    /** How more of an answer that stopped half-way is asked for. */
    readonly how: "raise" | "continue" | "resume" | "nudge"
  }
  | Common & { readonly _tag: "Restarted" | "Resumed"; readonly attempt: number; readonly error: ClaudeError }
  | Common & { readonly _tag: "FellBack"; readonly to: string; readonly error: ClaudeError }
  /** How a call ended: one that opened a stream ends with that. One that is interrupted has no end. */
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
  /** The circuit of a model (or of the account: `*`) lets nothing through, for so long. `why`, in words. */
  | Common & { readonly _tag: "CircuitOpened"; readonly openFor: Duration.Duration; readonly why: string }
  /** One request is let through, to find out; it is closed again; it was isolated by hand. */
  | Common & { readonly _tag: "CircuitProbed" | "CircuitClosed" | "CircuitIsolated" }
  /** Too many calls fail, and no longer do. */
  | Common & { readonly _tag: "SuccessRateLow" | "SuccessRateRecovered" } & Rate

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/** Receives events. It runs in the fiber of the call: what takes time belongs in a fiber of its own. */
export interface CallLog {
  readonly emit: (event: Event) => Effect.Effect<void>
}

/**
 * Where events go: the log that is provided to the layer of a `Claude` is told all that happens there. Where none is, the
 * log in the context of the caller is told what its calls cause, and where there is none either, Effect's `Logger`.
 */
export const CallLog = Context.Reference<CallLog>("resilient-claude/CallLog", { defaultValue: () => logger })

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * Writes events to the `Logger`s of the place where it is built, else to those of the caller, with their details as
 * annotations.
 */
export const layer: Layer.Layer<never> = Layer.effect(
  CallLog,
  Effect.map(Loggers.ofThisPlace, (here) => ({ emit: (event) => here(logger.emit(event)) }))
)

/** Sends events nowhere. */
export const layerNoop: Layer.Layer<never> = Layer.suspend(() => Layer.succeed(CallLog, nobody))

/** The events so far, oldest first. */
export class Memory
  extends Context.Service<Memory, Ref.Ref<ReadonlyArray<Event>>>()("resilient-claude/CallLog/Memory")
{}

/** Keeps every event, for tests. */
export const layerMemory: Layer.Layer<Memory> = Layer.effectContext(
  Effect.map(Ref.make<ReadonlyArray<Event>>([]), (events) =>
    Context.make(Memory, events).pipe(
      Context.add(CallLog, { emit: (event) => Ref.update(events, (all) => [...all, event]) })
    ))
)

/**
 * Appends each event to a file, as one line of JSON.
 *
 * A fiber of its own writes, so that a slow disk delays no call; what is waiting is written before the layer closes.
 * A disk that fails, or falls behind by more than 10,000 lines, loses lines and is reported to the `Logger`.
 */
export const layerJsonLines = (path: string): Layer.Layer<never, PlatformError, FileSystem.FileSystem> =>
  Layer.effect(
    CallLog,
    Effect.map(JsonLines.append(path), (append) => ({
      emit: (event) => Effect.suspend(() => append(record(event)))
    }))
  )

/** Tells all of them, in order. */
export const combine = <const Layers extends ReadonlyArray<Layer.Layer<never, unknown, unknown>>>(
  ...layers: Layers
): Layer.Layer<Layer.Success<Layers[number]>, Layer.Error<Layers[number]>, Layer.Services<Layers[number]>> =>
  // The compiler loses the tuple in `forEach`, and with it which services, errors and needs its members have.
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

/** How loudly to report each kind of event. */
const loudness: { readonly [T in Exclude<Event["_tag"], "AttemptFailed">]: LogLevel.Severity } = {
  AttemptStarted: "Debug",
  AttemptSucceeded: "Debug",
  AttemptAbandoned: "Debug",
  CallSucceeded: "Debug",
  RetryScheduled: "Info",
  Continued: "Info",
  Restarted: "Warn",
  Resumed: "Warn",
  FellBack: "Warn",
  GaveUp: "Error",
  Warning: "Warn",
  CircuitOpened: "Error",
  CircuitProbed: "Info",
  CircuitClosed: "Info",
  CircuitIsolated: "Warn",
  SuccessRateLow: "Error",
  SuccessRateRecovered: "Info"
}

/** An event as plain data: durations in milliseconds, the error as its tag and the first 200 characters of its message. */
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
  event._tag === "AttemptFailed" ? severity[event.error._tag] : loudness[event._tag]

const nobody: CallLog = { emit: () => Effect.void }

const logger: CallLog = {
  emit: (event) =>
    // What the logger would leave out is not made a line of: most events are of what goes well.
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
