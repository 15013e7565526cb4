/**
 * A guard decides, for every request, whether and when it may be sent.
 *
 * Guards hold state (permits, tokens, a circuit), so they are built once and wrapped around the service, not around a
 * call. `admit` returns a lease. The end of the answer stream settles the lease, not the caller's result: a caller that
 * recovers from a broken answer would report a success, and report it too late.
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

/** How an answer ended. An interrupt, or an answer that nobody read, says nothing about the service. */
export type Ending = Exit.Exit<unknown, unknown>

/** The right to send one request. */
export interface Lease {
  /** Called when the first content of the answer arrives. Not called if the request fails before that. */
  readonly opened?: ((answer: Opened) => Effect.Effect<void>) | undefined
  /** Called exactly once, when the answer ends: with its exit and the usage that the API reported, if any. */
  readonly settle: (exit: Ending, usage?: Usage | undefined) => Effect.Effect<void>
}

/** Shared state of a model or an account, which decides when each request may be sent. */
export interface Guard {
  /** Fails if the request must not be sent. A gate acquires nothing, so its wait may be interrupted at any point. */
  readonly gate: (request: Request) => Effect.Effect<void, ClaudeError>
  /**
   * Waits until the request may be sent, and acquires its lease. Runs uninterruptibly, so that an acquired lease is
   * never lost: wrap only the wait in `Effect.interruptible`. If the effect fails or is interrupted, it must hold
   * nothing.
   */
  readonly admit: (request: Request) => Effect.Effect<Lease, ClaudeError>
}

/** A gate that lets every request pass. `Guard.apply` skips it. */
export const open: (request: Request) => Effect.Effect<void> = () => Effect.void

/** A lease that holds nothing. `Guard.apply` does not settle it. */
export const nothing: Lease = { settle: () => Effect.void }

/**
 * Looks up how a guard should count an ending. A reader that leaves early, or fails with an error of its own, counts as
 * a success. Interrupts, defects and requests rejected locally are neutral. A broken answer counts as the error that
 * broke it. An answer that contradicts itself is neutral: it points to a proxy, not to the service.
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

/** Makes every request pass the guards: first all gates, then each `admit` in order. Leases settle in reverse order. */
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

/** The state of one request while it is guarded. */
interface Held {
  readonly scope: Scope.Scope
  /** The leases that are not settled yet. */
  readonly leases: Array<Lease>
  /** Set when the answer begins. */
  answer: Opened | undefined
}

/** Whether the scope of the answer was closed concurrently: anything acquired in it now would never be released. */
const isClosed = ({ scope: { state } }: Held): boolean => state._tag === "Closed"

/** Acquires a lease from each guard. */
const admit = Effect.fnUntraced(function*(held: Held, guards: ReadonlyArray<Guard>, request: Request) {
  for (const guard of guards) {
    if (isClosed(held)) break
    // A guard written in JavaScript may return `undefined`.
    const lease: Lease = (yield* guard.admit(request)) ?? nothing
    if (lease !== nothing) held.leases.push(lease)
  }
  const { state } = held.scope
  if (state._tag !== "Closed") return
  // The finalizer has run already, and did not see the last lease.
  yield* settle(held, state.exit)
  return yield* Effect.interrupt
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

/** The usage of an answer. Unknown if the reader left early: the API reports the final count only at the end. */
const usageOf = (answer: Opened, exit: Ending): Usage | undefined =>
  Exit.isSuccess(exit) && !answer.isComplete() ? undefined : answer.usage()
