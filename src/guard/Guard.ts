/**
 * A guard decides, for every request, whether and when it may be sent.
 *
 * Guards hold state (permits, tokens, a circuit), so they are built once and
 * wrapped around the service, not around a call. Admission gives a lease, and
 * the end of the answer itself settles it: whoever reads may have recovered from
 * a broken answer, and would call that a success, too late.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { Claude, type Opened } from "../Claude.ts"
import { type ClaudeError, kindOf, type Table } from "../ClaudeError.ts"
import { errorOf } from "../errorOf.ts"
import { isLocal } from "../local.ts"
import type { Request, Usage } from "../Message.ts"
import { onScopeExit } from "../onScopeExit.ts"
import { isPermanent } from "../permanence.ts"
import { Queued } from "../queued.ts"

export { errorOf } from "../errorOf.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** How an answer ended. An interrupt, or one that was never read, says nothing. */
export type Ending = Exit.Exit<unknown, unknown>

/** The right to send one request. */
export interface Lease {
  /** Told when the answer begins, which is with its first content, if it does. */
  readonly opened?: ((answer: Opened) => Effect.Effect<void>) | undefined
  /** Told exactly once how the answer ended, and what it used, as far as the API said: it says so at the end of an answer. */
  readonly settle: (exit: Ending, usage?: Usage | undefined) => Effect.Effect<void>
}

/** State that calls share about a model or an account. */
export interface Guard {
  /** Fails if the request must not be sent. It holds nothing, so it may wait where it can be interrupted. */
  readonly gate: (request: Request) => Effect.Effect<void, ClaudeError>
  /**
   * Waits its turn. Runs uninterruptibly, so that a lease once given is never lost: put `Effect.interruptible` on the
   * wait, and nowhere else. What fails or is interrupted holds nothing.
   */
  readonly admit: (request: Request) => Effect.Effect<Lease, ClaudeError>
}

/** A gate that lets everything through: it is not even asked. */
export const open: (request: Request) => Effect.Effect<void> = () => Effect.void

/** A lease that holds nothing: it is not even settled. */
export const nothing: Lease = { settle: () => Effect.void }

/**
 * What a table says of an ending. Leaving early is a success, and so is a reader that fails by itself; an interrupt or a
 * defect is neutral, and so is what was found to be invalid here, and not sent. An answer that broke off counts as the
 * error that broke it; one that contradicts itself says nothing about the service, only about what is in between.
 */
export const judge = <A>(
  exit: Ending,
  decide: { readonly success: A; readonly neutral: A; readonly failure: Table<A> }
): A => {
  if (Exit.isSuccess(exit)) return decide.success
  const error = errorOf(exit)
  if (error === undefined || isLocal(error)) return decide.neutral
  const kind = kindOf(error)
  return kind === "UnexpectedResponse" && isPermanent(error) ? decide.neutral : decide.failure[kind]
}

// -----------------------------------------------------------------------------
// Combinators
// -----------------------------------------------------------------------------

/** Makes every request pass the guards: all gates first, then every admission in order. Leases are settled in reverse. */
export const apply = (guards: ReadonlyArray<Guard>) => (claude: Claude["Service"]): Claude["Service"] =>
  guards.length === 0 ? claude : Claude.of({ ...claude, open: (request) => openBehind(guards, claude, request) })

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const openBehind = Effect.fnUntraced(function*(
  guards: ReadonlyArray<Guard>,
  claude: Claude["Service"],
  request: Request
) {
  // Read once: to yield each of these would cost more than a guard.
  const context = yield* Effect.context<Scope.Scope>()
  const clock = Context.get(context, Clock.Clock)
  const from = clock.currentTimeMillisUnsafe()
  for (const guard of guards) {
    if (guard.gate !== open) yield* guard.gate(request)
  }
  const held: Held = { context, scope: Context.get(context, Scope.Scope), usage: undefined }
  const leases = yield* Effect.uninterruptible(admit(held, guards, request))
  const queued = Context.get(context, Queued) + clock.currentTimeMillisUnsafe() - from
  const opening = claude.open(request)
  const answer = yield* (queued === 0 ? opening : Effect.provideService(opening, Queued, queued))
  yield* onScopeExit(context, (exit) => Effect.sync(() => void (held.usage = usageOf(answer, exit))))
  for (const lease of leases) {
    if (isClosed(held)) return yield* Effect.interrupt
    if (lease.opened !== undefined) yield* lease.opened(answer)
  }
  return isClosed(held) ? yield* Effect.interrupt : answer
})

/** What is held for one request, and by whom. */
interface Held {
  readonly context: Context.Context<Scope.Scope>
  readonly scope: Scope.Scope
  /** What its answer has used, when that is over. */
  usage: Usage | undefined
}

/** Whether somebody else has closed the scope of the answer meanwhile: nobody would close what is opened in it. */
const isClosed = ({ scope: { state } }: Held): boolean => state._tag === "Closed"

/** Takes a lease of each guard. The scope settles them, the last one first; one that dies keeps no other from it. */
const admit = Effect.fnUntraced(function*(held: Held, guards: ReadonlyArray<Guard>, request: Request) {
  const leases: Array<Lease> = []
  for (const guard of guards) {
    if (isClosed(held)) return yield* Effect.interrupt
    // A guard that the compiler has not seen may give none.
    const lease: Lease = (yield* guard.admit(request)) ?? nothing
    if (lease === nothing) continue
    leases.push(lease)
    yield* onScopeExit(held.context, (exit) => lease.settle(exit, held.usage))
  }
  return isClosed(held) ? yield* Effect.interrupt : leases
})

/** What an answer has used. One that its reader has left has not said how long it would have been, or had become. */
const usageOf = (answer: Opened, exit: Ending): Usage | undefined =>
  Exit.isSuccess(exit) && !answer.isComplete() ? undefined : answer.usage()
