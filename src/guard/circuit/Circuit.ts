/**
 * Stops asking a model that keeps failing, and finds out when it is well again.
 *
 * One circuit for each model of an account, and one for the account: it closes
 * the gate when the money is spent. An answer that begins is a success, and a
 * failure if it breaks later. It is for outages: while half of all calls fail,
 * asking again is right, and it never opens. It counts in time, and never opens
 * on fewer than `minimumCalls` in its window: programs that ask more rarely than
 * that rely on retries. Calls that wait for it stand in one line, oldest first,
 * and leave at a rate that grows to twice the one from before.
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
  /** How far back it looks: 60 seconds. */
  readonly window?: Duration.Input | undefined
  /** On how many calls in the window it decides, at least: 20. */
  readonly minimumCalls?: number | undefined
  /** The share of them that must fail: 0.9. */
  readonly failureRate?: number | undefined
  /** Opens also when a share of the calls begins to be answered only after so long: never. */
  readonly slow?: { readonly after: Duration.Input; readonly rate: number } | undefined
  /** How long it stays open at least: 5 seconds. A quarter of the outage so far, and what the server asks for, if longer. */
  readonly openFor?: Duration.Input | undefined
  /** The longest of these times: 30 seconds. A probe costs one request. */
  readonly maxOpenFor?: Duration.Input | undefined
  /** How long a probe keeps others out if its process never tells its end: 150 seconds, or its own limit. */
  readonly probeLease?: Duration.Input | undefined
}

/** The settings that were meant, in milliseconds. */
export interface Settings extends Machine.Settings {
  readonly probeLease: number
  readonly slowAfter: number
}

/** What circuits need of the place where they are built. */
export interface Place {
  /** Where none is given, it is our memory, which does not fail. */
  readonly store: Store | undefined
  readonly onStoreError: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
  /** What the keys begin with. */
  readonly account: string
  readonly log: CallLog.CallLog
}

/** A circuit, for those who look at it. `retryAfter` is when a probe may be sent, in milliseconds from now. */
export interface Status {
  readonly state: "closed" | "open" | "half-open" | "isolated"
  readonly retryAfter: number | undefined
  /** Why it is not closed, in words: "18 of 20 calls failed: Overloaded". */
  readonly why: string | undefined
  /** What was counted in the window, while it is closed. */
  readonly calls: number
  readonly failures: number
  /** How many calls wait in its line. */
  readonly waiting: number
}

/**
 * Where circuits are kept, by key. `modify` is atomic: it may run `f` more than once, and keeps what the last run
 * returned. No write is needed where `f` returns the state that it was given. A state is plain data (JSON will do); what
 * is not there is `Circuit.initial`. A store that fails, or takes more than a second, is reported, and stops no call.
 */
export interface Store {
  readonly modify: <A>(key: string, f: Step<A>) => Effect.Effect<A, unknown>
}

/** What becomes of a circuit, and what is told of that. */
export type Step<A> = (state: State) => readonly [State, A]

/** Where circuits are kept: where nothing is said, in the memory of the guarded `Claude`. */
export const Store = Context.Reference<Store | undefined>("resilient-claude/Circuit/Store", {
  defaultValue: () => undefined
})

/** Each with the scenario of the simulator, or the calculation, that set it. */
const defaults = {
  // An outage at one call a second is told within 60 seconds.
  window: "60 seconds",
  // 12 calls a minute with 30 % errors are too few to decide on: retries serve them.
  minimumCalls: 20,
  // Calculated, at 20 calls a minute, chance opens it once in 65 hours; at 0.8, every two hours.
  failureRate: 0.9,
  // a: the first answer comes at most 6 seconds after an outage of 20.
  openFor: "5 seconds",
  // An outage of an hour: the first answer comes at most 31 seconds after it, and at most 130 probes are sent.
  maxOpenFor: "30 seconds",
  // Above the 120 seconds that a model may think before its first content.
  probeLease: "150 seconds"
} as const

/** A shorter time cannot be told from none, and a longer one is a slip: nobody would learn that the model is well again. */
const [least, most] = [1000, 86_400_000]

/** What is meant by the options. Throws a `RangeError` with a sentence if they contradict themselves. */
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
  /** Lets nothing through to a model, or any where none is named: for so many milliseconds, or until it is reset. */
  readonly isolate: (model: string | undefined, length: number | undefined) => Effect.Effect<void>
  /** Closes the circuit of a model, or of the account where none is named. */
  readonly reset: (model: string | undefined) => Effect.Effect<void>
  /** Of the account, and of the models that were asked. */
  readonly status: Effect.Effect<{ readonly account: Status; readonly circuits: { readonly [model: string]: Status } }>
}

/** A circuit for each model, and the gate of the account. `gate` looks or waits, `admit` takes the probe if it is due. */
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
