/** A scenario of the lab, and what scenarios share. */
import type { Guards, Quota } from "../../src/index.ts"
import type { Simulator } from "../../src/testing/index.ts"

/** The columns of the table. */
export const columns = ["guarded", "without", "sdk", "p-retry", "cockatiel", "effect"] as const

export type Column = (typeof columns)[number]

/** A scenario of the lab. */
export interface Entry extends Simulator.Scenario {
  readonly about: string
  /** The limits of the account, as its console states them. */
  readonly quota?: Quota.Options | undefined
  /** Guards, where those of the README cannot be meant. */
  readonly guards?: Guards.Guards | undefined
  /** How long a whole answer may take, for clients that can limit nothing else: as long as it may be silent. */
  readonly timeout?: Time | undefined
  /** Calls answered (requests sent), as measured over sockets before the guards were mended. */
  readonly measured?: { readonly [C in Column]?: string } | undefined
  /** What was found before the guards were mended, in words. */
  readonly found?: string | undefined
  /** Why the guards cannot answer as many calls as the best of the others. */
  readonly bound?: string | undefined
}

/** An incident of 529s, or of another fault. */
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
