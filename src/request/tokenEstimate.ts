/** Estimates the tokens of a request from its content and from the usage of earlier answers. */
import type { Params, Usage } from "../Message.ts"
import * as Content from "./content.ts"

export interface Estimate {
  readonly content: Content.Content
  /** In tokens, with those that the API reads from its cache. */
  readonly input: number
  /** In tokens. */
  readonly output: number
}

/** Higher than for English text (about 1/4), so that the first estimates are too high rather than too low. */
const firstTokensPerCharacter = 1 / 3

/** Lower than in ordinary text, so that `atLeast` is a lower bound. */
const fewestTokensPerCharacter = 1 / 6

/**
 * The API scales large images down to about this many tokens. A model that sees images in high resolution may count more.
 * Source: platform.claude.com/docs/en/build-with-claude/vision.
 */
const perImage = 1600

/**
 * The first estimate for a document: a few pages. Source: platform.claude.com/docs/en/build-with-claude/pdf-support,
 * 1,500 to 3,000 tokens a page.
 */
const firstPerDocument = 10_000

/**
 * The first estimate for each server tool of a request, in tokens: one or two searches. Tuned with the lab scenario
 * web-searches.
 */
const firstPerServerTool = 5000

/** In tokens: a short page of text. */
const firstOutput = 512

/** The weight of a new answer in the moving average: about the last ten answers determine the average. */
const weight = 0.1

/**
 * The weight for documents and server tools. It is higher, because their tokens differ more: about the last three answers
 * determine the average. Tuned with 20 documents of 80,000 tokens, then short chats.
 */
const weightOfParts = 0.3

/** The estimated output is the mean output times this factor, because the length of answers differs much. */
const spread = 2

/** A lower bound for the tokens in ordinary text. */
export const atLeast = (characters: number): number => Math.floor(characters * fewestTokensPerCharacter)

/** The input tokens that count against a rate limit: tokens read from the cache do not count. */
export const inputOf = (usage: Usage): number => usage.input_tokens + (usage.cache_creation_input_tokens ?? 0)

export const allInputOf = (usage: Usage): number => inputOf(usage) + (usage.cache_read_input_tokens ?? 0)

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
      // An invalid `max_tokens` is ignored: the API refuses the request anyway.
      output: Math.min(params.max_tokens > 0 ? params.max_tokens : Infinity, Math.ceil(this.output * spread))
    }
  }

  /** The estimated input tokens, without the tokens of the prefix `before`. */
  input({ characters, documents, images, serverTools }: Content.Amounts, before = nothing): number {
    return Math.ceil(
      (characters - before.characters) * this.tokensPerCharacter
        + (images - before.images) * perImage
        + (documents - before.documents) * this.perDocument
        + serverTools * this.perServerTool
    )
  }

  /**
   * A request of pure text updates the tokens per character. A request with documents or server tools updates the tokens
   * per document or per server tool. A request with both updates neither, because the usage does not tell their tokens
   * apart.
   */
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

  /** The mean output tokens of the answers; 0 before the first answer. */
  get usualOutput(): number {
    return this.hasAnswered ? this.output : 0
  }

  learnOutput(usage: Usage): void {
    this.hasAnswered = true
    this.output += weight * (usage.output_tokens - this.output)
  }
}

const nothing: Content.Amounts = { characters: 0, images: 0, documents: 0, serverTools: 0 }
