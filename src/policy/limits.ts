import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Current from "../Current.ts"
import * as Refuse from "../options.ts"

export const ofAttempt: { readonly [K in keyof Required<Current.Limits>]: true } = {
  connect: true,
  firstToken: true,
  idle: true,
  contentIdle: true,
  attempt: true
}

const names = ["connect", "idle", "contentIdle", "firstToken", "attempt", "overall", "streamOverall"] as const

type Name = typeof names[number]

/** Pairs in which the second limit includes the time of the first, so a longer first limit would never be reached. */
const dominated: ReadonlyArray<readonly [shorter: Name, longer: Name]> = [
  ["connect", "firstToken"],
  ["idle", "contentIdle"],
  ["connect", "attempt"],
  ["firstToken", "attempt"],
  ["idle", "attempt"],
  ["contentIdle", "attempt"],
  ["connect", "overall"],
  ["firstToken", "overall"],
  ["attempt", "overall"],
  ["firstToken", "streamOverall"],
  ["overall", "streamOverall"]
]

/** In milliseconds. */
export type Given = { readonly [N in Name]?: number }

/**
 * Converts the limits to milliseconds. Throws a `RangeError` if one is not a duration, or is longer than a limit that
 * includes it. The message begins with `where`.
 */
export const lengths = (
  where: string,
  limits: { readonly [N in Name]?: Duration.Input | undefined }
): Given => {
  const given: { [N in Name]?: number } = {}
  for (const name of names) {
    const limit = limits[name]
    if (limit !== undefined) given[name] = Refuse.millis(`${where}: ${name}`, limit)
  }
  for (const [shorter, longer] of dominated) {
    const [a, b] = [given[shorter], given[longer]]
    if (a !== undefined && b !== undefined && a > b) {
      Refuse.refuse(
        `${where}: ${shorter} (${Refuse.show(a)}) is longer than ${longer} (${
          Refuse.show(b)
        }), so it is never reached: lower ${shorter} or raise ${longer}`
      )
    }
  }
  return given
}

export const setting =
  (given: Pick<Given, keyof Current.Limits>) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateService(self, Current.Limits, (outer) => ({ ...outer, ...given }))
