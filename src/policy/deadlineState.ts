import type { PolicyCall } from "../answer/continuation.ts"
import type { Ending } from "../answer/ending.ts"
import type { DeadlineState } from "../callContext.ts"
import type { DeadlineExceeded, Tried } from "../ClaudeError.ts"
import * as History from "../history.ts"

export const make = (outer: DeadlineState | undefined): DeadlineState => ({
  outer,
  isReached: false,
  interrupted: undefined,
  call: undefined
})

/**
 * Adds to the error of a deadline the facts about the attempt that the deadline interrupted (`about`), and the history of
 * the unfinished calls inside the deadline. `own`: the ending of the call around the deadline. The history of that call is
 * not added here, because the call adds it when it ends.
 */
export const tell = (
  { call, interrupted }: DeadlineState,
  error: DeadlineExceeded,
  own: Ending | undefined
): DeadlineExceeded => {
  const told = interrupted === undefined ? error : History.copy(error, interrupted.about)
  const calls: Array<PolicyCall> = []
  for (let one: PolicyCall | undefined = call; one !== undefined && one.ending !== own; one = one.outer) {
    if (one.ending?.isOver !== true) calls.unshift(one)
  }
  if (calls.length === 0) return told
  const before = calls.flatMap(({ history }): ReadonlyArray<Tried> => history)
  const history = interrupted === undefined
    ? before
    : History.remember(before, told, interrupted.attempt, interrupted.about.model ?? "")
  return history.length === 0 ? told : History.copy(told, { history })
}
