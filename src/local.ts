/** Errors found before anything was sent. */
import type { ClaudeError } from "./ClaudeError.ts"

/** Whether our own validation refused the request. */
export const isLocal = (error: ClaudeError): boolean => error._tag === "InvalidRequest" && error.sent === false
