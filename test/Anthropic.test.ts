import { Anthropic as Sdk, APIError, type ClientOptions } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect, Exit, Fiber, Layer, Redacted, Result } from "effect"
import { hasProperty } from "effect/Predicate"
import { TestClock } from "effect/testing"
import { createRequire } from "node:module"
import { Anthropic, CallLog, Claude, ClaudeError } from "../src/index.ts"
import * as NodeAnthropic from "../src/NodeAnthropic.ts"
import { isPermanent } from "../src/permanence.ts"

/** The SDK exports this table at run time, but not in its types. */
const { ERROR_CODE_CLASSES }: { readonly ERROR_CODE_CLASSES: ReadonlyMap<string, unknown> } = createRequire(
  import.meta.url
)("@anthropic-ai/sdk/core/error-classes")

const now = Date.parse("2026-11-22T18:00:00Z")

/** The error that the SDK throws for a response. */
const response = (
  status: number,
  body: object | undefined,
  headers: Readonly<Record<string, string>> = {},
  text = ""
) => APIError.generate(status, body, text, new Headers(headers))

const body = (type: string | null, message = "it is so", code?: string) => ({
  type: "error",
  error: { type, message, ...(code === undefined ? undefined : { details: { error_code: code } }) },
  request_id: "req_body"
})

const tagOf = (failure: unknown) => Anthropic.classify(failure, { now })._tag

// -----------------------------------------------------------------------------
// Responses
// -----------------------------------------------------------------------------

const byStatusAndType: ReadonlyArray<readonly [status: number, type: string | null, tag: ClaudeError.Tag]> = [
  [400, "invalid_request_error", "InvalidRequest"],
  [401, "authentication_error", "AuthenticationFailed"],
  [402, "billing_error", "SpendLimitReached"],
  [403, "permission_error", "PermissionDenied"],
  [404, "not_found_error", "ResourceNotFound"],
  [409, "conflict_error", "ServerFault"],
  [412, "memory_precondition_failed_error", "InvalidRequest"],
  [409, "memory_path_conflict_error", "ServerFault"],
  [413, "request_too_large", "RequestTooLarge"],
  [429, "rate_limit_error", "RateLimited"],
  [500, "api_error", "ServerFault"],
  [504, "timeout_error", "ServerFault"],
  [529, "overloaded_error", "Overloaded"],
  // The type decides before the status.
  [400, "rate_limit_error", "RateLimited"],
  [500, "overloaded_error", "Overloaded"],
  [503, "overloaded_error", "Overloaded"],
  // After `invalid_request_error` the status decides, because the API uses that type with several statuses.
  [404, "invalid_request_error", "ResourceNotFound"],
  [413, "invalid_request_error", "RequestTooLarge"],
  [429, "invalid_request_error", "RateLimited"],
  // An unknown type is ignored.
  [529, "tired_error", "Overloaded"],
  [418, "teapot_error", "InvalidRequest"],
  // A type that is the name of an inherited property of every object is unknown, too.
  [529, "constructor", "Overloaded"],
  [429, "toString", "RateLimited"],
  [503, "__proto__", "ServerFault"]
]

const byStatus = ([
  ["UnexpectedResponse", [302, 307]],
  ["InvalidRequest", [400, 405, 412, 415, 418, 422, 425, 431, 451]],
  ["AuthenticationFailed", [401]],
  ["SpendLimitReached", [402]],
  ["PermissionDenied", [403]],
  ["ResourceNotFound", [404]],
  ["ServerFault", [408, 409, 499, 500, 501, 502, 503, 504, 505, 520, 524, 530, 599]],
  ["RequestTooLarge", [413]],
  ["RateLimited", [429]],
  ["Overloaded", [529]]
] as const).flatMap(([tag, all]) => all.map((status) => [status, tag] as const))

/** Bodies of proxies and broken servers instead of an API error: parsed, and as text. */
const oddBodies: ReadonlyArray<readonly [name: string, body: unknown, text: string]> = [
  ["HTML", undefined, "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>"],
  ["an empty body", undefined, ""],
  ["cut JSON", undefined, "{\"type\":\"error\",\"error\":{\"type\":\"api_er"],
  ["a string", "upstream connect error", ""],
  ["null", null, "null"],
  ["an array", [1], ""],
  ["an error that is a string", { error: "bad thing", message: "top" }, ""],
  ["an error without a type", { error: {} }, ""],
  ["a type that is not a string", { error: { type: 7, message: { a: 1 }, details: "none" } }, ""],
  ["a code that is not a string", { error: { type: null, details: { error_code: 12 } } }, ""]
]

/** Codes that decide the kind of error. For all other codes, type and status decide. */
const decisive: Readonly<Record<string, ClaudeError.Tag>> = {
  enforced_spend_limit_reached: "SpendLimitReached",
  contract_spend_limit_reached: "SpendLimitReached",
  linked_organization_spend_limit_reached: "SpendLimitReached",
  linked_organization_billing_unavailable: "SpendLimitReached",
  organization_on_hold: "PermissionDenied",
  thread_continue_in_flight: "ServerFault",
  external_key_validation_timed_out: "ServerFault",
  request_body_timeout: "ServerFault",
  skill_read_blocked_undecryptable: "InvalidRequest",
  plugin_name_taken: "InvalidRequest",
  skill_name_taken: "InvalidRequest",
  slack_channel_set_up_settings_conflict: "InvalidRequest",
  gcp_project_controlled_by_another_organization: "InvalidRequest",
  storage_already_registered: "InvalidRequest",
  storage_attached_during_archive: "InvalidRequest",
  storage_in_use: "InvalidRequest"
}

const usual: Readonly<Record<string, readonly [type: string, tag: ClaudeError.Tag]>> = {
  400: ["invalid_request_error", "InvalidRequest"],
  402: ["billing_error", "SpendLimitReached"],
  403: ["permission_error", "PermissionDenied"],
  404: ["not_found_error", "ResourceNotFound"],
  409: ["conflict_error", "ServerFault"],
  412: ["invalid_request_error", "InvalidRequest"],
  413: ["request_too_large", "RequestTooLarge"],
  429: ["rate_limit_error", "RateLimited"],
  503: ["api_error", "ServerFault"],
  529: ["overloaded_error", "Overloaded"]
}

