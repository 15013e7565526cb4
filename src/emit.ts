import * as Effect from "effect/Effect"
import { atNow } from "./atNow.ts"
import * as CallContext from "./callContext.ts"
import type { CallLog, Event } from "./CallLog.ts"
import type { ClaudeError } from "./ClaudeError.ts"
import * as Runtime from "./runtime.ts"

export interface Source {
  readonly log: CallLog
  /** The id of the call; undefined without a policy. */
  readonly call: string | undefined
  readonly model: string
}

export interface Common {
  readonly at: number
  readonly call: string | undefined
  readonly model: string
}

export const emit = ({ call, log, model }: Source, event: (common: Common) => Event): Effect.Effect<void> =>
  atNow((at) => log.emit(event({ at, call, model })))

export const warning = (code: string, message: string) => (common: Common): Event => ({
  _tag: "Warning",
  ...common,
  code,
  message: message.slice(0, 200)
})

/** `to`: a model, or the name of another replacement, such as `notice`. */
export const fallback = (error: ClaudeError, to: string) => (common: Common): Event => ({
  _tag: "FellBack",
  ...common,
  model: error.model ?? common.model,
  to,
  error
})

/** Logs a warning about a request; under a policy, the same warning at most once per call. */
export const warn = (asked: CallContext.Asked, model: string, code: string, message: string): Effect.Effect<void> =>
  Effect.flatMap(CallContext.Call, (call) =>
    call === undefined
      ? emit({ log: Runtime.of(asked).log, call: undefined, model }, warning(code, message))
      : call.warn(model, code, message))
