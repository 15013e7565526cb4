/** The message of an attempt as far as it was read, with the times of its parts. Only the reads of the attempt change it. */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type * as CallContext from "../callContext.ts"
import * as ClaudeError from "../ClaudeError.ts"
import { copy } from "../history.ts"
import type * as Message from "../Message.ts"
import * as Models from "../models/catalogue.ts"
import * as Tools from "../output/toolInput.ts"
import { isPermanentMidway } from "../permanence.ts"
import * as Draft from "./draft.ts"

/** The attempt, as it began. */
interface About {
  readonly model: string
  readonly number: number
  readonly start: number
  readonly models: Models.Models
}

/** The message so far. Times are in milliseconds since the epoch. */
export interface Accumulator {
  readonly about: About
  readonly draft: Draft.Draft
  requestId: string | undefined
  rateLimits: Message.RateLimits
  firstAt: number | undefined
  endAt: number | undefined
  /** Why an event does not belong to those before it. */
  contradiction: string | undefined
}

export const make = (about: About): Accumulator => ({
  about,
  draft: Draft.make(about.model),
  requestId: undefined,
  rateLimits: {},
  firstAt: undefined,
  endAt: undefined,
  contradiction: undefined
})

/** The headers are here. */
export const connected = (self: Accumulator, { rateLimits, requestId }: Message.Connection): void => {
  self.requestId = requestId
  self.rateLimits = rateLimits
}

/** Takes events until one contradicts those before it, or the message has ended: what follows is not part of it. */
export const take = (
  self: Accumulator,
  events: ReadonlyArray<Message.WireEvent>,
  at: number
): ReadonlyArray<Message.WireEvent> => {
  const { draft } = self
  let taken = 0
  for (const event of events) {
    self.contradiction = draft.add(event)
    if (self.contradiction !== undefined) break
    taken++
    if (draft.ended()) break
  }
  if (draft.begun()) self.firstAt ??= at
  if (draft.ended()) self.endAt = at
  return taken === events.length ? events : events.slice(0, taken)
}

/** The reply that the events so far make. */
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
    toolUses: Tools.uses(content),
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

/** What came breaks the protocol. */
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

/** What a failure of the wire means here: once content has been seen, that the answer broke off. */
export const toAttemptError = (
  self: Accumulator,
  error: ClaudeError.ClaudeError,
  now: number
): ClaudeError.ClaudeError => {
  const { about: { model }, draft, rateLimits, requestId } = self
  // What the headers said of the account's limits is kept.
  const limits = error.limits ?? (Object.keys(rateLimits).length === 0 ? undefined : rateLimits)
  if (!draft.begun()) {
    return error._tag === "TimedOut"
      ? new ClaudeError.TimedOut({ ...error, model, requestId, limits })
      : limits === error.limits
      ? error
      : copy(error, { limits })
  }
  const { message, text, usage } = reply(self, now)
  const arrived = {
    model,
    requestId,
    limits,
    text: ClaudeError.redact(text),
    blocks: Redacted.make(message.content),
    usage
  }
  return error._tag === "TimedOut"
    ? new ClaudeError.TimedOut({ ...error, ...arrived })
    : new ClaudeError.PartialAnswer({
      ...arrived,
      detail: error.message,
      errorCode: error.errorCode,
      because: error._tag,
      permanent: isPermanentMidway(error),
      regainsAt: ClaudeError.regainsAt(error),
      cause: error
    })
}

/** Adds the tokens and the cost of the attempt to the tallies. */
export const count = (
  self: Accumulator,
  tallies: ReadonlyArray<CallContext.Tally | undefined>,
  failure: ClaudeError.ClaudeError | undefined
): void => {
  const { draft } = self
  const head = draft.head()
  const { usage } = head
  const cost = costOf(self, head)
  // A request that was refused costs nothing.
  const costsNothing = !draft.begun() && failure?.status !== undefined && failure.status >= 400
  for (const tally of tallies) {
    if (tally === undefined) continue
    tally.input += usage.input_tokens + (usage.cache_creation_input_tokens ?? 0) + (usage.cache_read_input_tokens ?? 0)
    tally.output += usage.output_tokens
    tally.dollars += cost?.dollars ?? 0
    tally.atLeast ||= !costsNothing && (cost?.atLeast !== false || !draft.ended())
  }
}

const costOf = (
  { about: { model: asked, models } }: Accumulator,
  { model, usage }: { readonly model: string; readonly usage: Message.Usage }
): Message.Cost | undefined => {
  const prices = (models.get(model) ?? models.get(asked))?.prices
  return prices === undefined ? undefined : Models.cost(usage, prices)
}
