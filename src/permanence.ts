/** Errors for which a retry cannot help. */
import type { ClaudeError } from "./ClaudeError.ts"

/**
 * Whether a retry of the same request cannot help, whatever the schedule says: the server said so (`x-should-retry:
 * false`), the request is invalid or too large, the spend limit is reached, the answer was cut or paused, the
 * events contradict each other, one of these errors broke off the answer, the server does not implement the request,
 * the certificate does not verify, a proxy refuses the request, or a circuit or a queue gives no time to retry.
 */
export const isPermanent = (error: ClaudeError): boolean => {
  // `shouldRetry: true` has no effect: an invalid request stays invalid.
  if (error.shouldRetry === false) return true
  switch (error._tag) {
    case "PartialAnswer":
      return error.permanent === true
    case "UnexpectedResponse":
      return error.contradiction === true
    // No `retryAfter`: the circuit is isolated by hand, the queue is full, or the wait in it reached its limit.
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
      return error.code !== undefined && refused.test(error.code)
    default:
      return false
  }
}

/**
 * Whether an error in the middle of an answer is final. Before the answer begins, an authentication, permission or
 * not-found error may be worth a retry: a key may have been replaced.
 */
export const isPermanentMidway = (error: ClaudeError): boolean =>
  isPermanent(error) || error._tag === "AuthenticationFailed" || error._tag === "PermissionDenied" ||
  error._tag === "ResourceNotFound"

/** Error codes for certificates that do not verify, and for proxies that refuse the request (not 408 and 429). */
const refused =
  /^(CERT_|CRL_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERROR_IN_C|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)|PATH_LENGTH|ERR_TLS_CERT|PROXY_4(?!08|29))/
