/** The errors of a call. */
export * as ClaudeError from "./ClaudeError.ts"
/** Settings that a call takes from its context. */
export * as Current from "./Current.ts"
/** Requests and replies. */
export * as Message from "./Message.ts"
/** The log of events. */
export * as CallLog from "./CallLog.ts"
/** The service and its calls. */
export * as Claude from "./Claude.ts"
/** The model catalogue: capabilities and prices. */
export * as Models from "./Models.ts"
/** Tools with a schema. */
export * as Tool from "./Tool.ts"
/** The layers of `Claude` that send requests through `@anthropic-ai/sdk`. */
export * as Anthropic from "./Anthropic.ts"
/** Validation of requests before they are sent. */
export * as Validate from "./policy/Validate.ts"
/** Retry schedules. */
export * as Retry from "./policy/Retry.ts"
/** Time limits and deadlines. */
export * as Timeout from "./policy/Timeout.ts"
/** Fallbacks: another model, a remembered answer, a default. */
export * as Fallback from "./policy/Fallback.ts"
/** Validation, retries, time limits and fallbacks as one record. */
export * as Policy from "./policy/Policy.ts"
/** The interface of guards. */
export * as Guard from "./guard/Guard.ts"
/** Options, state and stores of the circuit breakers: one for each model, and one for the account. */
export * as Circuit from "./guard/circuit/Circuit.ts"
/** The rate limits of the account. */
export * as Quota from "./guard/quota/Quota.ts"
/** The concurrency limit and its queue. */
export * as Admission from "./guard/admission/Admission.ts"
/** A bound on the load that retries add after failures. */
export * as RetryBudget from "./guard/budget/RetryBudget.ts"
/** Success rates and alerts. */
export * as Monitor from "./guard/monitor/Monitor.ts"
/** All guards of a process as one record. */
export * as Guards from "./guard/Guards.ts"
