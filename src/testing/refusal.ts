/**
 * Refuses malformed requests as the API does.
 *
 * The parameters are checked with the library's validation rules; the refusal has the message of the first issue. Like
 * the API, `FakeServer` refuses parameters that a model does not support, even where the library only warns. Model
 * capabilities come from the built-in catalogue, not from the catalogue of the program under test. A model outside the
 * built-in catalogue supports every parameter.
 */
import { isBoolean, isNullish, isObject } from "effect/Predicate"
import type { IncomingHttpHeaders } from "node:http"
import type { Issue } from "../ClaudeError.ts"
import type { Model } from "../models/catalogue.ts"
import * as Models from "../models/known.ts"
import { boundsRules, unknownChoice } from "../request/capabilities.ts"
import { isWellFormed } from "../request/mend.ts"
import { broken, type Given } from "../request/rules/rule.ts"
import { apiRules } from "../request/rules/rules.ts"
import { maxBytes } from "../request/rules/size.ts"
import * as Faults from "./Faults.ts"

export interface Raw {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The parsed body; undefined if it is not JSON. */
  readonly value: unknown
}

/** Undefined if the API would accept the request. */
export const refusal = (raw: Raw): Faults.Turn | undefined => {
  const found = ofHttp(raw) ?? ofBody(raw)
  if (found === undefined) return undefined
  const [message, status = 400, type = "invalid_request_error"] = found
  return Faults.named(`refused: ${message}`, Faults.fails(status, type, message))
}

type Refusal = readonly [message: string, status?: number, type?: string]

export const messages = "/v1/messages"
const count = "/v1/messages/count_tokens"
/** SDK 1.12 sends the last of these versions; older clients send the other two. */
const versions: ReadonlySet<unknown> = new Set(["2023-01-01", "2023-06-01", "2026-10-21"])

const ofHttp = ({ body, headers, method, path }: Raw): Refusal | undefined => {
  const { authorization, "anthropic-version": version, "content-type": type = "", "x-api-key": key } = headers
  if (path !== messages && path !== count) return ["Not Found", 404, "not_found_error"]
  if (method !== "POST") return ["Method Not Allowed", 405]
  if (Buffer.byteLength(body) > maxBytes) return ["Request exceeds the maximum size", 413, "request_too_large"]
  if (!authorization && !key) return ["x-api-key header is required", 401, "authentication_error"]
  if (authorization && !/^Bearer \S/.test(authorization)) return ["Invalid bearer token", 401, "authentication_error"]
  if (version === undefined) return ["anthropic-version: header is required"]
  if (!versions.has(version)) return [`anthropic-version: "${version}" is not a valid version`]
  if (!/^application\/json\b/i.test(type)) return ["content-type: it must be application/json", 415]
  return undefined
}

const ofBody = ({ headers, path, value }: Raw): Refusal | undefined => {
  if (value === undefined) return ["The request body is not valid JSON"]
  if (!isWellFormed(value)) return ["The request body is not valid JSON: no low surrogate in string"]
  if (!isObject(value)) return ["Input should be a valid dictionary or object to extract fields from"]
  const betas = String(headers["anthropic-beta"] ?? "")
  const counts = path === count
  const wrong = broken(apiRules, counts ? { ...value, max_tokens: anyTokens } : value)[0]
  if (wrong !== undefined) return [show(wrong, value)]
  if (!isNullish(value.stream) && !isBoolean(value.stream)) return ["stream: Input should be a valid boolean"]
  const names = namesOf(counts, betas !== "")
  const extra = Object.keys(value).find((name) => !names.has(name))
  if (extra !== undefined) return [`${extra}: Extra inputs are not permitted`]
  const model = known.get(value.model)
  const lacks = counts ? undefined : unable(value, model, betas)
  return lacks && [show(lacks, value)]
}

/** All models are marked active: the script, not the catalogue, decides whether a model is retired. */
const known: ReadonlyMap<unknown, Model> = new Map(
  Models.known.map((model) => [model.id, { ...model, lifecycle: "active" }])
)

/**
 * An unknown type of `tool_choice`, or the first parameter that the model does not support. The beta `output-300k` raises
 * the output limit.
 */
const unable = (params: Given, model: Model | undefined, betas: string): Issue | undefined =>
  unknownChoice(params.tool_choice)[0]
    ?? (model &&
      broken(boundsRules, params, betas.includes("output-300k") ? { ...model, maxOutput: 300_000 } : model)[0])

/** A missing parameter gets the wording of the API. */
const show = ({ message, path }: Issue, params: Given): string => {
  const [name = ""] = path
  if (path.length === 1 && params[name] === undefined) return `${name}: Field required`
  return path.length === 0 ? message : `${path.join(".")}: ${message}`
}

/** Stands in for `max_tokens`: the rules require it, but a request for a token count has none. */
const anyTokens = 1_000_000

/** Source: the parameter types of the SDK for messages and token counts, with and without betas. */
const namesOf = (counts: boolean, isBeta: boolean): ReadonlySet<string> =>
  new Set([counted, counts ? [] : created, isBeta ? countedByBeta : [], isBeta && !counts ? createdByBeta : []].flat())

const words = (text: string): ReadonlyArray<string> => text.split(" ")
const counted = words(
  "cache_control messages model output_config speed system thinking tool_choice tools user_profile_id workspace_id"
)
const created = words(
  "container diagnostics inference_geo max_tokens metadata service_tier stop_sequences stream temperature top_k top_p"
)
const countedByBeta = words("billing_policy compaction context_management mcp_servers output_format")
const createdByBeta = words("fallback_credit_token fallbacks thread")
