/**
 * Failures that no status, type or code tells apart: they are known by their words only.
 *
 * Every row names where the words were seen. The first row that matches decides, so the narrow ones come first.
 */
import type { Tag } from "../ClaudeError.ts"

interface Row {
  readonly words: RegExp
  readonly tag: Tag
  readonly source: string
}

const rows: ReadonlyArray<Row> = [
  // The account has spent its money.
  {
    words: /reached your (specified )?(\w+ )?API usage limits/i,
    tag: "SpendLimitReached",
    source: "platform.claude.com/docs/en/api/rate-limits (spend limits)"
  },
  {
    words: /credit balance is too low/i,
    tag: "SpendLimitReached",
    source: "platform.claude.com/docs/en/api/errors (billing)"
  },
  {
    words: /out of extra usage/i,
    tag: "SpendLimitReached",
    source: "github.com/griffinmartin/opencode-claude-auth/issues/209"
  },
  {
    words: /budget has been exceeded|\bexceeded ?budget\b|crossed budget/i,
    tag: "SpendLimitReached",
    source: "github.com/BerriAI/litellm/issues/14144 (LiteLLM proxy)"
  },
  {
    words:
      /exceeded your current quota|insufficient (credits|balance)|(budget|spend(ing)?|credit) limit (has been )?(exceeded|reached)/i,
    tag: "SpendLimitReached",
    source: "github.com/NousResearch/hermes-agent/pull/45243 (OpenAI, OpenRouter and other gateways)"
  },
  // The account may not do this.
  {
    words: /\b(organization|workspace|account) (has been|is|was) (\w+ )?(disabled|suspended|deactivated|banned)/i,
    tag: "Forbidden",
    source: "github.com/anthropics/claude-code/issues/19028"
  },
  {
    words: /extra usage is required/i,
    tag: "Forbidden",
    source: "github.com/NousResearch/hermes-agent/pull/4747 (a 429 that no wait mends)"
  },
  // The prompt is too long.
  {
    words: /prompt is too long|exceeds? (the )?context (limit|window)/i,
    tag: "ContextWindowExceeded",
    source: "platform.claude.com/docs/en/build-with-claude/context-windows"
  },
  {
    words: /input is too long for (the )?requested model/i,
    tag: "ContextWindowExceeded",
    source: "docs.aws.amazon.com/bedrock (ValidationException of InvokeModel)"
  },
  // Transient, although they arrive as a 400.
  {
    words: /grammar compilation timed out/i,
    tag: "ServerFault",
    source: "github.com/growthxai/output/issues/313"
  },
  {
    words: /unable to parse tool parameter json from model/i,
    tag: "ServerFault",
    source: "the message stream of @anthropic-ai/sdk before 1.0"
  }
]

/** The kind of error that these words mean, if no other sign tells. */
export const tagOf = (words: string | undefined): Tag | undefined =>
  words === undefined ? undefined : rows.find((row) => row.words.test(words))?.tag
