import { describe, it } from "@effect/vitest"
import type { Effect, Scope } from "effect"

/** How much is tried: all of it by `npm run test:long`, and a share of it by `npm test`, which takes a minute. */
const isLong = process.env["LONG"] === "1"

/** How often a property is tried. */
export const runs = (all: number): number => isLong ? all : Math.max(20, Math.round(all / 8))

/** Every so manieth of many cases, the first one and the last one among them. */
export const oneIn = <A>(step: number, all: ReadonlyArray<A>): ReadonlyArray<A> =>
  isLong ? all : all.filter((_, i) => i % step === 0 || i === all.length - 1)

/** The one or the other. */
export const effort = <A>(full: A, quick: A): A => isLong ? full : quick

/** A test of `npm run test:long` alone: it takes long, and has a shorter one elsewhere. */
export const itLong = (
  name: string,
  test: () => Effect.Effect<unknown, unknown, Scope.Scope>,
  timeout?: number
): void => {
  if (isLong) it.effect(name, test, timeout)
}

/** The same for several tests. */
export const describeLong = (name: string, tests: () => void): void => {
  if (isLong) describe(name, tests)
}
