import type { ClaudeError } from "./ClaudeError.ts"

/** Whether the request was invalid and was not sent: found by validation, by the SDK or by `fetch`. */
export const isLocal = (error: ClaudeError): boolean => error._tag === "InvalidRequest" && error.sent === false

/** Whether the guards rejected the request because the process is about to stop. */
export const isOfDrain = (error: ClaudeError): boolean => error._tag === "Saturated" && error.by === "drain"
