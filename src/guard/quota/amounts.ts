/** What calls use, in the dimensions that are limited. */
import type { Amount } from "./Quota.ts"

/** The dimensions of an amount. */
export const dimensions = ["requests", "input", "output"] as const

/** Builds an amount dimension by dimension. */
export const build = (f: (dimension: keyof Amount) => number): Amount => ({
  requests: f("requests"),
  input: f("input"),
  output: f("output")
})

/** Nothing. */
export const zero: Amount = { requests: 0, input: 0, output: 0 }

/** Both together. */
export const plus = (a: Amount, b: Amount): Amount => ({
  requests: a.requests + b.requests,
  input: a.input + b.input,
  output: a.output + b.output
})

/** What is left of one without the other. */
export const minus = (a: Amount, b: Amount): Amount => ({
  requests: a.requests - b.requests,
  input: a.input - b.input,
  output: a.output - b.output
})

/** A part of it. */
export const times = (a: Amount, share: number): Amount => ({
  requests: a.requests * share,
  input: a.input * share,
  output: a.output * share
})
