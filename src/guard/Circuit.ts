/**
 * Stops asking a model that keeps failing, and finds out when it is well again.
 *
 * One circuit for each model of an account, and one for the account: it closes
 * the gate when the money is spent. What began before a circuit opened changes
 * nothing after it, one probe at a time asks whether the model is back, and a
 * probe whose process dies is replaced. It counts in time, never trips on fewer
 * than `minimumCalls` in its window, and so never in a program that asks more
 * rarely than that: for those, limits and retries are what protects.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Status } from "../internal/circuitEnds.ts"
import { Panel, type Place, type Settings } from "../internal/circuits.ts"
import * as Refuse from "../internal/refuse.ts"
import * as Guard from "./Guard.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export type { Status } from "../internal/circuitEnds.ts"
export type { State } from "../internal/circuitMachine.ts"
export type { Place, Settings } from "../internal/circuits.ts"
export { initial, memory, Store } from "../internal/circuitStore.ts"

/** When a circuit opens, and for how long. */
export interface Options {
  /** How far back it looks: 60 seconds. */
  readonly window?: Duration.Input | undefined
  /** On how many calls in the window it decides, at least: 10. */
  readonly minimumCalls?: number | undefined
  /** The share of them that must fail: 0.5. */
  readonly failureRate?: number | undefined
  /** Opens also when a share of the calls begins to be answered only after so long: never. */
  readonly slow?: { readonly after: Duration.Input; readonly rate: number } | undefined
  /** How long it stays open, doubled with each probe that fails, and shorter by a random part of up to half: 30 seconds. */
  readonly openFor?: Duration.Input | undefined
  /** The longest of these times: 10 minutes. A server that asks for more gets more. */
  readonly maxOpenFor?: Duration.Input | undefined
  /** How long a probe keeps others out if its process never tells its end: 150 seconds, or its own limit. */
  readonly probeLease?: Duration.Input | undefined
}

/** Sources: DESIGN of this library, after resilience4j (windows, minimum), Finagle (growing, jittered open times). */
const defaults = {
  window: "60 seconds",
  minimumCalls: 10,
  failureRate: 0.5,
  openFor: "30 seconds",
  maxOpenFor: "10 minutes",
  // Above the 120 seconds that a model may think before its first content.
  probeLease: "150 seconds"
} as const

/** What is meant by the options. Throws a `RangeError` with a sentence if they contradict themselves. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("circuit", options, { ...defaults, slow: true })
  if (options.slow !== undefined) Refuse.unknown("circuit: slow", options.slow, { after: true, rate: true })
  const millis = (name: "window" | "openFor" | "maxOpenFor" | "probeLease") =>
    Refuse.finite(`circuit: ${name}`, options[name] ?? defaults[name])
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
  readonly direct: Guard.Direct
  /** Lets nothing through to a model, or any where none is named: for so many milliseconds, or until it is reset. */
  readonly isolate: (model: string | undefined, length: number | undefined) => Effect.Effect<void>
  /** Closes the circuit of a model, or of the account where none is named. */
  readonly reset: (model: string | undefined) => Effect.Effect<void>
  /** Of the account, and of the models that were asked. */
  readonly status: Effect.Effect<{ readonly account: Status; readonly circuits: { readonly [model: string]: Status } }>
}

/** A circuit for each model, and the gate of the account. `gate` looks, `admit` takes the probe if it is due. */
export const make = (settings: Settings, place: Place): Circuits => {
  const panel = new Panel(settings, place)
  const atNow = <A, E>(f: (now: number) => Effect.Effect<A, E>) => Effect.flatMap(Clock.currentTimeMillis, f)
  return {
    ...Guard.make({
      gate: ({ params }, { now }) => panel.gate(params.model, now),
      admit: (request, { now }) => panel.admit(request, now)
    }),
    isolate: (model, length) =>
      atNow((now) => {
        const until = length === undefined || length === Infinity ? null : now + length
        return Effect.asVoid(panel.send(model, { _tag: "Isolate", until }, now))
      }),
    reset: (model) => atNow((now) => Effect.asVoid(panel.send(model, { _tag: "Reset" }, now))),
    status: atNow((now) => panel.status(now))
  }
}