/** Every code of the SDK, so that a test fails if a new version of the SDK adds a code. */
const byCode = [...ERROR_CODE_CLASSES.keys()].map((key) => {
  const [status = "", code = ""] = key.split(" ")
  const [type, tag] = usual[status] ?? ["?", "InvalidRequest"]
  return [Number(status), code, type, decisive[code] ?? tag] as const
})

/** The kind of error of each code of `messages.create`, and of the transient codes of other endpoints. */
const named = ([
  [
    "InvalidRequest",
    `
    available_tools_limit_exceeded claude_code_key_creator_not_member claude_code_version_too_old
    cmek_key_disabled cmek_key_network_blocked compaction_block_ambiguous compaction_block_misplaced
    compaction_content_mismatch compaction_incomplete_turn compaction_nothing_to_summarize
    compaction_signature_invalid compaction_too_many_tool_references compaction_tool_changes_mismatch
    image_dimensions_too_large request_body_encoding_invalid request_body_encoding_unsupported
    thread_already_continued thread_fingerprint_mismatch thread_unsupported_request tool_name_conflict
    tool_reference_unresolved user_profile_required skill_read_blocked_undecryptable
  `
  ],
  [
    "PermissionDenied",
    `
    organization_on_hold user_profile_billing_not_authorized user_profile_not_billable
  `
  ],
  ["ServerFault", "thread_continue_in_flight cmek_key_unreachable"],
  [
    "SpendLimitReached",
    `
    linked_organization_billing_unavailable linked_organization_spend_limit_reached contract_spend_limit_reached
    enforced_spend_limit_reached
  `
  ],
  ["ResourceNotFound", "thread_not_found"],
  ["RequestTooLarge", "request_body_too_large_after_decoding"],
  ["RateLimited", "ramp_limit_exceeded"],
  ["Overloaded", "compaction_unavailable"],
  // Transient codes of other endpoints.
  [
    "ServerFault",
    `
    external_key_validation_timed_out request_body_timeout concurrent_membership_change external_key_changed
    scan_pending storage_changed_concurrently workspace_changed_concurrently authorization_check_unavailable
    cmek_context_unavailable registration_pending
  `
  ]
] as const).flatMap(([tag, codes]) => codes.trim().split(/\s+/).map((code) => [code, tag] as const))

/** Messages of errors with status 400, type `invalid_request_error` and no code. */
const byMessage: ReadonlyArray<readonly [message: string, tag: ClaudeError.Tag, regainsAt?: string]> = [
  [
    "You have reached your specified API usage limits. You will regain access on 2026-11-01 at 00:00 UTC.",
    "SpendLimitReached",
    "2026-11-01T00:00:00Z"
  ],
  [
    "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01 at 06:30 UTC.",
    "SpendLimitReached",
    "2026-12-01T06:30:00Z"
  ],
  ["You have reached your specified API usage limits.", "SpendLimitReached"],
  ["Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.", "SpendLimitReached"],
  ["prompt is too long: 250000 tokens > 200000 maximum", "ContextWindowExceeded"],
  [
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length",
    "ContextWindowExceeded"
  ],
  [
    "max_tokens: 128001 > 128000, which is the maximum allowed number of output tokens for claude-opus-5",
    "InvalidRequest"
  ],
  ["Grammar compilation timed out.", "ServerFault"],
  ["The compiled grammar is too large, which would cause performance issues.", "InvalidRequest"],
  ["Too many strict tools (22). The maximum number of strict tools supported is 20.", "InvalidRequest"],
  ["Schema is too complex for compilation", "InvalidRequest"],
  ["`temperature` is deprecated for this model.", "InvalidRequest"],
  ["\"thinking.type.enabled\" is not supported for this model. Use adaptive thinking.", "InvalidRequest"],
  ["adaptive thinking is not supported on this model", "InvalidRequest"],
  [
    "This model does not support assistant message prefill. The conversation must end with a user message.",
    "InvalidRequest"
  ],
  ["tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", "InvalidRequest"],
  ["messages: text content blocks must be non-empty", "InvalidRequest"],
  [
    "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes",
    "InvalidRequest"
  ],
  ["messages.0.content.1: at most 2000 pixels for many-image requests: 2000 pixels", "InvalidRequest"],
  ["Unable to parse tool parameter JSON from model. Please retry your request or adjust your prompt.", "ServerFault"]
]

