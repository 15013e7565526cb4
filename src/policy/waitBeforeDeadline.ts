/** How long to wait before another attempt, so that this attempt can still end in time. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { is, retryAfter } from "../ClaudeError.ts"
import * as Current from "../Current.ts"

/** The shortest time in which Claude answers, in milliseconds. */
const shortestAnswer = 1000

/**
 * The wait in milliseconds, if `left` is the time until the deadline; nothing if no attempt can end in that. A hint
 * (the server's, or ours of a circuit or queue) is kept: if it ends too late, so does the attempt. A wait of our own that
 * takes more than half of the time after the hint is drawn again from that half (`share` gives a random number from 0 to
 * 1): the other half is for the answer.
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
 * The same before `Current.Deadline`, after a failure that may carry a hint. With `models`, that deadline is the share of the
 * model that is asked (`modelFallback`), and earlier than the overall one.
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
