/** What a budget pays for. */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Claude } from "../Claude.ts"
import type { ClaudeError, Table } from "../ClaudeError.ts"

/** Whether an attempt after this failure is extra load. Where nothing was sent, it is none. */
const charged: Table<boolean> = {
  InvalidRequest: true,
  Unauthorized: true,
  Forbidden: true,
  NotFound: true,
  RequestTooLarge: true,
  ContextWindowExceeded: true,
  SpendLimitReached: true,
  RateLimited: true,
  Overloaded: true,
  ServerFault: true,
  Unreachable: true,
  PartialAnswer: true,
  UnexpectedResponse: true,
  Refused: true,
  Truncated: true,
  EmptyAnswer: true,
  MalformedOutput: true,
  TimedOut: true,
  DeadlineExceeded: true,
  CircuitOpen: false,
  Saturated: false
}

/** Says how an attempt that was paid for ended: the first time counts. */
export type Settle = (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>

/** Pays for an attempt that follows a failure, if it is to be paid for; does the other thing if it cannot be. */
export const pay = <A, E, R>(
  claude: Claude["Service"] | undefined,
  because: ClaudeError | undefined,
  attempt: Effect.Effect<A, E, R>,
  refused: (because: ClaudeError) => Effect.Effect<A, E, R>,
  onPaid: (settle: Settle) => void = () => {}
): Effect.Effect<A, E, R> => {
  if (claude === undefined || because === undefined || !charged[because._tag]) return attempt
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(claude.budget.charge(because), (charge) => {
      if (charge === undefined) return refused(because)
      let settled = false
      const settle: Settle = (exit) =>
        Effect.suspend(() => {
          if (settled) return Effect.void
          settled = true
          return charge.settle(exit)
        })
      onPaid(settle)
      return Effect.onExit(restore(attempt), settle)
    })
  )
}
