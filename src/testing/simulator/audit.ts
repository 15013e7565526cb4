import type { Limit, Limits } from "./buckets.ts"
import type { Plan } from "./provider.ts"

/**
 * Checks the rate limits of the simulated provider with a different algorithm than the provider's: in no interval may it
 * admit more than a full bucket plus the refill in that interval. Describes the first violation. Output tokens are not
 * checked, because they are taken when answers end.
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

/** Kadane's algorithm finds the interval with the largest excess. */
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
      return `The simulated provider exceeded its limit of ${perMinute} ${what} per minute (burst ${burst}): at ${at} ms it had admitted `
        + `${excess - burst} too many`
    }
  }
  return undefined
}
