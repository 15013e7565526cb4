/** Collects the message of one attempt, and the times of its first content and its end. Only that attempt changes it. */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type * as CallContext from "../callContext.ts"
import * as ClaudeError from "../ClaudeError.ts"
import { inBrackets } from "../errorFields.ts"
import { copy } from "../history.ts"
import type * as Message from "../Message.ts"
import type { Models } from "../models/catalogue.ts"
import * as Cost from "../models/cost.ts"
import * as Tools from "../output/toolInput.ts"
import { isPermanentMidway } from "../permanence.ts"
import * as Draft from "./draft.ts"
import { toDeltas } from "./startContent.ts"

/** Facts about the attempt that are known when it starts. */
interface About {
  readonly model: string
  readonly number: number
  readonly start: number
  readonly models: Models
}

/** The message so far. Times are in milliseconds since the epoch. */
export interface Accumulator {
  readonly about: About
  readonly draft: Draft.Draft
  requestId: string | undefined
  rateLimits: Message.RateLimits
  firstAt: number | undefined
  endAt: number | undefined
  /** The problem of the first event that was invalid or contradicted earlier events; `undefined` without such an event. */
  contradiction: string | undefined
  /** The cache of `costOf`: the last usage whose cost was computed, and that cost. */
  priced: { readonly usage: Message.Usage; readonly cost: Message.Cost | undefined } | undefined
}

export const make = (about: About): Accumulator => ({
  about,
  draft: Draft.make(about.model),
  requestId: undefined,
  rateLimits: {},
  firstAt: undefined,
  endAt: undefined,
  contradiction: undefined,
  priced: undefined
})

export const connected = (self: Accumulator, { rateLimits, requestId }: Message.Connection): void => {
  self.requestId = requestId
  self.rateLimits = rateLimits
}

/**
 * Adds events up to the end of the message, or up to an event that is invalid or contradicts earlier events; such an event
 * is skipped if it has no content. Returns the added events, in which only deltas contain text and thinking.
 */
export const take = (
  self: Accumulator,
  arrived: ReadonlyArray<Message.WireEvent>,
  at: number
): ReadonlyArray<Message.WireEvent> => {
  const { draft } = self
  const taken = toDeltas(arrived).filter((event) => {
    if (self.contradiction !== undefined || draft.ended()) return false
    const problem = draft.add(event)
    if (problem !== undefined && !Draft.isEmpty(event)) self.contradiction = problem
    return problem === undefined
  })
  if (draft.begun()) self.firstAt ??= at
  if (draft.ended()) self.endAt = at
  return taken
}

export const reply = (self: Accumulator, now: number): Message.Reply => {
  const { about: { number, start }, draft, endAt, rateLimits, requestId } = self
  const message = draft.message()
  const { content, model, stop_reason: stopReason, usage } = message
  return {
    message,
    text: Draft.textOf(content),
    stopReason,
    usage,
    cost: costOf(self, message),
    toolUses: Tools.uses(content, draft.inputs()),
    serverToolErrors: Tools.serverErrors(content),
    model,
    requestId,
    rateLimits,
    timeToFirstToken: timeToFirstToken(self),
    duration: Duration.millis((endAt ?? now) - start),
    attempt: number
  }
}

export const timeToFirstToken = ({ about: { start }, firstAt }: Accumulator): Duration.Duration | undefined =>
  firstAt === undefined ? undefined : Duration.millis(firstAt - start)

/** The error for a response that breaks the protocol. */
export const unexpected = (
  { about: { model }, contradiction, requestId }: Accumulator,
  detail: string
): ClaudeError.UnexpectedResponse =>
  new ClaudeError.UnexpectedResponse({
    model,
    requestId,
    detail,
    ...(contradiction !== undefined && { contradiction: true })
  })

/**
 * Converts an error of the wire into an error of the attempt. After the first content, only a `TimedOut` keeps its kind: any
 * other error becomes a `PartialAnswer`.
 */
export const toAttemptError = (
  self: Accumulator,
  error: ClaudeError.ClaudeError,
  now: number
): ClaudeError.ClaudeError => {
  const known = arrived(self, now)
  // An error without rate limits gets the rate limits of the response headers.
  const limits = error.limits ?? known.limits
  if (error._tag === "TimedOut") return new ClaudeError.TimedOut({ ...error, ...known, limits })
  if (!self.draft.begun()) return limits === error.limits ? error : copy(error, { limits })
  return new ClaudeError.PartialAnswer({
    ...known,
    limits,
    detail: breakOf(error),
    errorCode: error.errorCode,
    because: error._tag,
    permanent: isPermanentMidway(error),
    regainsAt: ClaudeError.regainsAt(error),
    cause: error
  })
}

/** The API was reached, although the error of a connection that breaks later says that it was not. */
const breakOf = (error: ClaudeError.ClaudeError): string =>
  error._tag === "Unreachable"
    ? `the connection was lost${inBrackets(error.code)}${error.detail === undefined ? "" : `: ${error.detail}`}`
    : error.message

/** The model, request id, rate limits, content and usage so far, as fields of an error. */
export const arrived = (self: Accumulator, now: number): CallContext.Interrupted["about"] => {
  const { about: { model }, draft, rateLimits, requestId } = self
  const limits = Object.keys(rateLimits).length === 0 ? undefined : rateLimits
  if (!draft.begun()) return { model, requestId, limits }
  const { message, text, usage } = reply(self, now)
  return { model, requestId, limits, text: ClaudeError.redact(text), blocks: Redacted.make(message.content), usage }
}

/** Adds tokens and cost of the attempt to each tally. */
export const count = (
  self: Accumulator,
  tallies: ReadonlyArray<CallContext.Tally | undefined>,
  failure: ClaudeError.ClaudeError | undefined
): void => {
  const { draft } = self
  const head = draft.head()
  const { usage } = head
  const cost = costOf(self, head)
  // A request that the API rejected costs nothing.
  const costsNothing = !draft.begun() && failure?.status !== undefined && failure.status >= 400
  for (const tally of tallies) {
    if (tally === undefined) continue
    tally.input += usage.input_tokens + (usage.cache_creation_input_tokens ?? 0) + (usage.cache_read_input_tokens ?? 0)
    tally.output += usage.output_tokens
    tally.dollars += cost?.dollars ?? 0
    tally.atLeast ||= !costsNothing && (cost?.atLeast !== false || !draft.ended())
  }
}

interface Head {
  readonly model: string
  readonly usage: Message.Usage
}

/** Cached, because the reply and the tallies need the cost of the same usage. */
const costOf = (self: Accumulator, head: Head): Message.Cost | undefined => {
  if (self.priced?.usage !== head.usage) self.priced = { usage: head.usage, cost: price(self, head) }
  return self.priced.cost
}

const price = (
  { about: { model: asked, models }, draft }: Accumulator,
  { model, usage }: Head
): Message.Cost | undefined => {
  const prices = (models.get(model) ?? models.get(asked))?.prices
  if (prices === undefined) return undefined
  const { atLeast, dollars } = Cost.cost(usage, prices, (id) => id === model ? prices : models.get(id)?.prices)
  return { dollars, atLeast: atLeast || !draft.isCounted() }
}
