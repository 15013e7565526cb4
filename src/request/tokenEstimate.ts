/** Estimates the tokens of a request from its content and from the usage of earlier answers. */
import type { Params, Usage } from "../Message.ts"
import * as Content from "./content.ts"

/** The expected tokens of a request. */
export interface Estimate {
  readonly content: Content.Content
  readonly input: number
  readonly output: number
}

/** Higher than for English text (about 1/4), so that the first estimates are rather too high than too low. */
const firstTokensPerCharacter = 1 / 3

/** Lower than in any real text, for a lower bound. */
const fewestTokensPerCharacter = 1 / 6

/**
 * The estimate for an image. The API scales larger images down to about as many tokens; models that see images in high
 * resolution may count more. Source: platform.claude.com/docs/en/build-with-claude/vision.
 */
const perImage = 1600

/**
 * The first estimate for a document: a few pages. Source: platform.claude.com/docs/en/build-with-claude/pdf-support,
 * 1,500 to 3,000 tokens a page.
 */
const firstPerDocument = 10_000

/** The first estimate for a server tool: one or two searches. Tuned with web searches followed by short chats. */
const firstPerServerTool = 5000

/** The first estimate of the output: a short page. */
const firstOutput = 512

/** The weight of a new answer in the moving average: about the last ten count. */
const weight = 0.1

/**
 * The weight for documents and server tools, which differ more: about the last three answers count. Tuned with 20
 * documents of 80,000 tokens, then short chats.
 */
const weightOfParts = 0.3

/** An estimate is the mean output times this factor, because answers differ much in length. */
const spread = 2

/** The lowest possible number of tokens in a text of this many characters. */
export const atLeast = (characters: number): number => Math.floor(characters * fewestTokensPerCharacter)

/** The input tokens that count against a rate limit: tokens read from the cache do not count. */
export const inputOf = (usage: Usage): number => usage.input_tokens + (usage.cache_creation_input_tokens ?? 0)

/** All input tokens, including tokens read from the cache. */
export const allInputOf = (usage: Usage): number => inputOf(usage) + (usage.cache_read_input_tokens ?? 0)

/** Learns how many tokens a character, a document, a server tool and an answer take, for one class of models. */
export class Estimator {
  tokensPerCharacter = firstTokensPerCharacter
  perDocument = firstPerDocument
  perServerTool = firstPerServerTool
  output = firstOutput
  hasAnswered = false

  of(params: Params): Estimate {
    const content = Content.of(params)
    return {
      content,
      input: this.input(content),
      // An invalid `max_tokens` does not limit the estimate: the API refuses the request.
      output: Math.min(params.max_tokens > 0 ? params.max_tokens : Infinity, Math.ceil(this.output * spread))
    }
  }

  /** The input tokens of the amounts, without the tokens of the prefix `before`. */
  input({ characters, documents, images, serverTools }: Content.Amounts, before = nothing): number {
    return Math.ceil(
      (characters - before.characters) * this.tokensPerCharacter
        + (images - before.images) * perImage
        + (documents - before.documents) * this.perDocument
        + serverTools * this.perServerTool
    )
  }

  /** Learns from the usage of an answer. Only a request of pure text updates the tokens per character. */
  learn(content: Content.Amounts, usage: Usage): void {
    const { characters, documents, images, serverTools } = content
    const tokens = allInputOf(usage)
    if (documents + images + serverTools === 0) {
      if (characters > 0) this.tokensPerCharacter += weight * (tokens / characters - this.tokensPerCharacter)
      return
    }
    const rest = Math.max(0, tokens - this.input({ ...content, documents: 0, serverTools: 0 }))
    if (serverTools === 0 && documents > 0) {
      this.perDocument += weightOfParts * (rest / documents - this.perDocument)
    }
    if (documents === 0 && serverTools > 0) {
      this.perServerTool += weightOfParts * (rest / serverTools - this.perServerTool)
    }
  }

  /** The mean output tokens; 0 before the first answer. */
  get usualOutput(): number {
    return this.hasAnswered ? this.output : 0
  }

  learnOutput(usage: Usage): void {
    this.hasAnswered = true
    this.output += weight * (usage.output_tokens - this.output)
  }
}

const nothing: Content.Amounts = { characters: 0, images: 0, documents: 0, serverTools: 0 }
