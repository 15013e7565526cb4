import type { Amount } from "./Quota.ts"

export const dimensions = ["requests", "input", "output"] as const

export const build = (f: (dimension: keyof Amount) => number): Amount => ({
  requests: f("requests"),
  input: f("input"),
  output: f("output")
})

export const zero: Amount = { requests: 0, input: 0, output: 0 }

export const plus = (a: Amount, b: Amount): Amount => ({
  requests: a.requests + b.requests,
  input: a.input + b.input,
  output: a.output + b.output
})

export const minus = (a: Amount, b: Amount): Amount => ({
  requests: a.requests - b.requests,
  input: a.input - b.input,
  output: a.output - b.output
})

export const times = (a: Amount, share: number): Amount => ({
  requests: a.requests * share,
  input: a.input * share,
  output: a.output * share
})
