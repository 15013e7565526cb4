/**
 * Stops sending requests to a model that keeps failing, and probes until it recovers.
 *
 * Each model of an account has a circuit. The account itself also has a circuit, which opens at the spend limit. An
 * answer counts as a success when it begins, and as a failure if it breaks off later. A circuit is for outages: with
 * the defaults it hardly ever opens while only half of all calls fail, which retries can handle. It needs
 * `minimumCalls` in a time window to open (after a recovery, a broken answer to the probe is enough): programs with
 * less traffic rely on retries. Waiting calls form one line, by priority and then oldest first. After a recovery, they
 * leave at a rate that grows to twice the rate before the outage.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { State } from "./state.ts"

export type { State } from "./state.ts"
export { initial, memory } from "./store.ts"

/** When a circuit opens, and for how long. */
export interface Options {
  /** The sliding window in which calls are counted. Default: 60 seconds. */
  readonly window?: Duration.Input | undefined
  /** The minimum number of calls in the window before the circuit may open. Default: 20. */
  readonly minimumCalls?: number | undefined
  /** The share of failed calls at which the circuit opens. Default: 0.9. */
  readonly failureRate?: number | undefined
  /**
   * Also opens the circuit if the answers to at least the share `rate` of the calls begin later than `after`. Off by
   * default.
   */
  readonly slow?: { readonly after: Duration.Input; readonly rate: number } | undefined
  /**
   * The minimum time the circuit stays open. Default: 5 seconds. In a longer outage it stays open for a quarter of the
   * outage so far, or for the `retry-after` if that is longer, but at most for `maxOpenFor`.
   */
  readonly openFor?: Duration.Input | undefined
  /**
   * The maximum time until the next probe is allowed; each probe costs one request. Default: 30 seconds, or `openFor`
   * if that is longer. After the spend limit was reached, the account's circuit may stay open longer.
   */
  readonly maxOpenFor?: Duration.Input | undefined
  /**
   * How long a probe without a result blocks other calls: its process may have died. Default: 150 seconds, or the
   * time-out of the attempt if that is longer.
   */
  readonly probeLease?: Duration.Input | undefined
}

/** The status of a circuit. `retryAfter`: milliseconds until a probe may be sent. */
export interface Status {
  readonly state: "closed" | "open" | "half-open" | "isolated"
  readonly retryAfter: number | undefined
  /** Why the circuit is not closed, such as "18 of 20 calls failed: Overloaded". */
  readonly why: string | undefined
  /** The calls and failures in the window; 0 unless the circuit is closed. */
  readonly calls: number
  readonly failures: number
  readonly waiting: number
}

/**
 * Stores circuits by key. `modify` must be atomic. It may run `f` more than once; the result of the last run counts. It
 * need not write if `f` returns the same state object. States are plain data that JSON can hold; a missing state is
 * `Circuit.initial`. A store that fails or takes more than a second is reported in the log, and calls go on as if the
 * circuit were closed.
 */
export interface Store {
  readonly modify: <A>(key: string, f: Step<A>) => Effect.Effect<A, unknown>
}

export type Step<A> = (state: State) => readonly [State, A]

/** The store of circuits. Default: the memory of the guarded `Claude`. */
export const Store = Context.Reference<Store | undefined>("resilient-claude/Circuit/Store", {
  defaultValue: () => undefined
})
