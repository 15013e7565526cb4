/** The waits of the schedules of `Retry`: how long, and whether at all. */
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

/** What is random in a wait: nothing; all of it (0 to the wait); up to one `base` on top; a fifth up or down. */
export type Jitter = "none" | "full" | "additive" | "proportional"

/** What all waits have. */
export interface WaitOptions {
  /** How many retries: 3 means at most 4 attempts. */
  readonly times: number
  /** The first wait: 1 second. */
  readonly base?: Duration.Input | undefined
  /** The longest wait: 30 seconds, or `base` if that is longer. A server that asks for more gets more. */
  readonly cap?: Duration.Input | undefined
  readonly jitter?: Jitter | undefined
}

/** Where a wait starts and how far it reaches, in milliseconds. A server's hint moves the start, never the reach. */
const jitters: {
  readonly [J in Jitter]: (wait: number, base: number) => readonly [start: number, reach: number]
} = {
  none: (wait) => [wait, 0],
  full: (wait) => [0, wait],
  additive: (wait, base) => [wait, base],
  proportional: (wait) => [wait * 0.8, wait * 0.4]
}

/** A schedule whose waits grow by `grow`. `where` and `usual` are its name and jitter. */
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
    Refuse.refuse(`${where}: jitter is ${jitter}: it must be "none", "full", "additive" or "proportional"`)
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
  return Plan.note(reasonable(schedule), { kind: "waits", times })
}

/**
 * Begins no wait that cannot end before the deadline, and none for what waiting cannot mend. Under a policy, `retryState` asks
 * about the deadline.
 */
export const reasonable = <O>(self: Schedule.Schedule<O, unknown>): Schedule.Schedule<O, unknown> =>
  Schedule.fromStep(
    Effect.map(Schedule.toStep(self), (step) => (now: number, input: unknown): ReturnType<typeof step> =>
      Effect.flatMap(step(now, input), ([output, wait]) =>
        ClaudeError.is(input) && isPermanent(input)
          ? Cause.done(output)
          : Effect.flatMap(
            beforeDeadline(now, wait, input),
            (wait) =>
              wait === undefined ? Cause.done(output) : Effect.succeed([output, wait] as [O, Duration.Duration])
          )))
  )
