import type { Tag } from "../ClaudeError.ts"

/** The kinds of error that a response of the API or of a gateway can report. */
export type Answered = Extract<
  Tag,
  | "InvalidRequest"
  | "AuthenticationFailed"
  | "PermissionDenied"
  | "ResourceNotFound"
  | "RequestTooLarge"
  | "ContextWindowExceeded"
  | "SpendLimitReached"
  | "RateLimited"
  | "Overloaded"
  | "ServerFault"
  | "UnexpectedResponse"
>

/** Codes that are more precise than type and status. Source: `core/error-classes.ts` of the SDK 1.14. */
const byCode: Readonly<Record<string, Answered>> = {
  enforced_spend_limit_reached: "SpendLimitReached",
  contract_spend_limit_reached: "SpendLimitReached",
  linked_organization_spend_limit_reached: "SpendLimitReached",
  linked_organization_billing_unavailable: "SpendLimitReached",
  ramp_limit_exceeded: "RateLimited",
  organization_on_hold: "PermissionDenied",
  request_body_too_large_after_decoding: "RequestTooLarge",
  // Transient, although their status is a 4xx.
  thread_continue_in_flight: "ServerFault",
  external_key_validation_timed_out: "ServerFault",
  request_body_timeout: "ServerFault",
  concurrent_membership_change: "ServerFault",
  external_key_changed: "ServerFault",
  scan_pending: "ServerFault",
  storage_changed_concurrently: "ServerFault",
  workspace_changed_concurrently: "ServerFault",
  // Permanent, although a 409 is usually transient.
  skill_read_blocked_undecryptable: "InvalidRequest",
  plugin_name_taken: "InvalidRequest",
  skill_name_taken: "InvalidRequest",
  slack_channel_set_up_settings_conflict: "InvalidRequest",
  gcp_project_controlled_by_another_organization: "InvalidRequest",
  storage_already_registered: "InvalidRequest",
  storage_attached_during_archive: "InvalidRequest",
  storage_in_use: "InvalidRequest",
  // Gateways with OpenAI's API: platform.openai.com/docs/guides/error-codes, docs.litellm.ai/docs/proxy/users.
  insufficient_quota: "SpendLimitReached",
  budget_exceeded: "SpendLimitReached",
  billing_hard_limit_reached: "SpendLimitReached",
  context_length_exceeded: "ContextWindowExceeded"
}

/**
 * The API's error types, and types and codes of gateways. `invalid_request_error` is missing, because the API uses it with
 * several statuses, and then the status decides.
 */
const byType: Readonly<Record<string, Answered>> = {
  authentication_error: "AuthenticationFailed",
  billing_error: "SpendLimitReached",
  permission_error: "PermissionDenied",
  not_found_error: "ResourceNotFound",
  request_too_large: "RequestTooLarge",
  rate_limit_error: "RateLimited",
  timeout_error: "ServerFault",
  api_error: "ServerFault",
  overloaded_error: "Overloaded",
  // Gateways with OpenAI's API.
  invalid_api_key: "AuthenticationFailed",
  rate_limit_exceeded: "RateLimited",
  server_error: "ServerFault",
  // Bedrock: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelWithResponseStream.html
  AccessDeniedException: "PermissionDenied",
  ResourceNotFoundException: "ResourceNotFound",
  ThrottlingException: "RateLimited",
  ValidationException: "InvalidRequest"
}

/** A 409 is a conflict that a retry may resolve. Permanent conflicts have their own codes (`byCode`). */
const byStatus: Readonly<Record<number, Answered>> = {
  401: "AuthenticationFailed",
  402: "SpendLimitReached",
  403: "PermissionDenied",
  404: "ResourceNotFound",
  408: "ServerFault",
  409: "ServerFault",
  413: "RequestTooLarge",
  // Bedrock: the model failed.
  424: "ServerFault",
  429: "RateLimited",
  499: "ServerFault",
  529: "Overloaded"
}

export const ofStatus = (status: number): Answered =>
  byStatus[status] ?? (status >= 500 ? "ServerFault" : status >= 400 ? "InvalidRequest" : "UnexpectedResponse")

export const ofCode = (code: string | undefined): Answered | undefined => entry(byCode, code)

/** AWS begins the name of an exception with a small or a capital letter, and may put a namespace before it. */
export const ofType = (type: string | undefined): Answered | undefined =>
  entry(byType, type?.replace(/^.*#/, "").replace(/^[a-z](?=\w*Exception$)/, (first) => first.toUpperCase()))

/** Looks up own keys only, so that a type such as `constructor` finds nothing. */
const entry = (table: Readonly<Record<string, Answered>>, key: string | undefined): Answered | undefined =>
  key !== undefined && Object.hasOwn(table, key) ? table[key] : undefined
