/** How a model answers. */
import * as Chance from "./chance.ts"
import type { Fault } from "./responses.ts"

/** How a model answers, and what goes wrong with it. */
export interface Behaviour {
  /** From the request to the headers of an answer: as long as to the first token. */
  readonly headers?: Chance.Time | undefined
  /** From the request to the first token: uniform, 0.25 to 0.4 seconds. */
  readonly firstToken?: Chance.Time | undefined
  /** From the first token to the end: 50 milliseconds. */
  readonly length?: Chance.Time | undefined
  /** Output tokens of an answer: 100, and never more than its `max_tokens`. */
  readonly output?: Chance.Size | undefined
  /** Where it is given, an answer is as long as its output takes. */
  readonly tokensPerSecond?: number | undefined
  /** From the request to an error: 30 milliseconds. */
  readonly error?: Chance.Time | undefined
  /** Which share of the requests meets which fault, all the time. */
  readonly faults?: { readonly [F in Fault]?: number } | undefined
}

/** The same, ready to draw from. */
export interface Compiled {
  readonly headers: Chance.Draw | undefined
  readonly firstToken: Chance.Draw
  readonly length: Chance.Draw
  readonly output: Chance.Draw
  readonly tokensPerSecond: number | undefined
  readonly error: Chance.Draw
  /** The fault for a random number, if there is one. */
  readonly fault: (roll: number) => Fault | undefined
}

/** What is meant by a behaviour. */
export const compile = (
  { error = 30, faults = {}, firstToken = usual, headers, length = 50, output = 100, tokensPerSecond }: Behaviour
): Compiled => {
  let sum = 0
  // The keys of the record are faults: an object literal of that type.
  const upTo = Object.entries(faults).map(([fault, share]) => [fault as Fault, sum += share ?? 0] as const)
  return {
    headers: headers === undefined ? undefined : Chance.time(headers),
    firstToken: Chance.time(firstToken),
    length: Chance.time(length),
    output: Chance.size(output),
    tokensPerSecond,
    error: Chance.time(error),
    fault: (roll) => upTo.find(([, end]) => roll < end)?.[0]
  }
}

const usual: Chance.Time = { uniform: [250, 400] }
