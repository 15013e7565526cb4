/** The checks that refuse `Guards` that contradict themselves, and the guards in the form that the layer is built from. */
import { hasProperty, isFunction, isString } from "effect/Predicate"
import * as Refuse from "../../options.ts"
import * as Admission from "../admission/Admission.ts"
import * as RetryBudget from "../budget/RetryBudget.ts"
import * as Circuit from "../circuit/Circuit.ts"
import type * as Guard from "../Guard.ts"
import type { Guards } from "../Guards.ts"
import * as Monitor from "../monitor/Monitor.ts"
import * as Quota from "../quota/Quota.ts"

/** Guards that were checked. */
export interface Compiled {
  readonly account: string
  readonly concurrency: Admission.Settings
  readonly quota: Quota.Settings | undefined
  readonly circuit: Circuit.Settings | undefined
  readonly budget: RetryBudget.Settings | undefined
  readonly monitor: Monitor.Settings | undefined
  readonly extra: ReadonlyArray<Guard.Guard>
  /** Whether anything is queued for. */
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

/** Checks the guards, and parses everything in them once. */
export const compile = (guards: Guards): Compiled => {
  Refuse.unknown("Guards", guards, fields)
  const { account = "default", budget = {}, circuit, concurrency, extra = [], monitor = {}, quota } = guards
  if (!isString(account)) Refuse.refuse(`Guards: account is ${String(account)}: it must be a text`)
  if (account.trim() === "") Refuse.refuse("Guards: account is empty: name it, or leave it out")
  if (!Array.isArray(extra) || !extra.every(isGuard)) {
    Refuse.refuse("Guards: extra is no list of guards: each must have a gate (Guard.open, if it has none) and an admit")
  }
  return {
    account,
    // Where calls queue only after a 429 or an outage, nobody has said how many may wait, or how long.
    concurrency: Admission.settings(
      concurrency === undefined ? quota === undefined ? { queue: Infinity, maxWait: Infinity } : {} : concurrency
    ),
    quota: quota === undefined ? undefined : Quota.settings(quota),
    circuit: circuit === undefined ? undefined : Circuit.settings(circuit),
    budget: budget === false ? undefined : RetryBudget.settings(budget),
    monitor: monitor === false ? undefined : Monitor.settings(monitor),
    extra,
    // The queue also does the pause after a 429, so it exists unless only a monitor is on.
    admits: concurrency !== undefined || quota !== undefined || circuit !== undefined || budget !== false
  }
}

const isGuard = (guard: unknown): boolean =>
  hasProperty(guard, "gate") && isFunction(guard.gate) && hasProperty(guard, "admit") && isFunction(guard.admit)
