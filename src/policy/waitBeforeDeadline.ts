/** Fits the wait before an attempt into the time left, so that the attempt can end before the deadline. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { is, retryAfter } from "../ClaudeError.ts"
import * as Current from "../Current.ts"

/** The least time that an answer needs, in milliseconds: an estimate. */
const shortestAnswer = 1000

/**
 * The wait in milliseconds, where `left` is the time until the deadline. It is at least `hint`, which comes from the
 * server, a circuit or a queue, and leaves half of the time between the hint and the deadline to the answer: a longer wait
 * is replaced by a random one that does. `undefined` if the hint reaches the deadline, or if a wait would have to be replaced
 * and less than `shortestAnswer` is left after the hint. `share` gives a number from 0 to 1.
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