describe("an error response", () => {
  it.each(byStatusAndType)("with status %i and type %s is classified as %s", (status, type, tag) => {
    const error = Anthropic.classify(response(status, body(type), { "request-id": "req_1" }), { now, model: "m" })
    assert.strictEqual(error._tag, tag)
    assert.deepInclude({ ...error }, { status, requestId: "req_1", model: "m", detail: "it is so" })
  })

  it.each(byStatus)(
    "with status %i and without an error type is classified as %s, even if its body is HTML, empty or malformed",
    (status, tag) => {
      for (const [name, odd, text] of oddBodies) {
        // The SDK declares an object, but it may have parsed any value.
        const failure = response(status, odd as object, { "request-id": "req_1" }, text)
        const error = Anthropic.classify(failure, { now })
        assert.strictEqual(error._tag, tag, name)
        assert.strictEqual(error.status, status, name)
        assert.strictEqual(error.requestId, "req_1", name)
        assert.isUndefined(error.errorCode, name)
        assert.isAtMost(error.message.length, 300, name)
      }
    }
  )

  it("has a message that fits its status, without the status that the SDK puts before the text of the body", () => {
    const messageOf = (status: number, text: string) =>
      Anthropic.classify(response(status, undefined, {}, text)).message
    assert.strictEqual(messageOf(409, "Conflict"), "The API could not complete the request (409): Conflict")
    assert.strictEqual(messageOf(499, "plain words"), "The API could not complete the request (499): plain words")
    assert.strictEqual(messageOf(500, "500 errors"), "The API failed on its side (500): 500 errors")
    for (const text of ["", "{\"message\": \"Found\"}"]) {
      assert.strictEqual(
        messageOf(302, text),
        "The API sent an unexpected response (302): a redirect, which is not followed: check the base URL, or look for a proxy in between"
      )
    }
    assert.notInclude(messageOf(304, ""), "redirect")
    for (const blank of ["", " ", "\r\n"]) {
      assert.strictEqual(messageOf(503, blank), "The API failed on its side (503): the body of the response is empty")
    }
  })

  it.each(byCode)("with status %i, code %s and type %s is classified as %s", (status, code, type, tag) => {
    const error = Anthropic.classify(response(status, body(type, "it is so", code), { "request-id": "req_1" }), { now })
    assert.strictEqual(error._tag, tag)
    assert.deepInclude({ ...error }, { status, errorCode: code, requestId: "req_1" })
    if (decisive[code] !== undefined) assert.strictEqual(tagOf(response(status, body(null, "", code))), tag)
  })

  it("has the expected kind for each error code of messages.create, and for each transient error code of other endpoints", () => {
    assert.strictEqual(byCode.length, 133)
    const known = new Map(byCode.map(([status, code]) => [code, status]))
    for (const [code, tag] of named) {
      const status = known.get(code) ?? 0
      const [type = null] = usual[status] ?? []
      assert.strictEqual(tagOf(response(status, body(type, "", code))), tag, code)
    }
  })

  it("with an unknown code is classified as if it had no code", () => {
    assert.strictEqual(tagOf(response(400, body("invalid_request_error", "", "brand_new"))), "InvalidRequest")
    assert.strictEqual(tagOf(response(529, body("overloaded_error", "", "constructor"))), "Overloaded")
    assert.strictEqual(tagOf(response(500, body(null, "", "hasOwnProperty"))), "ServerFault")
  })

  it("with a known code is classified by the code, even if its status and type belong to another kind of error", () => {
    assert.strictEqual(tagOf(response(400, body("invalid_request_error", "", "ramp_limit_exceeded"))), "RateLimited")
    assert.strictEqual(tagOf(response(500, body("api_error", "", "enforced_spend_limit_reached"))), "SpendLimitReached")
  })

  it.each(byMessage)("with status 400 and the message \"%s\" is classified as %s", (message, tag, regainsAt) => {
    const error = Anthropic.classify(response(400, body("invalid_request_error", message)), { now })
    assert.strictEqual(error._tag, tag)
    assert.strictEqual(error.detail, message)
    if (error._tag === "SpendLimitReached") assert.strictEqual(error.regainsAt, regainsAt)
  })

  it("for the monthly spend limit has the date when the limit resets, and no retry-after", () => {
    const error = Anthropic.classify(
      response(
        429,
        body(
          "rate_limit_error",
          "You have reached your API usage limits: your organization has crossed its monthly API usage threshold. You will regain access on 2026-12-01 at 00:00 UTC.",
          "enforced_spend_limit_reached"
        )
      ),
      { now }
    )
    assert.instanceOf(error, ClaudeError.SpendLimitReached)
    assert.strictEqual(error.regainsAt, "2026-12-01T00:00:00Z")
    assert.isUndefined(ClaudeError.retryAfter(error))
  })

  it("with status 500 is not classified by its message", () => {
    assert.strictEqual(tagOf(response(500, undefined, {}, "prompt is too long")), "ServerFault")
  })

  it("whose body is a whole HTML page becomes an error with a message of at most 300 characters", () => {
    const error = Anthropic.classify(response(502, undefined, {}, `<html>\n${"x".repeat(100_000)}`))
    assert.isAtMost(error.message.length, 300)
    assert.notInclude(error.message, "\n")
  })

  it("is permanent with status 501 or 505, but not with status 500, 502, 503 or 529", () => {
    const permanent = (status: number) => isPermanent(Anthropic.classify(response(status, undefined)))
    assert.deepStrictEqual([500, 501, 502, 503, 505, 529].filter(permanent), [501, 505])
  })

  it("is classified by its fields, even if it is a plain object or an error of the SDK's CommonJS build", () => {
    const commonjs: typeof Sdk = createRequire(import.meta.url)("@anthropic-ai/sdk").Anthropic
    assert.notStrictEqual(commonjs.APIError, Sdk.APIError)
    for (const [status, type, tag] of byStatusAndType) {
      const failure = commonjs.APIError.generate(status, body(type), undefined, new Headers())
      assert.notInstanceOf(failure, Sdk.APIError)
      assert.strictEqual(tagOf(failure), tag)
      assert.strictEqual(tagOf({ status, error: body(type) }), tag)
    }
  })
})

describe("the request id", () => {
  it("comes from the first of these that has one: the header, the SDK's error, the body, the caller of classify", () => {
    const requestId = (failure: unknown) => Anthropic.classify(failure, { requestId: "req_call" }).requestId
    const failure = { status: 500, requestID: "req_error", error: body("api_error") }
    assert.strictEqual(requestId({ ...failure, headers: new Headers({ "request-id": "req_header" }) }), "req_header")
    assert.strictEqual(requestId(failure), "req_error")
    assert.strictEqual(requestId(response(500, body("api_error"))), "req_body")
    assert.strictEqual(requestId(response(500, undefined)), "req_call")
  })
})

// -----------------------------------------------------------------------------
// Headers
// -----------------------------------------------------------------------------

const retryAfter: ReadonlyArray<
  readonly [headers: Readonly<Record<string, string>>, millis: number | undefined]
