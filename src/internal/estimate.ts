/** What a request will use, before anybody knows: by its characters, and by what was learned of those before it. */
import type { Params, Usage } from "../Message.ts"
import { charactersIn } from "./bounds.ts"

/** Tokens that a request is expected to use. */
export interface Estimate {
  readonly characters: number
  readonly input: number
  readonly output: number
}

/** More than English text has, so that the first calls are rather taken for too large. */
const firstTokensPerCharacter = 1 / 3

/** Fewer than any text has: what is too large by this is too large. */
const fewestTokensPerCharacter = 1 / 6

/** A short page. */
const firstOutput = 512

/** How much each answer teaches: about the last ten count. */
const weight = 0.1

/** Room above the mean: answers differ in length more than in anything else. */
const spread = 2

/** The tokens that there are at least in so many characters. */
export const atLeast = (characters: number): number => Math.floor(characters * fewestTokensPerCharacter)

/** What the API counts as used: cached tokens that are read are free. */
export const inputOf = (usage: Usage): number => usage.input_tokens + (usage.cache_creation_input_tokens ?? 0)

/** Learns, for one class of models, how many tokens characters are, and how long answers are. */
export class Estimator {
  tokensPerCharacter = firstTokensPerCharacter
  output = firstOutput

  of(params: Params): Estimate {
    const characters = charactersIn(params)
    return {
      characters,
      input: Math.ceil(characters * this.tokensPerCharacter),
      // What is no number of tokens is for the API to refuse.
      output: Math.min(params.max_tokens > 0 ? params.max_tokens : Infinity, Math.ceil(this.output * spread))
    }
  }

  learn(characters: number, usage: Usage): void {
    if (characters > 0) {
      this.tokensPerCharacter += weight * (inputOf(usage) / characters - this.tokensPerCharacter)
    }
    this.output += weight * (usage.output_tokens - this.output)
  }
}
