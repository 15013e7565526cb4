import * as Duration from "effect/Duration"
import { hasProperty } from "effect/Predicate"

/**
 * A number in [0, 1) for the `index`-th request or call; another one for each `purpose`. With the same seed, all contenders
 * get the same numbers, no matter how many numbers each contender uses.
 */
export type Chance = (index: number, purpose: number) => number

/** The finalizer of MurmurHash3 (Appleby, public domain): each input bit changes about half of the output bits. */
const mix = (hash: number): number => {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

export const make = (seed: number | string): Chance => {
  let base = 0
  for (const character of String(seed)) base = mix(base ^ (character.codePointAt(0) ?? 0)) + 0x9e3779b9
  return (index, purpose) =>
    (mix(mix(base + Math.imul(index, 0x9e3779b1)) + Math.imul(purpose, 0x7feb352d)) >>> 0) / 2 ** 32
}

/**
 * A time: constant, uniform between two times, or log-normal. With a `sigma` of 0.5, about one time in 44 exceeds 2.7 times
 * the median.
 */
export type Time =
  | Duration.Input
  | { readonly uniform: readonly [from: Duration.Input, to: Duration.Input] }
  | {
    readonly median: Duration.Input
    readonly sigma: number
    /** Default: 0.2 seconds. */
    readonly min?: Duration.Input | undefined
    /** Default: 10 minutes. */
    readonly max?: Duration.Input | undefined
  }

/** A number: constant, uniform between two numbers, or log-normal and at least 1. */
export type Size =
  | number
  | { readonly uniform: readonly [from: number, to: number] }
  | { readonly median: number; readonly sigma: number }

export type Draw = (chance: Chance, index: number, purpose: number) => number

/** Draws a time in milliseconds. */
export const time = (time: Time): Draw => {
  if (hasProperty(time, "uniform")) return uniform(millis(time.uniform[0]), millis(time.uniform[1]))
  if (hasProperty(time, "median")) {
    return logNormal(millis(time.median), time.sigma, millis(time.min ?? 200), millis(time.max ?? 600_000))
  }
  const fixed = millis(time)
  return () => fixed
}

export const size = (size: Size): Draw => {
  if (typeof size === "number") return () => size
  return "uniform" in size ? uniform(...size.uniform) : logNormal(size.median, size.sigma, 1, Infinity)
}

const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))

const uniform = (from: number, to: number): Draw => (chance, index, purpose) =>
  Math.round(from + (to - from) * chance(index, purpose))

/**
 * The Box-Muller transform of two uniform numbers. `purpose` must be below 1000, because the second number has the purpose
 * `purpose + 1000`.
 */
const logNormal = (median: number, sigma: number, min: number, max: number): Draw => (chance, index, purpose) => {
  const radius = Math.sqrt(-2 * Math.log(1 - chance(index, purpose)))
  const normal = radius * Math.cos(2 * Math.PI * chance(index, purpose + 1000))
  return Math.min(max, Math.max(min, Math.round(median * Math.exp(sigma * normal))))
}