> = [
  [{}, undefined],
  [{ "retry-after": "17" }, 17_000],
  [{ "retry-after": "0.2" }, 200],
  [{ "retry-after": " 3 " }, 3000],
  [{ "retry-after": "3600" }, 3_600_000],
  [{ "retry-after-ms": "300", "retry-after": "9" }, 300],
  [{ "retry-after-ms": "1.5" }, 1.5],
  // Invalid milliseconds are ignored in favour of the seconds.
  [{ "retry-after-ms": "0", "retry-after": "9" }, 9000],
  [{ "retry-after-ms": "-300", "retry-after": "9" }, 9000],
  [{ "retry-after-ms": "soon", "retry-after": "9" }, 9000],
  [{ "retry-after-ms": "", "retry-after": "9" }, 9000],
  [{ "retry-after-ms": "3 s", "retry-after": "9" }, 9000],
  // Dates in the three formats of HTTP.
  [{ "retry-after": "Sun, 22 Nov 2026 18:00:02 GMT" }, 2000],
  [{ "retry-after": "Sunday, 22-Nov-26 18:01:00 GMT" }, 60_000],
  [{ "retry-after": "Sun Nov 22 18:00:05 2026" }, 5000],
  [{ "retry-after-ms": "300", "retry-after": "Sun, 22 Nov 2026 18:00:02 GMT" }, 300],
  // Dates are compared with the server's date if that is valid, so that a wrong clock of ours does not matter.
  [{ "retry-after": "Sun, 22 Nov 2026 19:00:02 GMT", "date": "Sun, 22 Nov 2026 19:00:00 GMT" }, 2000],
  [{ "retry-after": "Sun, 22 Nov 2026 17:00:02 GMT", "date": "Sun, 22 Nov 2026 17:00:00 GMT" }, 2000],
  [{ "retry-after": "Sun, 22 Nov 2026 18:00:02 GMT", "date": "yesterday" }, 2000],
  [{ "retry-after": "Sun, 22 Nov 2026 17:00:02 GMT", "date": "Sun, 22 Nov 2026 17:00:02 GMT" }, undefined],
  [{ "retry-after": "Sun, 22 Nov 2026 17:59:20 GMT", "date": "Sun, 22 Nov 2026 17:58:00 GMT", "age": "60" }, 20_000],
  [{ "retry-after": "17", "date": "Sun, 22 Nov 2026 19:00:00 GMT" }, 17_000],
  // More than a day is likely a mistake, such as a Unix timestamp.
  [{ "retry-after": "86400" }, 86_400_000],
  [{ "retry-after": "86401" }, undefined],
  [{ "retry-after": "1764164015" }, undefined],
  [{ "retry-after-ms": "1764164015000" }, undefined],
  [{ "retry-after-ms": "1764164015000", "retry-after": "9" }, 9000],
  [{ "retry-after": "Mon, 23 Nov 2026 18:00:00 GMT" }, 86_400_000],
  [{ "retry-after": "Mon, 22 Nov 2027 18:00:00 GMT" }, undefined],
  // These waits are invalid, zero or in the past.
  [{ "retry-after": "Sun, 22 Nov 2026 17:59:59 GMT" }, undefined],
  [{ "retry-after": "Sun, 22 Nov 2026 18:00:00 GMT" }, undefined],
  [{ "retry-after": "0" }, undefined],
  [{ "retry-after": "-5" }, undefined],
  [{ "retry-after": "soon" }, undefined],
  [{ "retry-after": "" }, undefined],
  [{ "retry-after": "NaN" }, undefined],
  [{ "retry-after": "Infinity" }, undefined],
  [{ "retry-after": "1e999" }, undefined],
  [{ "retry-after": "Sun, 31 Feb 2027 18:00:00 GMT" }, undefined]
]

it.each([["true", true], ["false", false], ["maybe", undefined], [undefined, undefined]] as const)(
  "x-should-retry: %s becomes shouldRetry: %s in the error",
  (header, verdict) => {
    const headers = header === undefined ? {} : { "x-should-retry": header }
    for (const status of [400, 409, 429, 500, 529]) {
      assert.strictEqual(Anthropic.classify(response(status, undefined, headers), { now }).shouldRetry, verdict)
    }
  }
)

const kinds = [[429, "RateLimited"], [529, "Overloaded"], [500, "ServerFault"]] as const

describe("retry-after", () => {
  it.each(retryAfter)("in the headers %j gives this wait in milliseconds: %s", (headers, millis) => {
    for (const [status, tag] of kinds) {
      const error = Anthropic.classify(response(status, undefined, headers), { now })
      assert.strictEqual(error._tag, tag)
      const wait = ClaudeError.retryAfter(error)
      assert.strictEqual(wait === undefined ? undefined : Duration.toMillis(wait), millis)
    }
  })

  it("that is a date is ignored if the caller passes no current time", () => {
    const failure = response(429, undefined, { "retry-after": "Sun, 22 Nov 2026 18:00:02 GMT" })
    assert.isUndefined(ClaudeError.retryAfter(Anthropic.classify(failure)))
  })

  it("is not in the error if the error is permanent", () => {
    for (const status of [400, 401, 402, 403, 404, 413]) {
      assert.notProperty(Anthropic.classify(response(status, undefined, { "retry-after": "9" }), { now }), "retryAfter")
    }
  })
})

describe("the rate limits of an error", () => {
  const limited = (headers: Readonly<Record<string, string>>, code?: string) => {
    const error = Anthropic.classify(response(429, body("rate_limit_error", "", code), headers), { now })
    return error._tag === "RateLimited" ? error : assert.fail(error._tag)
  }

  it("contain the limit, the remaining number and the reset time of each bucket in the headers", () => {
    const { limits, ramp } = limited({
      "anthropic-ratelimit-requests-limit": "4000",
      "anthropic-ratelimit-requests-remaining": "3999",
      "anthropic-ratelimit-requests-reset": "2026-11-22T18:40:00Z",
      "anthropic-ratelimit-input-tokens-limit": "2000000",
      "anthropic-ratelimit-input-tokens-remaining": "0",
      "anthropic-ratelimit-input-tokens-reset": "2026-11-22T18:41:00Z",
      "anthropic-ratelimit-output-tokens-limit": "400000",
      "anthropic-ratelimit-tokens-remaining": "0"
    })
    assert.deepStrictEqual(limits, {
      requests: { limit: 4000, remaining: 3999, reset: "2026-11-22T18:40:00Z" },
      inputTokens: { limit: 2_000_000, remaining: 0, reset: "2026-11-22T18:41:00Z" },
      outputTokens: { limit: 400_000, remaining: undefined, reset: undefined },
      tokens: { limit: undefined, remaining: 0, reset: undefined }
    })
    assert.isFalse(ramp)
  })

  it("leave out a number whose header is a word, and are empty without headers", () => {
    assert.deepStrictEqual(limited({ "anthropic-ratelimit-requests-limit": "many" }).limits, {
      requests: { limit: undefined, remaining: undefined, reset: undefined }
    })
    assert.deepStrictEqual(limited({}).limits, {})
  })

  it.each(["", " ", "-5", "0x10", "1e3", "1,000", "5 left", "Infinity"])(
    "leave out a number whose header is %j",
    (value) => {
      assert.deepStrictEqual(
        limited({ "anthropic-ratelimit-requests-remaining": value, "anthropic-ratelimit-requests-limit": " 60 " })
          .limits,
        { requests: { limit: 60, remaining: undefined, reset: undefined } }
      )
    }
  )

  it("leave out a bucket whose headers are all empty", () => {
    const names = ["limit", "remaining", "reset"].map((name) => `anthropic-ratelimit-requests-${name}`)
    assert.deepStrictEqual(limited(Object.fromEntries(names.map((name) => [name, ""]))).limits, {})
  })

  it("come with ramp: true if the code is ramp_limit_exceeded, and still with the retry-after", () => {
    const error = limited({ "retry-after": "17" }, "ramp_limit_exceeded")
    assert.isTrue(error.ramp)
    assert.deepStrictEqual(error.retryAfter, Duration.seconds(17))
  })
})

