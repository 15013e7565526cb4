import * as Chance from "./chance.ts"
import type { Fault } from "./responses.ts"

/** How a simulated model answers: its times, sizes and faults. */
export interface Behaviour {
  /** The time from the request to the headers of an answer. Default and maximum: the time to the first token. */
  readonly headers?: Chance.Time | undefined
  /** The time from the request to the first token. Default: uniform, 0.25 to 0.4 seconds. */
  readonly firstToken?: Chance.Time | undefined
  /** The time from the first token to the end. Default: 50 milliseconds. */
  readonly length?: Chance.Time | undefined
  /** Output tokens of an answer, at most the `max_tokens` of the request. Default: 100. */
  readonly output?: Chance.Size | undefined
  /** Replaces `length`: the time from the first token to the end follows from the output tokens. */
  readonly tokensPerSecond?: number | undefined
  /** The time from the request to an error. Default: 30 milliseconds. */
  readonly error?: Chance.Time | undefined
  /**
   * For each fault, the fraction of requests (0 to 1) that get it, throughout the run. A request that gets the fault of an
   * incident gets none of these faults.
   */
  readonly faults?: { readonly [F in Fault]?: number } | undefined
}

export interface Compiled {
  readonly headers: Chance.Draw | undefined
  readonly firstToken: Chance.Draw
  readonly length: Chance.Draw
  readonly output: Chance.Draw
  readonly tokensPerSecond: number | undefined
  readonly error: Chance.Draw
  /** `roll` is a random number in [0, 1). */
  readonly fault: (roll: number) => Fault | undefined
}

export const compile = (
  { error = 30, faults = {}, firstToken = usual, headers, length = 50, output = 100, tokensPerSecond }: Behaviour
): Compiled => {
  let sum = 0
  // Cast: the keys of the record are faults.
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
