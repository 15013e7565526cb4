/** Ours, as the README recommends it, with and without guards. */
import { type Guards, Policy } from "../src/index.ts"
import type { Simulator } from "../src/testing/index.ts"
import type { Column, Entry } from "./scenarios.ts"

/** The guards of the README, without what depends on an account. */
const guards: Guards.Guards = { concurrency: { max: 64, queue: 200 }, circuit: {} }

const policy = ({ silence = "8 seconds" }: Simulator.Scenario, traffic: Simulator.Traffic): Policy.Policy => {
  const { fallbacks, patience = "25 seconds" } = traffic
  return {
    ...Policy.standard,
    overall: patience,
    firstToken: silence,
    idle: silence,
    ...(fallbacks !== undefined && { models: fallbacks })
  }
}

/** With the guards of the README, and a quota where the account has limits. */
export const guarded = (entry: Entry): Simulator.Contender & { readonly name: Column } => ({
  name: "guarded",
  policy,
  guards: { ...(entry.guards ?? guards), ...(entry.quota !== undefined && { quota: entry.quota }) }
})

/** The policy alone. */
export const without: Simulator.Contender & { readonly name: Column } = { name: "without", policy }
