import * as Schema from "effect/Schema"
import {
  common,
  duration,
  field,
  flag,
  heldBack,
  inBrackets,
  inSeconds,
  issues,
  loose,
  missed,
  ofLength,
  partial,
  secretIssues,
  sentence,
  tag,
  text,
  toolUses,
  unreached,
  usage
} from "./errorFields.ts"

// -----------------------------------------------------------------------------
// The request was wrong: a retry does not help
// -----------------------------------------------------------------------------

/** The API rejected the request (400, 415, 422 …), or it was found invalid before it was sent (`sent: false`). */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  ...common,
  sent: flag,
  issues
}) {
  override get message() {
    const what = this.sent === false ? "The request is invalid and was not sent" : "The API rejected the request"
    return sentence(what, this)
  }
}

/** The key or token is missing, wrong or expired (401), or could not be read, in which case nothing was sent. */
export class AuthenticationFailed extends Schema.TaggedError<AuthenticationFailed>()("AuthenticationFailed", common) {
  override get message() {
    return sentence(this.status ? "The credentials were not accepted" : "The request could not be authenticated", this)
  }
}

/** The account may not make this request (403), or is on hold. */
export class PermissionDenied extends Schema.TaggedError<PermissionDenied>()("PermissionDenied", common) {
  override get message() {
    return sentence("The account is not permitted to do this", this)
  }
}

/** The model, or something else that the request names, is unknown or retired (404). */
export class ResourceNotFound extends Schema.TaggedError<ResourceNotFound>()("ResourceNotFound", common) {
  override get message() {
    const model = this.model === undefined ? "" : ` ${String(this.model)}`
    return sentence(`The model${model}, or something else that the request names, was not found`, this)
  }
}

/** The request body is over the size limit of the API (413; 32 MB). */
export class RequestTooLarge extends Schema.TaggedError<RequestTooLarge>()("RequestTooLarge", common) {
  override get message() {
    return sentence("The request body is too large", this)
  }
}

/** The prompt, or the prompt with the answer, does not fit the context window of the model. */
export class ContextWindowExceeded extends Schema.TaggedError<ContextWindowExceeded>()("ContextWindowExceeded", {
  ...common,
  ...partial
}) {
  override get message() {
    return sentence(`The conversation does not fit the context window of ${String(this.model ?? "the model")}`, this)
  }
}

/** The account reached its spend limit (402, or reported as 429 or 400). */
export class SpendLimitReached extends Schema.TaggedError<SpendLimitReached>()("SpendLimitReached", {
  ...common,
  /** When the limit resets, as an ISO date. In an error of the account's circuit: when the circuit sends its next probe. */
  regainsAt: text
}) {
  override get message() {
    return sentence("The spend limit is reached", this)
  }
}

// -----------------------------------------------------------------------------
// The service could not answer: a retry may help
// -----------------------------------------------------------------------------

/** The account is over its rate limit (429). `retryAfter` is the server's hint; `ramp`: its usage rose too fast. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  ...common,
  retryAfter: duration,
  ramp: flag
}) {
  override get message() {
    return sentence("The account is over its rate limit", this)
  }
}

/** The API as a whole is busy (529). */
export class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", { ...common, retryAfter: duration }) {
  override get message() {
    return sentence("The API is overloaded", this)
  }
}

/** The API failed on its side (5xx), or could not complete the request (408, 409, 424 …). */
export class ServerFault extends Schema.TaggedError<ServerFault>()("ServerFault", { ...common, retryAfter: duration }) {
  override get message() {
    const is4xx = Number(this.status) >= 400 && Number(this.status) < 500
    return sentence(is4xx ? "The API could not complete the request" : "The API failed on its side", this)
  }
}

/** No response arrived (DNS, TLS, connection refused or reset). `code`: of the system, OpenSSL, or `PROXY_<status>`. */
export class Unreachable extends Schema.TaggedError<Unreachable>()("Unreachable", { ...common, code: text }) {
  override get message() {
    return sentence(unreached(this.code), this)
  }
}

/** The answer broke off after it began. `cause` is the error, `because` its kind; `permanent`: a retry cannot help. */
export class PartialAnswer extends Schema.TaggedError<PartialAnswer>()("PartialAnswer", {
  ...common,
  ...partial,
  because: tag,
  permanent: flag,
  /** Copied from the error that broke the answer off, because `cause` is lost when an error is copied. */
  regainsAt: text
}) {
  override get message() {
    return sentence("The answer broke off before its end", this)
  }
}

