/** The type of the lab's scenarios, and values that several of them use. */
import type { Guards, Quota } from "../../src/index.ts"
import type { Simulator } from "../../src/testing/index.ts"

/** The columns of the printed table, one per contender. */
export const columns = ["guarded", "without", "sdk", "p-retry", "cockatiel", "effect"] as const

export type Column = (typeof columns)[number]

export interface Entry extends Simulator.Scenario {
  /** One line for the printed table. */
  readonly about: string
  /** The rate limits of the account, as the API console states them. */
  readonly quota?: Quota.Options | undefined
  /** Replaces the guards of the README, if they do not fit the scenario. */
  readonly guards?: Guards.Guards | undefined
  /** The time-out for a whole answer, for clients that cannot limit its silence. Default: `silence`. */
  readonly timeout?: Time | undefined
  /** Calls answered (requests sent) over real sockets, with the guards as they were before they were improved. */
  readonly measured?: { readonly [C in Column]?: string } | undefined
  /** The fault that the scenario showed before the guards were improved. */
  readonly found?: string | undefined
  /** Why the guards cannot answer as many calls as the best rival. */
  readonly bound?: string | undefined
}

/** An incident in which every request gets a 529; `more` may change that. */
export const down = (
  from: Time,
  to: Time,
  more: Partial<Simulator.Incident> = {}
): ReadonlyArray<Simulator.Incident> => [
  { from, to, fault: "overloaded", ...more }
]

type Time = Simulator.Incident["from"]

export const sonnet = "claude-sonnet-5-5"
export const haiku = "claude-haiku-5-5"
export const opus = "claude-opus-5-5"
