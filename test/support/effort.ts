import { describe, it } from "@effect/vitest"
import type { Effect, Scope } from "effect"

/** `npm run test:long` runs all cases; `npm test` runs a share of them, so that it takes only a minute. */
const isLong = process.env["LONG"] === "1"

/** The number of runs of a property. */
export const runs = (all: number): number => isLong ? all : Math.max(20, Math.round(all / 8))

/** Every n-th of many cases, the first and the last included. */
export const oneIn = <A>(step: number, all: ReadonlyArray<A>): ReadonlyArray<A> =>
  isLong ? all : all.filter((_, i) => i % step === 0 || i === all.length - 1)

/** Picks the value for the long or the short tests. */
export const effort = <A>(full: A, quick: A): A => isLong ? full : quick

/** A test that only `npm run test:long` runs; a shorter version of it is always run. */
export const itLong = (
  name: string,
  test: () => Effect.Effect<unknown, unknown, Scope.Scope>,
  timeout?: number
): void => {
  if (isLong) it.effect(name, test, timeout)
}

/** Tests that only `npm run test:long` runs. */
export const describeLong = (name: string, tests: () => void): void => {
  if (isLong) describe(name, tests)
}