/** A 2xx or 3xx that is no message: HTML, no body, bad events, a redirect. `contradiction`: its events disagree, so no retry. */
export class UnexpectedResponse extends Schema.TaggedError<UnexpectedResponse>()("UnexpectedResponse", {
  ...common,
  contradiction: flag
}) {
  override get message() {
    return sentence("The API sent an unexpected response", this)
  }
}

// -----------------------------------------------------------------------------
// Claude answered, but the answer is not usable
// -----------------------------------------------------------------------------

/** Claude declined to answer. `text` is the part it had written; discard it. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", { ...common, ...partial, category: text }) {
  override get message() {
    return sentence(`Claude declined to answer${inBrackets(this.category)}`, this)
  }
}

/** The answer reached `max_tokens`, or Claude paused it. `reason` is the stop reason. */
export class Truncated extends Schema.TaggedError<Truncated>()("Truncated", { ...common, ...partial, reason: text }) {
  override get message() {
    const what = this.reason === "pause_turn" ? "Claude paused the answer" : "The answer stopped at a limit"
    return sentence(what + inBrackets(this.reason), this)
  }
}

/** Claude ended its turn without the content that was asked for. */
export class EmptyAnswer extends Schema.TaggedError<EmptyAnswer>()("EmptyAnswer", { ...common, usage }) {
  override get message() {
    return sentence("Claude ended its turn without an answer", this)
  }
}

/** The answer does not decode with the requested output schema, or the input of a tool (`toolUses`) is unusable. */
export class MalformedOutput extends Schema.TaggedError<MalformedOutput>()("MalformedOutput", {
  ...common,
  ...partial,
  issues: secretIssues,
  toolUses,
  stopReason: text,
  /** A hash of the question, so that a correction is sent only with the same question. */
  question: text
}) {
  override get message() {
    return sentence("The answer does not match the requested format", this)
  }
}

// -----------------------------------------------------------------------------
// We gave up before Claude could answer
// -----------------------------------------------------------------------------

/** An attempt reached one of its time limits. `scope` says which one, `text` is the part that had arrived. */
export class TimedOut extends Schema.TaggedError<TimedOut>()("TimedOut", {
  ...common,
  ...partial,
  scope: loose(Schema.Literals(["connect", "firstToken", "idle", "contentIdle", "attempt"])),
  limit: duration
}) {
  override get message() {
    const lack = missed.get(this.scope) ?? ""
    return sentence(`The attempt reached its ${String(this.scope)} limit${ofLength(this.limit)}${lack}`, this)
  }
}

/** The call reached its overall time limit. `text` is the part that had arrived in the last attempt. */
export class DeadlineExceeded extends Schema.TaggedError<DeadlineExceeded>()("DeadlineExceeded", {
  ...common,
  ...partial,
  limit: duration
}) {
  override get message() {
    const limit = `time limit${ofLength(this.limit)}`
    return sentence(this.detail === undefined ? `The call reached its ${limit}` : `A ${limit} was reached`, this)
  }
}

/** The circuit of the model is open (`why`), so nothing was sent. `retryAfter`: until it sends a probe or closes. */
export class CircuitOpen extends Schema.TaggedError<CircuitOpen>()("CircuitOpen", {
  ...common,
  why: text,
  retryAfter: duration
}) {
  override get message() {
    const isByHand = String(this.why).endsWith("by hand")
    const next = isByHand && this.retryAfter === undefined
      ? "; Guards.reset closes it"
      : inSeconds(isByHand ? "it closes again" : "the next probe is", this.retryAfter)
    const model = String(this.model ?? "this model")
    return sentence(`The circuit of ${model} is open${inBrackets(this.why)}, so nothing was sent${next}`, this)
  }
}

/** A limit of this process held the call back: its queue, quota or `drain`, or the `pause` or `ramp` after a 429 (`by`). */
export class Saturated extends Schema.TaggedError<Saturated>()("Saturated", {
  ...common,
  by: field(Schema.Literals(["concurrency", "quota", "pause", "ramp", "drain"])),
  retryAfter: duration
}) {
  override get message() {
    // A guard of the application explains itself.
    if (this.by === undefined && this.detail !== undefined) return sentence("Nothing was sent", this)
    return sentence(`${heldBack(this)}, so nothing was sent${inSeconds("try again", this.retryAfter)}`, this)
  }
}
