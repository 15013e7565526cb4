/** Fits the wait before an attempt into the time left, so that the attempt can end before the deadline. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { is, retryAfter } from "../ClaudeError.ts"
import * as Current from "../Current.ts"

/** The least time that an answer needs, in milliseconds: an estimate. */
const shortestAnswer = 1000

/**
 * The wait in milliseconds, where `left` is the time until the deadline; `undefined` if no attempt can end in that time.
 * `hint` (from the server, a circuit or a queue) is the minimum. If the wait would end in the second half of the time after
 * the hint, a random wait that ends in the first half replaces it, so that the second half remains for the answer. `share`
 * gives a number from 0 to 1.
 */
export const inTime = (
  wait: number,
  { hint = 0, left, share }: { readonly hint?: number | undefined; readonly left: number; readonly share: () => number }
): number | undefined => {
  const asked = Math.max(wait, hint)
  if (hint >= left) return undefined
  const latest = hint + (left - hint) / 2
  if (asked <= latest) return asked
  return left - hint < shortestAnswer ? undefined : Math.round(hint + share() * (latest - hint))
}

/**
 * Like `inTime`, for `Current.Deadline` and the hint of `failure`. With fallback models, that deadline is the end of the
 * current model's share (`modelFallback`), and earlier than the deadline of the call.
 */
export const beforeDeadline = Effect.fnUntraced(function*(now: number, wait: Duration.Duration, failure: unknown) {
  const hint = is(failure) ? retryAfter(failure) : undefined
  const random = yield* Random.Random
  const millis = inTime(Duration.toMillis(wait), {
    hint: hint && Duration.toMillis(hint),
    left: (yield* Current.Deadline) - now,
    share: () => random.nextDoubleUnsafe()
  })
  return millis === undefined ? undefined : Duration.millis(millis)
})
