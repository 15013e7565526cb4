/** What a request will use, before anybody knows: by what is in it, and by what was learned of those before it. */
import type { Params, Usage } from "../Message.ts"
import * as Content from "./content.ts"

/** Tokens that a request is expected to use. */
export interface Estimate {
  readonly content: Content.Content
  readonly input: number
  readonly output: number
}

/** Higher than English text (about 1/4), so that the first estimates are too large, not too small. */
const firstTokensPerCharacter = 1 / 3

/** Fewer than any text has: what is too large by this is too large. */
const fewestTokensPerCharacter = 1 / 6

/** Tokens of an image: the API scales larger ones down to this. Source: platform.claude.com/docs/en/build-with-claude/vision. */
const perImage = 1600

/** A document of some pages, until one was read. Source: the same/pdf-support, 1,500 to 3,000 tokens a page. */
const firstPerDocument = 10_000

/** The results of a search or two, until some were read. Scenario: web searches, then short chats. */
const firstPerServerTool = 5000

/** A short page. */
const firstOutput = 512

/** How much each answer teaches: about the last ten count. */
const weight = 0.1

/** Documents differ more: about the last three count. Scenario: 20 documents of 80,000 tokens, then short chats. */
const weightOfParts = 0.3

/** Room above the mean: answers differ in length more than in anything else. */
const spread = 2

/** The tokens that there are at least in so many characters. */
export const atLeast = (characters: number): number => Math.floor(characters * fewestTokensPerCharacter)

/** What the API counts as used: cached tokens that are read are free. */
export const inputOf = (usage: Usage): number => usage.input_tokens + (usage.cache_creation_input_tokens ?? 0)

/** All that it read, and so all that was sent. */
export const allInputOf = (usage: Usage): number => inputOf(usage) + (usage.cache_read_input_tokens ?? 0)

/** Learns, for one class of models, how many tokens characters and documents are, and how long answers are. */
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
      // What is no number of tokens is for the API to refuse.
      output: Math.min(params.max_tokens > 0 ? params.max_tokens : Infinity, Math.ceil(this.output * spread))
    }
  }

  /** The tokens of all that, without what comes before. */
  input({ characters, documents, images, serverTools }: Content.Amounts, before = nothing): number {
    return Math.ceil(
      (characters - before.characters) * this.tokensPerCharacter
        + (images - before.images) * perImage
        + (documents - before.documents) * this.perDocument
        + serverTools * this.perServerTool
    )
  }

  /** From what the API says that it has read. A text teaches only what texts are, and where nothing else is read with it. */
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

  /** How long answers were, if there were any. */
  get usualOutput(): number {
    return this.hasAnswered ? this.output : 0
  }

  learnOutput(usage: Usage): void {
    this.hasAnswered = true
    this.output += weight * (usage.output_tokens - this.output)
  }
}

const nothing: Content.Amounts = { characters: 0, images: 0, documents: 0, serverTools: 0 }
