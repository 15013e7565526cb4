/**
 * Failures that no status, type or code tells apart: they are known by their words only.
 *
 * Words decide last. Where status or type says something of its own (a 5xx, a
 * 404, an overload), they are not asked: a proxy's "retry budget exceeded" is no
 * spent account. Quotations are left out, because a message may quote the user.
 */
import type { Answered } from "./errorCodes.ts"

interface Row {
  readonly words: RegExp
  readonly tag: Answered
  /** Where the words were seen. */
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
    words:
      /^budget has been exceeded|exceeded(token)?budget:|crossed budget:|max budget( limit reached|:| for )|exceeded budget for/i,
    tag: "SpendLimitReached",
    source: "github.com/BerriAI/litellm/issues/14144, /36729 and its proxy's auth_checks and max_budget_limiter"
  },
  {
    // Gemini says the same of a minute, and when to come back.
    words: /exceeded your current quota(?!.*retry in)/is,
    tag: "SpendLimitReached",
    source: "platform.openai.com/docs/guides/error-codes (insufficient_quota)"
  },
  {
    words: /\binsufficient (credits|balance)\b|\bkey (budget|credit|spend(ing)?) limit exceeded/i,
    tag: "SpendLimitReached",
    source: "github.com/NousResearch/hermes-agent/pull/45243 (OpenRouter, DeepSeek)"
  },
  // The account may not do this.
  {
    words:
      /\b(organization|workspace|account) (has been|is|was) (\w+ )?(disabled|suspended|deactivated|banned)\b(?! from)/i,
    tag: "PermissionDenied",
    source: "github.com/anthropics/claude-code/issues/19028"
  },
  {
    words: /extra usage is required/i,
    tag: "PermissionDenied",
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
    source: "docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html (ValidationException)"
  },
  {
    words: /maximum context length is [\d,]+ tokens/i,
    tag: "ContextWindowExceeded",
    source: "platform.openai.com/docs/guides/error-codes (context_length_exceeded), as OpenRouter passes it on"
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

/** What these say of themselves is enough. */
const speakingTypes: ReadonlySet<unknown> = new Set([
  "overloaded_error",
  "api_error",
  "timeout_error",
  "not_found_error",
  "request_too_large"
])

const silentStatuses: ReadonlySet<unknown> = new Set([undefined, 400, 401, 402, 403, 422, 429])

/** A message about a field of the request: what it names is from there. */
const aboutField = /^(messages|tools|tool_choice|thinking|system|model|max_tokens|metadata|output_config)\b[\w.[\]]*:/

const quoted = /"[^"]*"|`[^`]*`|(?<!\w)'[^']*'/g

/** The kind of error that these words mean, if status and type leave that open. */
export const tagOf = (
  words: string | undefined,
  status: number | undefined,
  type: string | undefined
): Answered | undefined => {
  if (words === undefined || speakingTypes.has(type) || !silentStatuses.has(status)) return undefined
  if (aboutField.test(words)) return undefined
  const own = words.replaceAll(quoted, "")
  return rows.find((row) => row.words.test(own))?.tag
}

/** When there is money again: "… You will regain access on 2026-12-01 at 00:00 UTC." */
export const regainsAt = (words: string | undefined): string | undefined => {
  const [, day, time = "00:00"] = /regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d))?/i.exec(words ?? "") ?? []
  return day === undefined ? undefined : `${day}T${time}:00Z`
}
