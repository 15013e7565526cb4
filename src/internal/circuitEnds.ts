/** What the endings of calls say to a circuit, and what a circuit says to calls and to those who look at it. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as ClaudeError from "../ClaudeError.ts"
import * as Machine from "./circuitMachine.ts"
import { longestHint } from "./classify.ts"

/** A circuit, for those who look at it. `retryAfter` is when a probe may be sent, in milliseconds from now. */
export interface Status {
  readonly state: "closed" | "open" | "half-open" | "isolated"
  readonly retryAfter: number | undefined
  /** What was counted in the window, while it is closed. */
  readonly calls: number
  readonly failures: number
}

/** Asks, without taking anything. */
export const ask: Machine.Event = { _tag: "Ask", lease: 0 }

/** What a call is told that may not be sent: the account, where no model is meant, is open for want of money. */
export const reject = (
  of: string | undefined,
  model: string,
  decision: Machine.Decision,
  now: number
): ClaudeError.CircuitOpen | ClaudeError.SpendLimitReached => {
  const { isolated, retryAfter } = decision._tag === "Rejected" ? decision : unknown
  return of === undefined && !isolated
    ? new ClaudeError.SpendLimitReached({
      model,
      detail: "nothing was sent, because an earlier call was told so",
      regainsAt: retryAfter === null ? undefined : DateTime.formatIso(DateTime.makeUnsafe(now + retryAfter))
    })
    : new ClaudeError.CircuitOpen({
      model,
      detail: isolated ? byHand : undefined,
      retryAfter: retryAfter === null ? undefined : Duration.millis(retryAfter)
    })
}

const unknown = { isolated: false, retryAfter: null }

const byHand = "it was isolated by hand"

/** Whether nothing was sent because somebody has isolated the circuit. */
export const isByHand = (error: ClaudeError.ClaudeError): boolean =>
  error._tag === "CircuitOpen" && error.detail === byHand

/** When there is money again: as the API said, or when it is worth a look. */
const regains = (
  regainsAt: string | undefined,
  { maxOpenFor }: Machine.Settings,
  now: number
): number => {
  const date = Option.map(DateTime.make(regainsAt ?? ""), DateTime.toEpochMillis)
  return Option.getOrElse(Option.filter(date, (at) => at > now), () => now + maxOpenFor)
}

export type How = "Success" | "Failure" | "Ignored"

/** What each kind of error says about the health of the model. */
export const verdict: ClaudeError.Table<How> = {
  InvalidRequest: "Success",
  Unauthorized: "Success",
  Forbidden: "Success",
  NotFound: "Success",
  RequestTooLarge: "Success",
  ContextWindowExceeded: "Success",
  SpendLimitReached: "Ignored",
  RateLimited: "Ignored",
  Overloaded: "Failure",
  ServerFault: "Failure",
  Unreachable: "Failure",
  PartialAnswer: "Failure",
  UnexpectedResponse: "Failure",
  Refused: "Success",
  Truncated: "Success",
  EmptyAnswer: "Success",
  MalformedOutput: "Success",
  TimedOut: "Failure",
  DeadlineExceeded: "Ignored",
  CircuitOpen: "Ignored",
  Saturated: "Ignored"
}

export const eventOf = (
  how: How,
  generation: number,
  slow: boolean,
  jitter: number,
  error: ClaudeError.ClaudeError | undefined
): Machine.Event => {
  if (how === "Ignored") return { _tag: how, generation }
  if (how === "Success") return { _tag: how, generation, slow, jitter }
  const hint = error && ClaudeError.retryAfter(error)
  const millis = hint === undefined ? 0 : Duration.toMillis(hint)
  // An error of another wire may say anything.
  return { _tag: how, generation, jitter, retryAfter: millis <= longestHint ? millis : 0 }
}

/** What an ending says to the gate of the account: nothing, unless there is no money, or this was its probe. */
export const eventOfAccount = (
  how: How,
  { generation, probe }: { readonly generation: number; readonly probe: boolean },
  error: ClaudeError.ClaudeError | undefined,
  settings: Machine.Settings,
  now: number
): Machine.Event | undefined => {
  const kind = error && ClaudeError.kindOf(error)
  return kind === "SpendLimitReached"
    ? { _tag: "Trip", generation, until: regains(error && ClaudeError.regainsAt(error), settings, now) }
    : !probe
    ? undefined
    : how === "Success" || kind === "RateLimited"
    ? { _tag: "Success", generation, slow: false, jitter: 0 }
    : { _tag: "Ignored", generation }
}

export const statusOf = (settings: Machine.Settings, before: Machine.State, now: number): Status => {
  const state = Machine.steadied(before, now)
  const none = { calls: 0, failures: 0, retryAfter: undefined }
  if (state._tag === "Closed") {
    const { calls, failures } = Machine.sum(settings, state.slices, now)
    return { state: "closed", calls, failures, retryAfter: undefined }
  }
  const [, decision] = Machine.step(settings, state, ask, now)
  if (decision._tag === "Admitted") return { ...none, state: state._tag === "Open" ? "half-open" : "closed" }
  return {
    ...none,
    state: state._tag === "Isolated" ? "isolated" : state.until <= now ? "half-open" : "open",
    retryAfter: decision._tag === "Rejected" ? decision.retryAfter ?? undefined : undefined
  }
}
