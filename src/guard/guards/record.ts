import { hasProperty, isFunction, isString } from "effect/Predicate"
import * as Refuse from "../../options.ts"
import * as Admission from "../admission/settings.ts"
import * as RetryBudget from "../budget/settings.ts"
import * as Circuit from "../circuit/settings.ts"
import type * as Guard from "../Guard.ts"
import type { Guards } from "../Guards.ts"
import * as Monitor from "../monitor/settings.ts"
import * as Quota from "../quota/settings.ts"

export interface Compiled {
  readonly account: string
  readonly concurrency: Admission.Settings
  readonly quota: Quota.Settings | undefined
  readonly circuit: Circuit.Settings | undefined
  readonly budget: RetryBudget.Settings | undefined
  readonly monitor: Monitor.Settings | undefined
  readonly extra: ReadonlyArray<Guard.Guard>
  /** Whether requests go through the queue. */
  readonly admits: boolean
}

const fields: { readonly [K in keyof Required<Guards>]: true } = {
  concurrency: true,
  quota: true,
  circuit: true,
  budget: true,
  monitor: true,
  extra: true,
  account: true
}

/** Throws a `RangeError` if the guards are invalid. */
export const compile = (guards: Guards): Compiled => {
  Refuse.unknown("Guards", guards, fields)
  const { account = "default", budget = {}, circuit, concurrency, extra = [], monitor = {}, quota } = guards
  if (!isString(account)) Refuse.refuse(`Guards: account is ${Refuse.shown(account)}: it must be a string`)
  if (account.trim() === "") Refuse.refuse("Guards: account is empty: name it, or leave it out")
  if (!Array.isArray(extra)) Refuse.refuse(`Guards: extra is ${Refuse.shown(extra)}: it must be a list of guards`)
  const odd = extra.findIndex((guard) => !isGuard(guard))
  if (odd >= 0) {
    Refuse.refuse(`Guards: extra.${odd} is no guard: give it a gate (Guard.open lets every request pass) and an admit`)
  }
  return {
    account,
    // Without `concurrency` and `quota`, calls wait in the queue only after a 429, so the queue has no bounds.
    concurrency: Admission.settings(
      concurrency === undefined ? quota === undefined ? { queue: Infinity, maxWait: Infinity } : {} : concurrency
    ),
    quota: quota === undefined ? undefined : Quota.settings(quota),
    circuit: circuit === undefined ? undefined : Circuit.settings(circuit),
    budget: budget === false ? undefined : RetryBudget.settings(budget),
    monitor: monitor === false ? undefined : Monitor.settings(monitor),
    extra,
    // The queue also pauses calls after a 429, so it exists even if only the circuit or the budget is on.
    admits: concurrency !== undefined || quota !== undefined || circuit !== undefined || budget !== false
  }
}

const isGuard = (guard: unknown): boolean =>
  hasProperty(guard, "gate") && isFunction(guard.gate) && hasProperty(guard, "admit") && isFunction(guard.admit)
