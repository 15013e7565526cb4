/**
 * A guard decides, for every request, whether and when it may be sent.
 *
 * Guards hold state (permits, tokens, a circuit), so they are built once and
 * wrapped around the service, not around a call. Admission gives a lease, and
 * the end of the answer itself settles it: whoever reads may have recovered from
 * a broken answer, and would call that a success, too late.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { Claude, type Opened } from "../Claude.ts"
import { type ClaudeError, is, type Table } from "../ClaudeError.ts"
import * as Eager from "../internal/eager.ts"
import { isLocal } from "../internal/local.ts"
import type { Request, Usage } from "../Message.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** How an answer ended. An interrupt, or one that was never read, says nothing. */
export type Ending = Exit.Exit<unknown, unknown>

/** The right to send one request. */
export interface Lease {
  /** Told when the answer begins, if it does. */
  readonly opened?: ((answer: Opened) => Effect.Effect<void>) | undefined
  /** Told exactly once how the answer ended, and what it used, as far as the API said: it says so at the end of an answer. */
  readonly settle: (exit: Ending, usage?: Usage | undefined) => Effect.Effect<void>
  /** The same, done when it is called, in a fiber: what is an `Exit` costs nothing more. Not needed. */
  readonly end?: ((exit: Ending, usage: Usage | undefined, place: Place) => Effect.Effect<void>) | undefined
}

/** State that calls share about a model or an account. */
export interface Guard {
  /** Fails at once if the request must not be sent. Waits for nothing and holds nothing. */
  readonly gate: (request: Request) => Effect.Effect<void, ClaudeError>
  /**
   * Waits its turn. Runs uninterruptibly, so that a lease once given is never lost: put `Effect.interruptible` on the
   * wait, and nowhere else. What fails or is interrupted holds nothing.
   */
  readonly admit: (request: Request) => Effect.Effect<Lease, ClaudeError>
  /** The same, decided when it is called, in a fiber: what is an `Exit` costs nothing more. Not needed. */
  readonly direct?: Direct | undefined
}

/** What a guard decides when it is called, in a fiber. */
export interface Direct {
  readonly gate: (request: Request, place: Place) => Effect.Effect<void, ClaudeError>
  readonly admit: (request: Request, place: Place) => Effect.Effect<Lease, ClaudeError>
}

/** Where and when it is called: in the fiber of a call, at a time in milliseconds. */
export interface Place {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly now: number
}

/** A guard by what it decides when it is called. */
export const make = (direct: Direct): Guard => ({
  gate: (request) => Effect.withFiber((fiber) => direct.gate(request, placeOf(fiber))),
  admit: (request) => Effect.withFiber((fiber) => direct.admit(request, placeOf(fiber))),
  direct
})

/** The place of a fiber, now. */
export const placeOf = (fiber: Place["fiber"]): Place => ({
  fiber,
  now: fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
})

/** A gate that lets everything through. */
export const open: (request: Request) => Effect.Effect<void> = () => Exit.void

/** A lease of nothing. */
export const nothing: Lease = { settle: () => Exit.void }

/** The error of ours that an answer ended with; nothing after a success, a defect or an interrupt. */
export const errorOf = (exit: Ending): ClaudeError | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const found = Cause.findErrorOption(exit.cause)
  return found._tag === "Some" && is(found.value) ? found.value : undefined
}

/**
 * What a table says of an ending. Leaving early is a success, and so is a reader that fails by itself; an interrupt or a
 * defect is neutral, and so is what was found to be invalid here, and not sent.
 */
export const judge = <A>(
  exit: Ending,
  decide: { readonly success: A; readonly neutral: A; readonly failure: Table<A> }
): A => {
  if (Exit.isSuccess(exit)) return decide.success
  const error = errorOf(exit)
  return error === undefined || isLocal(error) ? decide.neutral : decide.failure[error._tag]
}

// -----------------------------------------------------------------------------
// Combinators
// -----------------------------------------------------------------------------

