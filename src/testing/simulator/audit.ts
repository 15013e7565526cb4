/** Checks the imagined Claude from outside: whether it kept its own limits, by another rule than the one it uses. */
import type { Limit, Limits } from "./buckets.ts"
import type { Plan } from "./provider.ts"

/**
 * What is wrong with the plans of a run, if anything: in no span of time may more be admitted than a full bucket and what
 * came back in that span. Output tokens are taken when answers end, and not checked.
 */
export const audit = (limits: Limits, plans: ReadonlyArray<Plan>): string | undefined => {
  const admitted = plans.filter((plan) => plan.kind === "answer")
  return exceeded("requests", limits.requests, admitted.map(({ at }) => ({ at, amount: 1 })))
    ?? exceeded(
      "input tokens",
      limits.inputTokens,
      admitted.map(({ at, usage }) => ({ at, amount: usage.fresh + usage.written }))
    )
}

/** The largest sum of a span, less what came back in it: Kadane's rule. */
const exceeded = (
  what: string,
  limit: Limit | undefined,
  uses: ReadonlyArray<{ readonly at: number; readonly amount: number }>
): string | undefined => {
  if (limit === undefined) return undefined
  const { burst = limit.perMinute, perMinute } = limit
  let excess = 0
  let last = 0
  for (const { amount, at } of uses) {
    excess = Math.max(0, excess - (at - last) * perMinute / 60_000) + amount
    last = at
    if (excess > burst + 1e-3) {
      return `The provider forgot its limit of ${perMinute} ${what} per minute (burst ${burst}): at ${at} ms it had admitted `
        + `${excess - burst} too many`
    }
  }
  return undefined
}