// -----------------------------------------------------------------------------
// Transport
// -----------------------------------------------------------------------------

/** An error of undici, wrapped as the SDK wraps it. */
const transport = (code: string, name = "Error") => {
  const cause = Object.assign(new Error(`${name} ${code}`), { code, name })
  return new Sdk.APIConnectionError({ cause: new TypeError("fetch failed", { cause }) })
}

const unreachable: ReadonlyArray<readonly [code: string, permanent: boolean]> = [
  ["ECONNREFUSED", false],
  ["ENOTFOUND", false],
  ["EAI_AGAIN", false],
  ["ECONNRESET", false],
  ["EPIPE", false],
  ["EHOSTUNREACH", false],
  ["ENETUNREACH", false],
  ["UND_ERR_SOCKET", false],
  ["UND_ERR_HEADERS_OVERFLOW", false],
  ["HPE_INVALID_CONSTANT", false],
  ["HPE_INVALID_CHUNK_SIZE", false],
  ["ERR_SSL_WRONG_VERSION_NUMBER", false],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", true],
  ["SELF_SIGNED_CERT_IN_CHAIN", true],
  ["CERT_HAS_EXPIRED", true],
  ["CERT_NOT_YET_VALID", true],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", true],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", true],
  ["ERR_TLS_CERT_ALTNAME_INVALID", true],
  ["HOSTNAME_MISMATCH", true]
]