/** Makes every request pass the guards: all gates first, then every admission in order. Leases are settled in reverse. */
export const apply = (guards: ReadonlyArray<Guard>) => (claude: Claude["Service"]): Claude["Service"] => {
  if (guards.length === 0) return claude
  const all = guards.map((guard): Direct => guard.direct ?? guard)
  const gates = all.filter(({ gate }) => gate !== open)
  return Claude.of({
    ...claude,
    open: (request) =>
      Effect.withFiber((fiber) => {
        const passage = new Passage(all, gates, request, fiber)
        // Before anything is taken: what is held is settled, whatever comes between.
        const settled = Scope.addFinalizerExit(
          Context.getUnsafe(fiber.context, Scope.Scope),
          (exit) => passage.settle(exit, placeOf(Fiber.getCurrent() ?? fiber))
        )
        return Effect.flatMap(settled, () => Eager.flatMap(passage.enter(), () => passage.open(claude)))
      })
  })
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** The way of one request past the guards. A class, and loops, because it is made for every attempt. */
class Passage {
  readonly guards: ReadonlyArray<Direct>
  readonly gates: ReadonlyArray<Direct>
  readonly request: Request
  readonly fiber: Place["fiber"]
  /** What is held. */
  readonly leases: Array<Lease> = []
  answer: Opened | undefined

  constructor(guards: ReadonlyArray<Direct>, gates: ReadonlyArray<Direct>, request: Request, fiber: Place["fiber"]) {
    this.guards = guards
    this.gates = gates
    this.request = request
    this.fiber = fiber
  }

  enter(): Effect.Effect<void, ClaudeError> {
    const place = placeOf(this.fiber)
    return Eager.flatMap(this.gated(0, place), () => {
      const admitted = this.admitted(0, place)
      return Exit.isExit(admitted) ? admitted : Effect.uninterruptible(admitted)
    })
  }

  gated(from: number, place: Place): Effect.Effect<void, ClaudeError> {
    for (let i = from; i < this.gates.length; i++) {
      const gated = this.gates[i]?.gate(this.request, place) ?? Exit.void
      if (!Eager.isDone(gated)) return Effect.flatMap(gated, () => this.gated(i + 1, placeOf(this.fiber)))
      if (Exit.isFailure(gated)) return gated
    }
    return Exit.void
  }

  admitted(from: number, place: Place): Effect.Effect<void, ClaudeError> {
    for (let i = from; i < this.guards.length; i++) {
      const admitted = this.guards[i]?.admit(this.request, place) ?? none
      if (!Eager.isDone(admitted)) {
        return Effect.flatMap(admitted, (lease) => {
          this.hold(lease)
          // It may have waited.
          return this.admitted(i + 1, placeOf(this.fiber))
        })
      }
      if (Exit.isFailure(admitted)) return Exit.failCause(admitted.cause)
      this.hold(admitted.value)
    }
    return Exit.void
  }

  /** What is no lease holds nothing: a guard that the compiler has not seen may give none. */
  hold(lease: Lease | undefined): void {
    if (lease !== nothing && lease !== undefined) this.leases.push(lease)
  }

  open(claude: Claude["Service"]): Effect.Effect<Opened, ClaudeError, Scope.Scope> {
    return Effect.flatMap(claude.open(this.request), (answer) => {
      this.answer = answer
      const told = this.opened(answer, 0)
      return Eager.isDone(told) ? Exit.succeed(answer) : Effect.as(told, answer)
    })
  }

  opened(answer: Opened, from: number): Effect.Effect<void> {
    for (let i = from; i < this.leases.length; i++) {
      const told = this.leases[i]?.opened?.(answer)
      if (told !== undefined) return Eager.flatMap(told, () => this.opened(answer, i + 1))
    }
    return Exit.void
  }

  /** The last one first. One that dies, or throws, takes no other with it. */
  settle(exit: Ending, place: Place): Effect.Effect<void> {
    // One that its reader has left has not said how long it would have been, or had become.
    const isLeft = this.answer !== undefined && Exit.isSuccess(exit) && !this.answer.isWhole()
    const usage = isLeft ? undefined : this.answer?.usage()
    for (let lease = this.leases.pop(); lease !== undefined; lease = this.leases.pop()) {
      const { end, settle } = lease
      const settled = end === undefined
        ? Effect.suspend(() => settle(exit, usage))
        : Result.getOrElse(Result.try(() => end(exit, usage, place)), Effect.die)
      if (!Eager.isDone(settled) || Exit.isFailure(settled)) {
        return Effect.ensuring(settled, Effect.suspend(() => this.settle(exit, place)))
      }
    }
    return Exit.void
  }
}

const none = Exit.succeed(nothing)
