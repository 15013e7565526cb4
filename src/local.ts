/** What never left this process. */
import type { ClaudeError } from "./ClaudeError.ts"

/** Whether a request was found to be invalid before it was sent. */
export const isLocal = (error: ClaudeError): boolean => error._tag === "InvalidRequest" && error.sent === false
