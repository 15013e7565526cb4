/** Fits the wait before an attempt into the time left, so that the attempt can end before the deadline. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { is, retryAfter } from "../ClaudeError.ts"
import * as Current from "../Current.ts"

/** An estimate of the time that an answer needs at least, in milliseconds. */
const shortestAnswer = 1000

/**
 * Fits a wait into `left`, the time until the deadline. The result is at least `hint`, the minimum that the server, a
 * circuit or a queue asks for, and leaves at least half of the time after the hint to the answer. A longer wait is replaced
 * by a random wait in these bounds. `undefined` if the hint reaches the deadline, or if the wait is too long and less than
 * `shortestAnswer` is left after the hint. All times are in milliseconds. `share` returns a random number from 0 to 1.
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
 * Like `inTime`, for `Current.Deadline` and the hint of `failure`. While further fallback models remain, that deadline is
 * the end of the current model's share of the time (`modelFallback`), and earlier than the deadline of the call.
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
