/** What a budget pays for. */
import * as Effect from "effect/Effect"
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

/** Pays for an attempt that follows a failure, if it is to be paid for; does the other thing if it cannot be. */
export const pay = <A, E, R>(
  claude: Claude["Service"] | undefined,
  because: ClaudeError | undefined,
  attempt: Effect.Effect<A, E, R>,
  refused: (because: ClaudeError) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  if (claude === undefined || because === undefined || !charged[because._tag]) return attempt
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      claude.budget.charge(because),
      (charge) => charge === undefined ? refused(because) : Effect.onExit(restore(attempt), charge.settle)
    )
  )
}
