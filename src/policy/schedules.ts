import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ClaudeError from "../ClaudeError.ts"
import * as Refuse from "../options.ts"
import { isPermanent } from "../permanence.ts"
import * as Plan from "./plan.ts"
import { beforeDeadline } from "./waitBeforeDeadline.ts"

/** How a wait is randomized: `full`, from 0 to the wait; `additive`, up to one `base` more; `proportional`, ±20 %. */
export type Jitter = "none" | "full" | "additive" | "proportional"

/** Options of `Retry.backoff` and `Retry.linear`. */
export interface WaitOptions {
  /** The number of retries: 3 means at most 4 attempts. */
  readonly times: number
  /** The first wait, before jitter. Default: 1 second. */
  readonly base?: Duration.Input | undefined
  /** The longest wait, except after an error with a `retryAfter`. Default: 30 seconds, or `base` if that is longer. */
  readonly cap?: Duration.Input | undefined
  readonly jitter?: Jitter | undefined
}

/** The minimum of a wait and the size of its random part, in milliseconds. `retry-after` raises the minimum only. */
const jitters: {
  readonly [J in Jitter]: (wait: number, base: number) => readonly [start: number, reach: number]
} = {
  none: (wait) => [wait, 0],
  full: (wait) => [0, wait],
  additive: (wait, base) => [wait, base],
  proportional: (wait) => [wait * 0.8, wait * 0.4]
}

/**
 * A schedule whose n-th wait, before jitter, is `grow(base, n)`, but at most `cap`. `where`: its name in messages. `usual`:
 * its default jitter.
 */
export const waits = (
  where: string,
  options: WaitOptions,
  usual: Jitter,
  grow: (base: number, n: number) => number
): Schedule.Schedule<unknown, unknown> => {
  const times = Refuse.count(`${where}: times`, options.times)
  const base = Refuse.millis(`${where}: base`, options.base ?? "1 second")
  const cap = Refuse.millis(`${where}: cap`, options.cap ?? Math.max(base, 30_000))
  const jitter = options.jitter ?? usual
  if (!Object.hasOwn(jitters, jitter)) {
    Refuse.refuse(
      `${where}: jitter is ${Refuse.shown(jitter)}: it must be "none", "full", "additive" or "proportional"`
    )
  }
  if (base > cap) {
    Refuse.refuse(
      `${where}: base (${Refuse.show(base)}) is longer than cap (${Refuse.show(cap)}): raise cap or lower base`
    )
  }
  const wait = (n: number) => Math.min(cap, grow(base, n))

  const schedule = Schedule.recurs(times).pipe(
    Schedule.modifyDelay(({ attempt, input }) =>
      Effect.map(Random.next, (share) => {
        const [start, reach] = jitters[jitter](wait(attempt), base)
        const hint = ClaudeError.is(input) ? ClaudeError.retryAfter(input) : undefined
        return hint === undefined
          ? Math.round(Math.min(cap, start + share * reach))
          : Math.ceil(Math.max(start, Duration.toMillis(hint)) + share * reach)
      })
    )
  )
  return Plan.note(whileWorthRetrying(schedule), { kind: "waits", times })
}

/**
 * Stops at a permanent error, and before a wait that leaves no time for an answer before `Current.Deadline`. Under a policy,
 * `retryState` checks the deadline instead.
 */
export const whileWorthRetrying = <O>(self: Schedule.Schedule<O, unknown>): Schedule.Schedule<O, unknown> =>
  Schedule.fromStep(
    Effect.map(
      Schedule.toStep(self),
      (step) => (now: number, input: unknown): ReturnType<typeof step> =>
        Effect.flatMap(step(now, input), ([output, wait]) =>
          ClaudeError.is(input) && isPermanent(input)
            ? Cause.done(output)
            : Effect.flatMap(
              beforeDeadline(now, wait, input),
              (wait) =>
                wait === undefined ? Cause.done(output) : Effect.succeed([output, wait] as [O, Duration.Duration])
            ))
    )
  )
