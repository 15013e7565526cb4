/** Which failures no later attempt mends. */
import type { ClaudeError } from "./ClaudeError.ts"

/**
 * Whether asking the same later cannot help, whatever a schedule says: the server said so (`x-should-retry: false`), a
 * request that is wrong or too large, an account without money, an answer longer than it may be, events that contradict
 * each other, an answer that any of these broke off, what is not implemented, a certificate that does not verify, a
 * circuit or a queue that does not say when to come back.
 */
export const isPermanent = (error: ClaudeError): boolean => {
  // `true` changes nothing: a request that is wrong stays wrong.
  if (error.shouldRetry === false) return true
  switch (error._tag) {
    case "PartialAnswer":
      return error.permanent === true
    case "UnexpectedResponse":
      return error.contradiction === true
    // Isolated by hand; a queue that is full, or was waited in for as long as is allowed.
    case "CircuitOpen":
    case "Saturated":
      return error.retryAfter === undefined
    case "InvalidRequest":
    case "RequestTooLarge":
    case "ContextWindowExceeded":
    case "SpendLimitReached":
    case "Truncated":
      return true
    case "ServerFault":
      return error.status === 501 || error.status === 505
    case "Unreachable":
      return error.code !== undefined && certificate.test(error.code)
    default:
      return false
  }
}

/** Whether an error in the middle of an answer ends it for good. Before it, a caller may know better: a key was replaced. */
export const isPermanentMidway = (error: ClaudeError): boolean =>
  isPermanent(error) || error._tag === "AuthenticationFailed" || error._tag === "PermissionDenied" ||
  error._tag === "ResourceNotFound"

/** Certificates that do not verify: waiting does not mend them. */
const certificate = /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|ERR_TLS_CERT)/
