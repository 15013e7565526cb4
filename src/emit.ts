/** The one way to the log: every event of a call, of an attempt and of a fallback is emitted here. */
import type * as Effect from "effect/Effect"
import { atNow } from "./atNow.ts"
import type { CallLog, Event } from "./CallLog.ts"
import type { ClaudeError } from "./ClaudeError.ts"

/** Where an event comes from. */
export interface Source {
  /** Where it goes. */
  readonly log: CallLog
  /** The call it is about, if a policy runs it. */
  readonly call: string | undefined
  readonly model: string
}

/** What every event says. */
export interface Common {
  readonly at: number
  readonly call: string | undefined
  readonly model: string
}

/** Emits an event. It is always made: whether anybody listens is the log's business. */
export const emit = ({ call, log, model }: Source, event: (common: Common) => Event): Effect.Effect<void> =>
  atNow((at) => log.emit(event({ at, call, model })))

/** A warning, cut to the length that a line of a log may have. */
export const warning = (code: string, message: string) => (common: Common): Event => ({
  _tag: "Warning",
  ...common,
  code,
  message: message.slice(0, 200)
})

/** Something else answers in place of a call that failed: `to` says what. */
export const fallback = (error: ClaudeError, to: string) => (common: Common): Event => ({
  _tag: "FellBack",
  ...common,
  model: error.model ?? common.model,
  to,
  error
})