describe("a failure of the transport", () => {
  it.each(unreachable)("with code %s is Unreachable (permanent: %s)", (code, permanent) => {
    for (const failure of [transport(code), new TypeError("terminated", { cause: { code } }), { code }]) {
      const error = Anthropic.classify(failure, { now, model: "m", requestId: "req_1" })
      assert.instanceOf(error, ClaudeError.Unreachable)
      assert.deepInclude({ ...error }, { code, model: "m", requestId: "req_1" })
      assert.strictEqual(error.cause, failure)
      assert.isUndefined(error.status)
      assert.strictEqual(isPermanent(error), permanent)
      assert.include(error.message, code)
    }
  })

  it.each([
    ["UND_ERR_CONNECT_TIMEOUT", "connect"],
    ["UND_ERR_HEADERS_TIMEOUT", "connect"],
    ["ETIMEDOUT", "connect"],
    ["UND_ERR_BODY_TIMEOUT", "idle"]
  ])("with code %s is TimedOut (scope: %s)", (code, scope) => {
    const error = Anthropic.classify(transport(code), { now })
    assert.instanceOf(error, ClaudeError.TimedOut)
    assert.strictEqual(error.scope, scope)
  })

  it("that is the SDK's own time-out is TimedOut, even without a code", () => {
    const error = Anthropic.classify(new Sdk.APIConnectionTimeoutError(), { now })
    assert.instanceOf(error, ClaudeError.TimedOut)
    assert.strictEqual(error.scope, "connect")
  })

  it("that is a body that cannot be parsed is UnexpectedResponse, and does not quote the body", () => {
    const { failure: syntax } = Result.try(() => JSON.parse("<html>secret</html>") as unknown) as Result.Failure<
      never,
      Error
    >
    for (const sent of [true, false]) {
      const error = Anthropic.classify(syntax, { sent })
      assert.instanceOf(error, ClaudeError.UnexpectedResponse)
      assert.notInclude(`${error.message} ${String(error.cause)}`, "secret")
    }
    assert.strictEqual(tagOf(new TypeError("terminated", { cause: { code: "Z_DATA_ERROR" } })), "UnexpectedResponse")
  })

  it("is classified by the innermost code", () => {
    const failure = { code: "outer", cause: { code: "ECONNRESET", cause: { cause: { message: "no code" } } } }
    assert.strictEqual((Anthropic.classify(failure) as ClaudeError.Unreachable).code, "ECONNRESET")
  })

  it("without a code is described by the message of its innermost cause, unless a JSON parser or the SDK wrote this message", () => {
    const messageOf = (cause: Error) => Anthropic.classify(new Sdk.APIConnectionError({ cause })).message
    assert.strictEqual(
      messageOf(new TypeError("fetch failed", { cause: new Error("unknown scheme") })),
      "The API could not be reached: unknown scheme"
    )
    assert.strictEqual(messageOf(new SyntaxError("Unexpected token in secret")), "The API could not be reached.")
    assert.strictEqual(Anthropic.classify(new Sdk.APIConnectionError({})).message, "The API could not be reached.")
  })

  it("is described in words where a code, or the message of fetch, misleads", () => {
    const lost = (code: string) => Anthropic.classify(transport(code)).message
    for (const code of ["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]) {
      assert.strictEqual(lost(code), `The connection was lost before a response arrived (${code}).`)
    }
    assert.strictEqual(
      lost("HPE_INVALID_CONSTANT"),
      "What answered is not valid HTTP (HPE_INVALID_CONSTANT): check the base URL, or look for a proxy in between."
    )
    assert.strictEqual(
      Anthropic.classify(new TypeError("fetch failed", { cause: new Error("bad port") })).message,
      "The API could not be reached: fetch blocks the port in the base URL"
    )
  })

  it("that happens before anything is sent is classified by its message, its name or its code", () => {
    const unsent = (failure: unknown) => Anthropic.classify(failure, { sent: false })
    const credentials = [
      new Error("Could not resolve authentication method. Expected one of apiKey, authToken to be set."),
      new Sdk.AnthropicError("The `apiKey` function failed: no credential in the vault"),
      Object.assign(new Error("503"), { name: "WorkloadIdentityError" })
    ]
    for (const failure of credentials) assert.strictEqual(unsent(failure)._tag, "AuthenticationFailed")
    const circular = unsent(new TypeError("Converting circular structure to JSON"))
    assert.deepInclude({ ...circular }, {
      _tag: "InvalidRequest",
      sent: false,
      detail: "Converting circular structure to JSON"
    })
    assert.strictEqual(
      unsent(Object.assign(new TypeError("Invalid URL"), { code: "ERR_INVALID_URL" }))._tag,
      "InvalidRequest"
    )
    // The network to the token provider, or to the API, failed.
    assert.strictEqual(unsent(transport("ECONNREFUSED"))._tag, "Unreachable")
    assert.strictEqual(unsent(new TypeError("fetch failed", { cause: { code: "ECONNREFUSED" } }))._tag, "Unreachable")
    assert.strictEqual(unsent(transport("UND_ERR_CONNECT_TIMEOUT"))._tag, "TimedOut")
  })
})

// -----------------------------------------------------------------------------
// Errors in a stream, and arbitrary values
// -----------------------------------------------------------------------------

const inStream: ReadonlyArray<readonly [type: string, tag: ClaudeError.Tag]> = [
  ["overloaded_error", "Overloaded"],
  ["api_error", "ServerFault"],
  ["timeout_error", "ServerFault"],
  ["rate_limit_error", "RateLimited"],
  ["authentication_error", "AuthenticationFailed"],
  ["permission_error", "PermissionDenied"],
  ["not_found_error", "ResourceNotFound"],
  ["billing_error", "SpendLimitReached"],
  ["request_too_large", "RequestTooLarge"],
  ["invalid_request_error", "InvalidRequest"],
  ["conflict_error", "ServerFault"],
  ["brand_new_error", "ServerFault"]
]

describe("an error event in a stream", () => {
  it.each(inStream)("with type %s and no status is classified as %s", (type, tag) => {
    const headers = new Headers({ "request-id": "req_1" })
    for (const failure of [new APIError(undefined, body(type), undefined, headers), { error: body(type) }]) {
      const error = Anthropic.classify(failure, { requestId: "req_1" })
      assert.strictEqual(error._tag, tag)
      assert.isUndefined(error.status)
      assert.strictEqual(error.detail, "it is so")
    }
  })

  it("is classified by a known code or a known message before its type", () => {
    assert.strictEqual(
      tagOf({ error: body("rate_limit_error", "", "enforced_spend_limit_reached") }),
      "SpendLimitReached"
    )
    assert.strictEqual(tagOf({ error: body("invalid_request_error", "Grammar compilation timed out.") }), "ServerFault")
  })

  it("without a type is UnexpectedResponse, not Unreachable", () => {
    for (const odd of ["boom", 7, [], {}, { error: "boom" }, { error: {} }, { error: { type: 3 } }]) {
      assert.strictEqual(tagOf({ error: odd }), "UnexpectedResponse")
    }
  })
})

const cyclic: { error?: unknown } = {}
cyclic.error = cyclic

const causedByItself = new Error("boom")
causedByItself.cause = causedByItself

const hostile = new Proxy({}, {
  get: () => {
    throw new Error("do not touch")
  },
  has: () => {
    throw new Error("do not touch")
  }
})

const odd: ReadonlyArray<readonly [name: string, failure: unknown]> = [
  ["undefined", undefined],
  ["null", null],
  ["a string", "boom"],
  ["a number", 529],
  ["NaN", NaN],
  ["a BigInt", 10n],
  ["true", true],
  ["a symbol", Symbol("boom")],
  ["a function", () => {}],
  ["an object", {}],
  ["an array", [1, 2]],
  ["an object without a prototype", Object.create(null)],
  ["an error", new Error("boom")],
  ["an error whose message is not a string", Object.assign(new Error(), { message: 7 })],
  ["an aggregate", new AggregateError([new Error("a"), new Error("b")], "all failed")],
  ["an object that contains itself", cyclic],
  ["an error that is its own cause", causedByItself],
  ["a status that is a string", { status: "429" }],
  ["a status that is not a number", { status: NaN }],
  ["headers that are a string", { headers: "retry-after: 3" }],
  ["headers whose get is not a function", { headers: { get: 3 } }],
  ["headers that throw", {
    status: 529,
    headers: {
      get: () => {
        throw new Error("no headers")
      }
    }
  }],
  ["headers that return an object", { status: 429, headers: { get: () => ({}) } }],
  ["a property that throws", {
    get status(): number {
      throw new Error("no status")
    }
  }],
  ["an object that throws at every access", hostile],
  ["an error whose cause throws at every access", new Error("boom", { cause: hostile })],
  ["an error body that throws at every access", { status: 500, error: hostile }],
  ["a ClaudeError", new ClaudeError.Overloaded({})]
]

describe("any value", () => {
  it.each(odd)("G16: is classified as a ClaudeError: %s", (_, failure) => {
    for (const sent of [true, false, undefined]) {
      const error = Anthropic.classify(failure, { now, sent })
      assert.isTrue(ClaudeError.is(error))
      assert.isString(error.message)
      assert.isNotEmpty(error.message)
    }
  })

  it("with a status is classified by the status, even if an access to its headers or its body throws", () => {
    assert.strictEqual(tagOf(odd.find(([name]) => name === "headers that throw")?.[1]), "Overloaded")
    assert.strictEqual(tagOf({ status: 500, error: hostile }), "ServerFault")
  })
})

// -----------------------------------------------------------------------------
// Requests without a socket
// -----------------------------------------------------------------------------

type Fetch = NonNullable<Anthropic.Options["fetch"]>

/** A `Claude` with the test's `fetch`, and the URLs that it requested. */
const fetching = (fetch: Fetch, credentials?: ClientOptions["credentials"]) => {
  const urls: Array<string> = []
  const counted: Fetch = (url, init) => {
    urls.push(String(url))
    return fetch(url, init)
  }
  const options = credentials === undefined
    ? { apiKey: "sk-ant-x", fetch: counted }
    : { client: new Sdk({ credentials, baseURL: "https://api.anthropic.com", fetch: counted }) }
  return { urls, layer: Layer.provide(Anthropic.layer(options), CallLog.layerNoop) }
}

const answering = (...responses: ReadonlyArray<readonly [body: string, init?: ResponseInit | undefined]>) => {
  let next = 0
  return fetching(() => {
    const [body, init] = responses[next++] ?? [""]
    return Promise.resolve(new Response(body, { headers: { "content-type": "application/json" }, ...init }))
  }, responses.length > 1 ? () => Promise.resolve({ token: `token-${next}`, expiresAt: null }) : undefined)
}

const inAMinute = { status: 429, headers: { "retry-after": "Thu, 01 Jan 1970 00:01:00 GMT", "request-id": "req_1" } }

describe("countTokens", () => {
  it.effect("returns the number of input tokens", () => {
    const { layer, urls } = answering(["{\"input_tokens\":14}"])
    return Effect.gen(function*() {
      assert.strictEqual(yield* Claude.countTokens("hi"), 14)
      assert.deepStrictEqual(urls, ["https://api.anthropic.com/v1/messages/count_tokens"])
    }).pipe(Effect.provide(layer))
  })

  const failing: ReadonlyArray<readonly [body: string, init: ResponseInit | undefined, tag: ClaudeError.Tag]> = [
    ["{\"input_tokens\":\"14\"}", undefined, "UnexpectedResponse"],
    ["{}", undefined, "UnexpectedResponse"],
    ["null", undefined, "UnexpectedResponse"],
    ["{\"input_tok", undefined, "UnexpectedResponse"],
    ["<html>", { headers: { "content-type": "text/html" } }, "UnexpectedResponse"],
    ["", undefined, "UnexpectedResponse"],
    ["", { headers: { "content-type": "application/json", "content-length": "0" } }, "UnexpectedResponse"],
    ["", { status: 529 }, "Overloaded"],
    ["", { status: 401 }, "AuthenticationFailed"]
  ]

  it.effect.each(failing)("G16: with the body %j and the response options %j fails with %s", ([body, init, tag]) => {
    const { layer, urls } = answering([body, init])
    return Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(Claude.countTokens("hi")))._tag, tag)
      assert.strictEqual(urls.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("sends the request again after a 401 if the client gets its tokens from a function", () => {
    const { layer, urls } = answering(["", { status: 401 }], ["{\"input_tokens\":14}"])
    return Effect.gen(function*() {
      assert.strictEqual(yield* Claude.countTokens("hi"), 14)
      assert.strictEqual(urls.length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("times out after 30 seconds, and aborts its request", () => {
    let aborted = false
    const { layer } = fetching((_, init) =>
      new Promise((_, reject) =>
        init?.signal?.addEventListener("abort", () => {
          aborted = true
          reject(new Error("aborted"))
        })
      )
    )
    return Effect.gen(function*() {
      const call = yield* Claude.countTokens("hi").pipe(Effect.flip, Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(call))._tag, "TimedOut")
      assert.isTrue(aborted)
    }).pipe(Effect.provide(layer))
  })
})

describe("a custom fetch", () => {
  type Call = Effect.Effect<unknown, ClaudeError.ClaudeError, Claude.Claude>

  const waits = (call: Call) => {
    const { layer } = answering(["", inAMinute])
    return Effect.gen(function*() {
      const error = yield* Effect.flip(call)
      assert.deepStrictEqual(ClaudeError.retryAfter(error), Duration.minutes(1))
      assert.strictEqual(error.requestId, "req_1")
    }).pipe(Effect.provide(layer))
  }

  it.effect("that returns a retry-after date makes Claude.text fail with a wait that is computed by Effect's clock", () =>
    waits(Claude.text("hi")))
  it.effect("that returns a retry-after date makes Claude.countTokens fail with a wait that is computed by Effect's clock", () =>
    waits(Claude.countTokens("hi")))

  const broken: ReadonlyArray<readonly [name: string, fetch: () => Promise<never>]> = [
    ["throws", () => {
      throw new Error("no network here")
    }],
    ["rejects with nothing", () => Promise.reject()],
    ["rejects with a string", () => Promise.reject("no network here")]
  ]

  it.effect.each(broken)(
    "G16: that %s makes Claude.text and Claude.countTokens fail with Unreachable",
    ([, fetch]) =>
      Effect.gen(function*() {
        const calls: ReadonlyArray<Call> = [Claude.text("hi"), Claude.countTokens("hi")]
        for (const call of calls) assert.strictEqual((yield* Effect.flip(call))._tag, "Unreachable")
      }).pipe(Effect.provide(fetching(fetch).layer))
  )
})

// -----------------------------------------------------------------------------
// Construction
// -----------------------------------------------------------------------------

const layers = [
  ["Anthropic", Anthropic.layer, Anthropic.layerConfig],
  ["NodeAnthropic", NodeAnthropic.layer, NodeAnthropic.layerConfig]
] as const

describe.each(layers)("%s", (module, layerWith, layerConfig) => {
  const layer = layerConfig()

  it.each([
    ["a missing key", {}],
    ["an empty key", { apiKey: "" }],
    ["a key with a newline", { apiKey: "sk-ant-secret\n" }],
    ["a key with a space", { apiKey: "sk-ant secret" }],
    ["a key with letters that are not allowed in a header", { apiKey: "sk-ant-s\u00e9cret" }],
    ["a redacted key that is empty", { apiKey: Redacted.make("") }]
  ])("rejects %s with a RangeError that says what to do", (_, options) => {
    assert.throws(
      () => layerWith(options),
      RangeError,
      /^Anthropic: apiKey (is missing|is empty|has characters .*): pass the key/
    )
  })

  it("rejects an invalid token, and a token together with a key or a client, with a RangeError that names these options", () => {
    assert.throws(() => layerWith({ authToken: "a token" }), RangeError, /^Anthropic: authToken has characters/)
    assert.throws(() => layerWith({ apiKey: "a", authToken: "b" }), RangeError, /apiKey and authToken are both set/)
    const client = new Sdk({ apiKey: "sk-ant-x" })
    assert.throws(() => layerWith({ client, authToken: "b" }), RangeError, /authToken and client are both set/)
  })

  it("rejects an unknown option with a RangeError that lists the known options and shows no key", () => {
    const options = { apiKey: "sk-ant-secret", apikey: "sk-ant-secret" }
    assert.throws(
      () => layerWith(options),
      RangeError,
      new RegExp(
        `^${module} has no field apikey: it has apiKey, authToken, baseUrl, client, [a-zS, ]*messageStop[a-z, ]*$`
      )
    )
  })

  it("does not print the key that it rejects", () => {
    try {
      layerWith({ apiKey: "sk-ant-secret\n" })
      assert.fail("it was not refused")
    } catch (error) {
      assert.notInclude(String(error), "secret")
    }
  })

  it.each(["", "api.anthropic.com", "ftp://api.anthropic.com", "javascript:alert(1)", "http://"])(
    "rejects the base URL \"%s\" with a RangeError that says what to do",
    (baseUrl) => {
      assert.throws(() => layerWith({ apiKey: "sk-ant-x", baseUrl }), RangeError, /baseUrl is ".*": it must be an http/)
    }
  )

  it("rejects an invalid base URL even if a client is passed too", () => {
    const client = new Sdk({ apiKey: "sk-ant-x" })
    assert.throws(() => layerWith({ client, baseUrl: "nowhere" }), RangeError, /baseUrl is "nowhere"/)
  })

  const meant: ReadonlyArray<readonly [name: string, options: Omit<Anthropic.Options, "fetch">]> = [
    ["a redacted key", { apiKey: Redacted.make("sk-ant-x") }],
    ["a plain key", { apiKey: "sk-ant-x", baseUrl: "http://localhost:1234/prefix/" }],
    ["a client", { client: new Sdk({ apiKey: "sk-ant-x" }) }]
  ]

  it.effect.each(meant)("accepts %s", ([, options]) => Effect.scoped(Effect.asVoid(Layer.build(layerWith(options)))))

  const configured = (env: Readonly<Record<string, string>>, built: Layer.Layer<Claude.Claude, unknown> = layer) =>
    Layer.build(built).pipe(
      Effect.scoped,
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: { ...env } }))),
      Effect.exit
    )

  const notMeant: ReadonlyArray<
    readonly [what: string, env: Readonly<Record<string, string>>, words: ReadonlyArray<string>]
  > = [
    ["no key", {}, [
      "neither ANTHROPIC_API_KEY nor ANTHROPIC_AUTH_TOKEN is set",
      "in the environment",
      `${module}.layer({ apiKey })`
    ]],
    ["empty keys", { ANTHROPIC_API_KEY: "", ANTHROPIC_AUTH_TOKEN: "" }, ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"]],
    ["a key with a newline", { ANTHROPIC_API_KEY: "sk-ant-secret\nx" }, ["ANTHROPIC_API_KEY has characters"]],
    ["a token with a space", { ANTHROPIC_AUTH_TOKEN: "a secret" }, ["ANTHROPIC_AUTH_TOKEN has characters"]],
    ["an invalid base URL", { ANTHROPIC_API_KEY: "sk-ant-secret", ANTHROPIC_BASE_URL: "nowhere" }, [
      "ANTHROPIC_BASE_URL must be an http"
    ]],
    ["a password in the base URL", { ANTHROPIC_API_KEY: "a", ANTHROPIC_BASE_URL: "http://a:secret@b" }, [
      "ANTHROPIC_BASE_URL must be an http"
    ]]
  ]

  const refuses = (layer: Layer.Layer<Claude.Claude, unknown>, env: Readonly<Record<string, string>>) =>
    Effect.gen(function*() {
      const exit = yield* configured(env, layer)
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isSuccess(exit)) return ""
      assert.strictEqual(exit.cause.reasons.length, 1)
      const [reason] = exit.cause.reasons
      assert.isTrue(reason?._tag === "Fail" && hasProperty(reason.error, "_tag") && reason.error._tag === "ConfigError")
      for (const printed of [String(exit), JSON.stringify(exit), exit.cause.toString()]) {
        assert.notInclude(printed, "secret")
      }
      return String(exit)
    })

  it.effect.each(notMeant)("rejects a configuration with %s, says what to do, and does not print the key", ([
    ,
    env,
    words
  ]) =>
    Effect.gen(function*() {
      const printed = yield* refuses(layer, env)
      for (const word of words) assert.include(printed, word)
    }))

  it.effect("reports invalid options of layerConfig as a ConfigError", () =>
    Effect.gen(function*() {
      const named = layerConfig({ apiKey: Config.Redacted("MY_KEY") })
      assert.include(yield* refuses(named, { MY_KEY: "a secret" }), "apiKey has characters")
      assert.include(yield* refuses(named, {}), "MY_KEY")
      const slip = { messageStop: undefined, authtoken: Config.Redacted("MY_KEY") }
      assert.include(yield* refuses(layerConfig(slip), { MY_KEY: "secret" }), `${module} has no field authtoken`)
      const both = layerConfig({ apiKey: "a", authToken: "b" })
      assert.include(yield* refuses(both, {}), "apiKey and authToken are both set")
    }))

  it.effect("accepts a configuration with a key, with or without a base URL", () =>
    Effect.gen(function*() {
      assert.isTrue(Exit.isSuccess(yield* configured({ ANTHROPIC_API_KEY: "sk-ant-x" })))
      assert.isTrue(
        Exit.isSuccess(
          yield* configured({ ANTHROPIC_API_KEY: "sk-ant-x", ANTHROPIC_BASE_URL: "https://proxy.test/claude" })
        )
      )
    }))
})

describe("NodeAnthropic", () => {
  it("rejects the option fetch, because NodeAnthropic has its own fetch", () => {
    const options = { apiKey: "sk-ant-x", fetch: globalThis.fetch }
    assert.throws(() => NodeAnthropic.layer(options), RangeError, /^NodeAnthropic has no field fetch: it has apiKey/)
  })

  it.each([0, -1, 1.5, NaN])(
    "rejects the option connections: %d with a RangeError that says what to do",
    (connections) => {
      assert.throws(
        () => NodeAnthropic.layer({ apiKey: "sk-ant-x", connections }),
        RangeError,
        /connections is .*: it must be a whole number, 1 or more/
      )
    }
  )
})
