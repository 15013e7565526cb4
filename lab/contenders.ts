/** This library with the policy that the README recommends, with and without guards. */
import { type Guards, Policy } from "../src/index.ts"
import type { Simulator } from "../src/testing/index.ts"
import type { Column, Entry } from "./scenarios.ts"

/** The guards of the README, without the limits of an account. */
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

/** The policy with the guards of the README, and a quota if the account has limits. */
export const guarded = (entry: Entry): Simulator.Contender & { readonly name: Column } => ({
  name: "guarded",
  policy,
  guards: { ...(entry.guards ?? guards), ...(entry.quota !== undefined && { quota: entry.quota }) }
})

/** The policy without guards. */
export const without: Simulator.Contender & { readonly name: Column } = { name: "without", policy }
