import type { ClaudeError } from "./ClaudeError.ts"

/**
 * Whether a retry of the same request cannot help: the library does not retry then, whatever the schedule says.
 * `AuthenticationFailed`, `PermissionDenied` and `ResourceNotFound` are left to the schedule, because a new key may help.
 */
export const isPermanent = (error: ClaudeError): boolean => {
  // `shouldRetry: true` has no effect: an invalid request stays invalid.
  if (error.shouldRetry === false) return true
  switch (error._tag) {
    case "PartialAnswer":
      return error.permanent === true
    case "UnexpectedResponse":
      return error.contradiction === true
    // Without a `retryAfter`, the circuit is isolated by hand, or the queue does not know when it will have room.
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
      // The server does not implement the request (501) or its HTTP version (505).
      return error.status === 501 || error.status === 505
    case "Unreachable":
      return error.code !== undefined && refused.test(error.code)
    default:
      return false
  }
}

/**
 * Like `isPermanent`, for an error in the middle of an answer. The API had accepted the key and the model before, so a new
 * key does not help.
 */
export const isPermanentMidway = (error: ClaudeError): boolean =>
  isPermanent(error) || error._tag === "AuthenticationFailed" || error._tag === "PermissionDenied" ||
  error._tag === "ResourceNotFound"

/** Error codes for certificates that do not verify, and for proxies that refuse the request (not 408 and 429). */
const refused =
  /^(CERT_|CRL_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERROR_IN_C|HOSTNAME_MISMATCH|INVALID_(CA|PURPOSE)|PATH_LENGTH|ERR_TLS_CERT|PROXY_4(?!08|29))/
