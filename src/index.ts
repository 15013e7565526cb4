/** Errors: everything a call can fail with. */
export * as ClaudeError from "./ClaudeError.ts"
/** What the current call carries. */
export * as Current from "./Current.ts"
/** Requests and replies. */
export * as Message from "./Message.ts"
/** What happened. */
export * as CallLog from "./CallLog.ts"
/** The service and its calls. */
export * as Claude from "./Claude.ts"
/** What is known of the models, and what they cost. */
export * as Models from "./Models.ts"
/** Tools with a schema. */
export * as Tool from "./Tool.ts"
/** The API, by way of the SDK. */
export * as Anthropic from "./Anthropic.ts"
/** Requests that cannot work. */
export * as Validate from "./policy/Validate.ts"
/** Retry schedules. */
export * as Retry from "./policy/Retry.ts"
/** Limits on waiting. */
export * as Timeout from "./policy/Timeout.ts"
/** Asking another model, or doing without. */
export * as Fallback from "./policy/Fallback.ts"
/** All of the above as one record. */
export * as Policy from "./policy/Policy.ts"
/** What every guard is. */
export * as Guard from "./guard/Guard.ts"
/** Not asking a model that keeps failing. */
export * as Circuit from "./guard/circuit/Circuit.ts"
/** What an account may use. */
export * as Quota from "./guard/quota/Quota.ts"
/** How many calls run and wait. */
export * as Admission from "./guard/admission/Admission.ts"
/** How much load failures may add. */
export * as RetryBudget from "./guard/budget/RetryBudget.ts"
/** When too many calls fail. */
export * as Monitor from "./guard/monitor/Monitor.ts"
/** All guards of a process as one record. */
export * as Guards from "./guard/Guards.ts"
