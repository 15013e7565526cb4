/**
 * Stops sending requests to a model that keeps failing, and probes until it recovers.
 *
 * Each model of an account has a circuit, and so has the account, whose circuit opens at the spend limit. An answer
 * counts as a success when it begins, and as a failure if it breaks off later. A circuit is for outages: it never opens
 * while only half of all calls fail, because retries then succeed. It counts over time, and never opens on fewer than
 * `minimumCalls` in its window: programs with less traffic rely on retries. Waiting calls form one line, oldest first,
 * and after a recovery leave at a rate that grows to twice the one before.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { atNow } from "../../atNow.ts"
import type * as CallLog from "../../CallLog.ts"
import * as Refuse from "../../options.ts"
import type * as Guard from "../Guard.ts"
import * as Panel from "./circuits.ts"
import * as Lease from "./lease.ts"
import type * as Machine from "./state.ts"
import type { State } from "./state.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export type { State } from "./state.ts"
export { initial, memory } from "./store.ts"

/** When a circuit opens, and for how long. */
export interface Options {
  /** The sliding window in which calls count: 60 seconds. */
  readonly window?: Duration.Input | undefined
  /** The minimum number of calls in the window before the circuit may open: 20. */
  readonly minimumCalls?: number | undefined
  /** The share of failed calls at which it opens: 0.9. */
  readonly failureRate?: number | undefined
  /** Also opens if at least the share `rate` of answers begins later than `after`. Off by default. */
  readonly slow?: { readonly after: Duration.Input; readonly rate: number } | undefined
  /**
   * The minimum time it stays open: 5 seconds. Longer outages use a quarter of their length so far, or the
   * `retry-after`.
   */
  readonly openFor?: Duration.Input | undefined
  /** The maximum time it stays open: 30 seconds. Each probe costs one request. */
  readonly maxOpenFor?: Duration.Input | undefined
  /**
   * How long a probe keeps others out if its process dies: 150 seconds, or the time-out of its attempt if that is
   * longer.
   */
  readonly probeLease?: Duration.Input | undefined
}

/** Options with defaults filled in, in milliseconds. */
export interface Settings extends Machine.Settings {
  readonly probeLease: number
  readonly slowAfter: number
}

/** Dependencies from the context in which the circuits are built. */
export interface Place {
  /** `undefined`: in memory, which does not fail. */
  readonly store: Store | undefined
  readonly onStoreError: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
  /** The prefix of all keys. */
  readonly account: string
  readonly log: CallLog.CallLog
}

/** The status of a circuit. `retryAfter` is the milliseconds until a probe may be sent. */
export interface Status {
  readonly state: "closed" | "open" | "half-open" | "isolated"
  readonly retryAfter: number | undefined
  /** Why it is not closed: "18 of 20 calls failed: Overloaded". */
  readonly why: string | undefined
  /** Counts of the window, while the circuit is closed. */
  readonly calls: number
  readonly failures: number
  /** The number of calls that wait in its line. */
  readonly waiting: number
}

/**
 * Stores circuits by key. `modify` must be atomic. It may run `f` more than once; the result of the last run counts. It
 * need not write if `f` returns the same state object. States are plain data that JSON can hold; a missing one is
 * `Circuit.initial`. If a store fails, or takes more than a second, this is reported, and calls go on.
 */
export interface Store {
  readonly modify: <A>(key: string, f: Step<A>) => Effect.Effect<A, unknown>
}

/** Computes the next state of a circuit, and a result. */
export type Step<A> = (state: State) => readonly [State, A]

/** The store of circuits. Default: the memory of the guarded `Claude`. */
export const Store = Context.Reference<Store | undefined>("resilient-claude/Circuit/Store", {
  defaultValue: () => undefined
})

