/**
 * A guard decides, for every request, whether and when it may be sent.
 *
 * Guards hold state (permits, tokens, a circuit), so they are built once per `Claude`, not per call. `admit` returns a
 * lease, which is settled with the end of the answer stream. The result of the caller would be too late, and wrong: a
 * caller that recovers from a broken answer would report a success.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
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

/** The exit of an answer. An answer that nobody read ends with an interrupt, which says nothing about the service. */
export type Ending = Exit.Exit<unknown, unknown>

/** The right to send one request. */
export interface Lease {
  /** Called when the first content of the answer arrives. Not called if the request fails earlier. */
  readonly opened?: ((answer: Opened) => Effect.Effect<void>) | undefined
  /**
   * Called exactly once, when the answer ends or the request fails. `usage` is `undefined` if the request failed before
   * its first content, or if the reader stopped early without an interrupt. If an error or an interrupt ended the answer,
   * `usage` is what the API had reported until then, usually without the final output.
   */
  readonly settle: (exit: Ending, usage?: Usage | undefined) => Effect.Effect<void>
}

/** Shared state of a model or an account, which decides when each request may be sent. */
export interface Guard {
  /** Fails if the request must not be sent. A gate acquires nothing, so its wait may be interrupted at any point. */
  readonly gate: (request: Request) => Effect.Effect<void, ClaudeError>
  /**
   * Waits until the request may be sent, and acquires its lease. Runs uninterruptibly, so that an acquired lease is
   * never lost: make only the wait `Effect.interruptible`. An effect that fails or is interrupted must leave nothing
   * acquired.
   */
  readonly admit: (request: Request) => Effect.Effect<Lease, ClaudeError>
}

/** A gate that lets every request pass. `Guard.apply` skips it. */
export const open: (request: Request) => Effect.Effect<void> = () => Effect.void

/** A lease that holds nothing. `Guard.apply` does not settle it. */
export const nothing: Lease = { settle: () => Effect.void }

/**
 * Returns the entry of `decide` for an ending. An answer whose reader stopped early, or failed with an error that did
 * not come from the answer, is a success. Interrupts, defects and requests rejected locally are neutral. A broken
 * answer has the entry of the error that broke it. An answer whose events contradict each other is neutral: a proxy is
 * the likely cause, not the service.
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

/** Each request passes all gates, then each `admit`, in the order of `guards`. Leases settle in reverse order. */
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
  // Reads the context once: yielding each service separately would cost more than a guard.
  const context = yield* Effect.context<Scope.Scope>()
  const clock = Context.get(context, Clock.Clock)
  const from = clock.currentTimeMillisUnsafe()
  for (const guard of guards) {
    if (guard.gate !== open) yield* guard.gate(request)
  }
  const held: Held = { scope: Context.get(context, Scope.Scope), leases: [], answer: undefined }
  yield* onScopeExit(context, (exit) => settle(held, exit))
  yield* Effect.uninterruptible(admit(held, guards, request))
  const queued = Context.get(context, Queued) + clock.currentTimeMillisUnsafe() - from
  const opening = claude.open(request)
  const answer = held.answer = yield* (queued === 0 ? opening : Effect.provideService(opening, Queued, queued))
  for (const lease of held.leases) {
    if (isClosed(held)) return yield* Effect.interrupt
    if (lease.opened !== undefined) yield* lease.opened(answer)
  }
  return isClosed(held) ? yield* Effect.interrupt : answer
})

interface Held {
  readonly scope: Scope.Scope
  /** The leases that are not settled yet. */
  readonly leases: Array<Lease>
  /** Set when the answer begins. */
  answer: Opened | undefined
}

/** Whether another fiber closed the scope of the answer: a request sent now would run without its leases. */
const isClosed = ({ scope: { state } }: Held): boolean => state._tag === "Closed"

const admit = Effect.fnUntraced(function*(held: Held, guards: ReadonlyArray<Guard>, request: Request) {
  for (const guard of guards) {
    if (isClosed(held)) return yield* Effect.interrupt
    // A guard written in JavaScript may return `undefined`.
    const lease: Lease = (yield* guard.admit(request)) ?? nothing
    const { state } = held.scope
    // If the scope was closed meanwhile, its finalizer settles the earlier leases, and has not seen this one.
    if (state._tag === "Closed") yield* lease.settle(state.exit)
    else if (lease !== nothing) held.leases.push(lease)
  }
  if (isClosed(held)) return yield* Effect.interrupt
})

/** Settles the leases in reverse order, even if the `settle` of one of them, or `usage` of the answer, throws. */
const settle = Effect.fnUntraced(function*({ answer, leases }: Held, exit: Ending) {
  const usage = Result.try(() => answer && usageOf(answer, exit))
  const exits: Array<Exit.Exit<void>> = Result.isFailure(usage) ? [Exit.die(usage.failure)] : []
  while (leases.length > 0) {
    const settled = Effect.suspend(() => leases.pop()?.settle(exit, Result.getOrUndefined(usage)) ?? Effect.void)
    exits.push(yield* Effect.exit(settled))
  }
  return yield* Exit.asVoidAll(exits)
})

/** `undefined` if the reader stopped early without an error: the API reports the final usage only at the end. */
const usageOf = (answer: Opened, exit: Ending): Usage | undefined =>
  Exit.isSuccess(exit) && !answer.isComplete() ? undefined : answer.usage()
