/**
 * Recognizes errors by their message, where status, type and code are ambiguous.
 *
 * The message is ignored if status or type is already specific (a 5xx, a 404, an
 * overload): a proxy's "retry budget exceeded" does not mean that the account has
 * spent its money. Quotations are ignored, because they may be the user's text.
 */
import type { Answered } from "./errorCodes.ts"

interface Row {
  readonly words: RegExp
  readonly tag: Answered
  /** Where the message is documented or was reported. */
  readonly source: string
}

const rows: ReadonlyArray<Row> = [
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
    // Gemini uses the same words for a limit per minute, and adds "retry in".
    words: /exceeded your current quota(?!.*retry in)/is,
    tag: "SpendLimitReached",
    source: "platform.openai.com/docs/guides/error-codes (insufficient_quota)"
  },
  {
    words: /\binsufficient (credits|balance)\b|\bkey (budget|credit|spend(ing)?) limit exceeded/i,
    tag: "SpendLimitReached",
    source: "github.com/NousResearch/hermes-agent/pull/45243 (OpenRouter, DeepSeek)"
  },
  {
    words:
      /\b(organization|workspace|account) (has been|is|was) (\w+ )?(disabled|suspended|deactivated|banned)\b(?! from)/i,
    tag: "PermissionDenied",
    source: "github.com/anthropics/claude-code/issues/19028"
  },
  {
    words: /extra usage is required/i,
    tag: "PermissionDenied",
    source: "github.com/NousResearch/hermes-agent/pull/4747 (a 429 that is permanent)"
  },
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

/**
 * Messages with which the API refuses the JSON schema of an answer, or the parameter for it. Sources:
 * github.com/anthropics/anthropic-sdk-python/issues/1185, github.com/TanStack/ai/issues/682,
 * github.com/mozilla/bugbug/pull/6234, github.com/vercel/ai/issues/19988 (Bedrock, with words before the parameter),
 * platform.claude.com/docs/en/build-with-claude/structured-outputs.
 */
const schemaRefusals =
  /compiled grammar is too large|schema is too complex|too many (optional )?parameters|^for '\w+' type\b|(^|errors?: )output_config(\.format[\w.]*)?:/i

/** Whether the message of a 400 says that the API refuses the schema of an answer, which may then be put in the prompt. */
export const refusesSchema = (words: string | undefined): boolean => words !== undefined && schemaRefusals.test(words)

/** Error types that are specific enough without the message. */
const speakingTypes: ReadonlySet<unknown> = new Set([
  "overloaded_error",
  "api_error",
  "timeout_error",
  "not_found_error",
  "request_too_large"
])

const silentStatuses: ReadonlySet<unknown> = new Set([undefined, 400, 401, 402, 403, 422, 429])

/** A message that begins with a field of the request is ignored, because it may contain the caller's text. */
const aboutField = /^(messages|tools|tool_choice|thinking|system|model|max_tokens|metadata|output_config)\b[\w.[\]]*:/

const quoted = /"[^"]*"|`[^`]*`|(?<!\w)'[^']*'/g

/** The kind of error that a message describes. `undefined` if it is unknown, or if status or type is specific. */
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

/** Reads when the spend limit resets, as an ISO date with time: "… You will regain access on 2026-12-01 at 00:00 UTC." */
export const regainsAt = (words: string | undefined): string | undefined => {
  const [, day, time = "00:00"] = /regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d))?/i.exec(words ?? "") ?? []
  return day === undefined ? undefined : `${day}T${time}:00Z`
}
