import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as ClaudeError from "../../ClaudeError.ts"
import type { Outcome } from "../outcomes.ts"
import type { Status } from "./Circuit.ts"
import * as Machine from "./machine.ts"
import { sum } from "./window.ts"

/** Only for reading the decision: the caller discards the new state, so no probe is taken. */
export const ask: Machine.Event = { _tag: "Ask", lease: 0 }

/**
 * The error of a request that is not sent. `of`: the model of the circuit; `undefined` for the account, whose circuit
 * opens at the spend limit. `wait`: milliseconds until the next attempt is worthwhile; `null` if unknown.
 */
export const reject = (
  of: string | undefined,
  model: string,
  decision: Machine.Decision,
  wait: number | null,
  now: number
): ClaudeError.CircuitOpen | ClaudeError.SpendLimitReached => {
  const isByHand = decision._tag === "Rejected" && decision.isolated
  const isKnown = wait !== null && wait < Infinity
  const regainsAt = isKnown ? DateTime.formatIso(DateTime.makeUnsafe(now + wait)) : undefined
  return of === undefined && !isByHand
    ? new ClaudeError.SpendLimitReached({
      model,
      detail: `nothing was sent, because an earlier call reached the limit${
        regainsAt === undefined ? "" : `; the next probe is at ${regainsAt}`
      }`,
      regainsAt
    })
    : new ClaudeError.CircuitOpen({
      model,
      why: isByHand ? of === undefined ? allByHand : byHand : decision._tag === "Rejected" ? decision.why : undefined,
      retryAfter: isKnown ? Duration.millis(wait) : undefined
    })
}

const byHand = "isolated by hand"
const allByHand = "all models are isolated by hand"

/** Whether an operator isolated the circuit that rejected the request. */
export const isByHand = (error: ClaudeError.ClaudeError): boolean =>
  error._tag === "CircuitOpen" && (error.why === byHand || error.why === allByHand)

/**
 * Milliseconds that the account's circuit stays open if the API gave no future date: a person has to raise the limit.
 */
const payTime = 600_000

/** When the spend limit may end: the date from the API, or `payTime` from now if that date is missing or past. */
const regains = (regainsAt: string | undefined, now: number): number => {
  const date = Option.map(DateTime.make(regainsAt ?? ""), DateTime.toEpochMillis)
  return Option.getOrElse(Option.filter(date, (at) => at > now), () => now + payTime)
}

/** How an ending counts for the health of the model. */
export type How = Outcome["circuit"]

/** Whether a recovering circuit must slow down: the model failed, or the API rejected the rate of requests (429). */
export const isLoss = (how: How, error: ClaudeError.ClaudeError | undefined): boolean =>
  how === "failure" || error !== undefined && ClaudeError.kindOf(error) === "RateLimited"

/** The event of a request that ended before its answer began. */
export const ended = (how: How, generation: number, error: ClaudeError.ClaudeError | undefined): Machine.Event => {
  if (how !== "failure") return { _tag: "Ignored", generation }
  const hint = error && ClaudeError.retryAfter(error)
  const retryAfter = hint === undefined ? 0 : Duration.toMillis(hint)
  return { _tag: "Failure", generation, kind: kindOf(error), retryAfter }
}

export const brokeOff = (
  { generation, probe }: Machine.Right,
  at: number,
  error: ClaudeError.ClaudeError | undefined
): Machine.Event => ({ _tag: "Broken", generation, kind: kindOf(error), at, probe })

const kindOf = (error: ClaudeError.ClaudeError | undefined): string =>
  error === undefined ? "unknown" : ClaudeError.kindOf(error)

/** The event for the account's circuit: none, unless the request hit the spend limit or was the account's probe. */
export const endedForAccount = (
  how: How,
  { generation, probe }: Machine.Right,
  error: ClaudeError.ClaudeError | undefined,
  now: number
): Machine.Event | undefined => {
  const kind = error && ClaudeError.kindOf(error)
  return kind === "SpendLimitReached"
    ? {
      _tag: "Trip",
      generation,
      until: regains(error && ClaudeError.regainsAt(error), now),
      why: "the account reached its spend limit"
    }
    : !probe
    ? undefined
    : how === "success" || kind === "RateLimited"
    ? { _tag: "Success", generation, slow: false }
    : { _tag: "Ignored", generation }
}

export const statusOf = (settings: Machine.Settings, before: Machine.State, waiting: number, now: number): Status => {
  const state = Machine.steadied(before, now)
  const none = { calls: 0, failures: 0, retryAfter: undefined, why: undefined, waiting }
  if (state._tag === "Closed") {
    const { calls, failures } = sum(settings, state.slices, now)
    return { ...none, state: "closed", calls, failures }
  }
  const [, decision] = Machine.step(settings, state, ask, now)
  if (decision._tag !== "Rejected") {
    return state._tag === "Open" ? { ...none, state: "half-open", why: state.outage.why } : { ...none, state: "closed" }
  }
  return {
    ...none,
    state: decision.isolated ? "isolated" : state.until !== null && state.until <= now ? "half-open" : "open",
    retryAfter: decision.retryAfter ?? undefined,
    why: decision.isolated ? byHand : decision.why
  }
}