/** Each with the simulator scenario or the calculation that set it. */
const defaults = {
  // An outage at one call per second opens the circuit within 60 seconds.
  window: "60 seconds",
  // 12 calls per minute with 30 % errors are too few to decide on: retries handle them.
  minimumCalls: 20,
  // Calculated: at 20 calls per minute, half of which fail, chance opens it once in 65 hours; at 0.8, every two hours.
  failureRate: 0.9,
  // Scenario a: the first answer comes at most 6 seconds after an outage of 20.
  openFor: "5 seconds",
  // After an outage of an hour, the first answer comes within 31 seconds, and at most 130 probes were sent.
  maxOpenFor: "30 seconds",
  // Above the 120 seconds that a model may think before its first content.
  probeLease: "150 seconds"
} as const

/** A shorter time has no effect, and a longer one is probably a mistake: a recovery would stay unnoticed. */
const [least, most] = [1000, 86_400_000]

/** Fills in defaults. Throws a `RangeError` if the options are invalid or contradict each other. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("circuit", options, { ...defaults, slow: true })
  if (options.slow !== undefined) Refuse.unknown("circuit: slow", options.slow, { after: true, rate: true })
  const millis = (name: "window" | "openFor" | "maxOpenFor" | "probeLease") => {
    const length = Refuse.finite(`circuit: ${name}`, options[name] ?? defaults[name])
    return length >= least && length <= most
      ? length
      : Refuse.refuse(`circuit: ${name} is ${Refuse.show(length)}: it must be from 1 second to 1 day`)
  }
  const openFor = millis("openFor")
  const maxOpenFor = options.maxOpenFor === undefined ? Math.max(openFor, millis("maxOpenFor")) : millis("maxOpenFor")
  if (openFor > maxOpenFor) {
    Refuse.refuse(
      `circuit: openFor (${Refuse.show(openFor)}) is longer than maxOpenFor (${
        Refuse.show(maxOpenFor)
      }): raise maxOpenFor or lower openFor`
    )
  }
  return {
    window: millis("window"),
    minimumCalls: Refuse.whole("circuit: minimumCalls", options.minimumCalls ?? defaults.minimumCalls),
    failureRate: Refuse.share("circuit: failureRate", options.failureRate ?? defaults.failureRate),
    slowAfter: options.slow === undefined ? Infinity : Refuse.finite("circuit: slow.after", options.slow.after),
    slowRate: options.slow === undefined ? Infinity : Refuse.share("circuit: slow.rate", options.slow.rate),
    openFor,
    maxOpenFor,
    recheck: 1000,
    probeLease: millis("probeLease")
  }
}

// -----------------------------------------------------------------------------
// Guard
// -----------------------------------------------------------------------------

/** The circuits of an account. */
export interface Circuits extends Guard.Guard {
  /** Blocks all requests to a model, or to every model if none is named, for `length` ms or until a reset. */
  readonly isolate: (model: string | undefined, length: number | undefined) => Effect.Effect<void>
  /** Closes the circuit of a model, or of the account if no model is named. */
  readonly reset: (model: string | undefined) => Effect.Effect<void>
  /** The status of the account, and of the models that were called. */
  readonly status: Effect.Effect<{ readonly account: Status; readonly circuits: { readonly [model: string]: Status } }>
}

/**
 * Creates the circuits of an account. `gate` checks and waits without taking anything; `admit` takes the probe if it is
 * due.
 */
export const make = (settings: Settings, place: Place): Circuits => {
  const panel = Panel.make(settings, place)
  return {
    gate: (request) => Lease.gate(panel, request),
    admit: (request) => Lease.admit(panel, request),
    isolate: (model, length) =>
      atNow((now) => {
        const until = length === undefined || length === Infinity ? null : now + length
        return Effect.asVoid(Panel.send(panel, model, { _tag: "Isolate", until }, now))
      }),
    reset: (model) => atNow((now) => Effect.asVoid(Panel.send(panel, model, { _tag: "Reset" }, now))),
    status: atNow((now) => Panel.status(panel, now))
  }
}
