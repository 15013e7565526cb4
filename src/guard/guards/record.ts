/** The record behind `Guards`, and the ones that are refused because they cannot be meant. */
import { hasProperty, isFunction, isString } from "effect/Predicate"
import * as Refuse from "../../options.ts"
import * as Admission from "../admission/Admission.ts"
import * as RetryBudget from "../budget/RetryBudget.ts"
import * as Circuit from "../circuit/Circuit.ts"
import type * as Guard from "../Guard.ts"
import * as Monitor from "../monitor/Monitor.ts"
import * as Quota from "../quota/Quota.ts"

/** What all calls of one `Claude` share. A missing part does nothing, but for `budget` and `monitor`, which are there. */
export interface Guards {
  /** How many calls may run, and how many may wait, for each class of models. */
  readonly concurrency?: Admission.Concurrency | undefined
  /** What the account may use in a minute. */
  readonly quota?: Quota.Options | undefined
  /** When to stop asking a model that keeps failing. */
  readonly circuit?: Circuit.Options | undefined
  /** How much load failures may add. */
  readonly budget?: RetryBudget.Options | false | undefined
  /** When to say that too many calls fail, or get no answer. */
  readonly monitor?: Monitor.Options | false | undefined
  /** Guards of one's own: the last to be asked, the first to be told. */
  readonly extra?: ReadonlyArray<Guard.Guard> | undefined
  /**
   * Whose account it is, where more than one are kept in one store: `default`. Guards around guards need one each in a
   * store that they share: else the inner ones wait for the probe that the outer ones hold, and nothing is sent.
   */
  readonly account?: string | undefined
}

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
