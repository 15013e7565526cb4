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
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import { Claude, type Opened } from "../Claude.ts"
import { type ClaudeError, is, kindOf, type Table } from "../ClaudeError.ts"
import { isPermanent } from "../internal/classify.ts"
import * as Eager from "../internal/eager.ts"
import { isLocal } from "../internal/local.ts"
import * as Opening from "../internal/opening.ts"
import type { Request, Usage } from "../Message.ts"

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
  /**
   * What `Guard.apply` asks instead of these two, which are then never called: leave it out of a guard that is made from
   * another. Not needed.
   */
  readonly direct?: Direct | undefined
}

/**
 * What a guard decides when it is called, in the fiber of a call: once for each request, all gates before the first
 * `admit`. An `Exit` is only looked at, and costs no step; what is none is run, `admit` uninterruptibly: put
 * `Effect.interruptible` on the wait. What throws is a defect of the call, and holds nothing.
 */
export interface Direct {
  readonly gate: (request: Request, place: Place) => Effect.Effect<void, ClaudeError>
  readonly admit: (request: Request, place: Place) => Effect.Effect<Held, ClaudeError>
}

/**
 * What a request holds. `end` is called once, after what was opened behind the guards has ended, and may do its work when
 * it is called. One that throws or dies is a defect of the call, and keeps no other from being ended.
 */
export interface Held {
  /** Told when the answer begins, which is with its first content, if it does. */
  readonly opened?: ((answer: Opened, place: Place) => Effect.Effect<void>) | undefined
  readonly end: (exit: Ending, usage: Usage | undefined, place: Place) => Effect.Effect<void>
}

/** Where and when it is called: in the fiber of a call, at a time in milliseconds. */
export interface Place {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly now: number
}

/** A guard that decides when it is called, and not when it runs. Its `gate` and `admit` are the same as effects. */
export const make = (direct: Direct): Guard & { readonly direct: Direct } => ({
  gate: (request) => Effect.withFiber((fiber) => direct.gate(request, placeOf(fiber))),
  admit: (request) => Effect.withFiber((fiber) => Effect.map(direct.admit(request, placeOf(fiber)), leaseOf)),
  direct
})

const leaseOf = (held: Held): Lease => ({
  opened: (answer) => Effect.withFiber((fiber) => held.opened?.(answer, placeOf(fiber)) ?? Exit.void),
  settle: (exit, usage) => Effect.withFiber((fiber) => held.end(exit, usage, placeOf(fiber)))
})

/** A guard that decides when it runs. */
const directOf = (guard: Guard): Direct =>
  guard.direct ?? {
    gate: guard.gate === open ? open : (request) => guard.gate(request),
    admit: (request) => Effect.map(guard.admit(request), heldOf)
  }

/** What is no lease holds nothing: a guard that the compiler has not seen may give none. */
const heldOf = (lease: Lease | undefined): Held =>
  lease === undefined ? nothing : {
    opened: (answer) => lease.opened?.(answer) ?? Exit.void,
    end: (exit, usage) => Effect.suspend(() => lease.settle(exit, usage))
  }

/** The place of a fiber, now. */
export const placeOf = (fiber: Place["fiber"]): Place => ({
  fiber,
  now: fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
})

/** A gate that lets everything through. */
export const open: (request: Request) => Effect.Effect<void> = () => Exit.void

/** Nothing is held: as a `Lease`, and as a `Held`. */
export const nothing: Lease & Held = { settle: () => Exit.void, end: () => Exit.void }

/** The error of ours that an answer ended with; nothing after a success, a defect or an interrupt. */
export const errorOf = (exit: Ending): ClaudeError | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const found = Cause.findErrorOption(exit.cause)
  return found._tag === "Some" && is(found.value) ? found.value : undefined
}

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
export const apply = (guards: ReadonlyArray<Guard>) => (claude: Claude["Service"]): Claude["Service"] => {
  if (guards.length === 0) return claude
  const all = guards.map(directOf)
  const gates = all.filter(({ gate }) => gate !== open)
  return Claude.of({
    ...claude,
    open: Opening.make((request, fiber) => new Passage(all, gates, claude, request, fiber))
  })
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** The way of one request past the guards. A class, and loops, because it is made for every attempt. */
class Passage implements Opening.Opening {
  readonly guards: ReadonlyArray<Direct>
  readonly gates: ReadonlyArray<Direct>
  readonly claude: Opening.Service
  readonly request: Request
  readonly fiber: Place["fiber"]
  /** What is held, and last what is opened behind the guards. */
  readonly leases: Array<Held> = []
  answer: Opened | undefined
  /** How it ended, if it has: as it may while it waits, where somebody else closes its scope. */
  ending: Ending | undefined

  constructor(
    guards: ReadonlyArray<Direct>,
    gates: ReadonlyArray<Direct>,
    claude: Opening.Service,
    request: Request,
    fiber: Place["fiber"]
  ) {
    this.guards = guards
    this.gates = gates
    this.claude = claude
    this.request = request
    this.fiber = fiber
  }

  open(): Effect.Effect<Opened, ClaudeError> {
    const entered = this.enter()
    return entered === Exit.void ? this.pass() : Effect.flatMap(entered, () => this.pass())
  }

  pass(): Effect.Effect<Opened, ClaudeError> {
    if (this.ending !== undefined) return Effect.interrupt
    const inner = Opening.of(this.claude, this.request, this.fiber)
    // Not itself: guards behind these have an `opened` of their own.
    this.leases.push({ end: (exit) => inner.end(exit) })
    return Effect.flatMap(inner.open(), (answer) => this.begun(answer))
  }

  begun(answer: Opened): Effect.Effect<Opened> {
    this.answer = answer
    const told = this.opened(answer, 0)
    return told === Exit.void
      ? Exit.succeed(answer)
      : Effect.flatMap(told, () => this.ending === undefined ? Effect.succeed(answer) : Effect.interrupt)
  }

  enter(): Effect.Effect<void, ClaudeError> {
    const place = placeOf(this.fiber)
    const gated = this.gated(0, place)
    return gated === Exit.void ? this.admit(place) : Effect.flatMap(gated, () => this.admit(placeOf(this.fiber)))
  }

  admit(place: Place): Effect.Effect<void, ClaudeError> {
    if (this.ending !== undefined) return Effect.interrupt
    const admitted = this.admitted(0, place)
    return Eager.isDone(admitted) ? admitted : Effect.uninterruptible(admitted)
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
          if (this.ending !== undefined) return Effect.andThen(this.end(this.ending), Effect.interrupt)
          // It may have waited.
          return this.admitted(i + 1, placeOf(this.fiber))
        })
      }
      if (Exit.isFailure(admitted)) return Exit.failCause(admitted.cause)
      this.hold(admitted.value)
    }
    return Exit.void
  }

  hold(lease: Held): void {
    if (lease !== nothing) this.leases.push(lease)
  }

  opened(answer: Opened, from: number): Effect.Effect<void> {
    for (let i = from; i < this.leases.length; i++) {
      const told = this.leases[i]?.opened?.(Opening.plain(answer), placeOf(this.fiber))
      if (told !== undefined) return Effect.flatMapEager(told, () => this.opened(answer, i + 1))
    }
    return Exit.void
  }

  /** The last one first. One that dies, or throws, takes no other with it. */
  end(exit: Ending): Effect.Effect<void> {
    this.ending = exit
    const settled = Result.getOrElse(Result.try(() => this.settled(exit)), Effect.die)
    return this.leases.length === 0
      ? settled
      : Effect.ensuring(settled, Effect.suspend(() => this.end(exit)))
  }

  /** Those that are settled at once, up to one that is not, or dies. */
  settled(exit: Ending): Effect.Effect<void> {
    const place = placeOf(Fiber.getCurrent() ?? this.fiber)
    const { answer } = this
    // One that throws when it is asked what it used is not asked again.
    this.answer = undefined
    // One that its reader has left has not said how long it would have been, or had become.
    const isLeft = answer !== undefined && Exit.isSuccess(exit) && !answer.isWhole()
    const usage = isLeft ? undefined : answer?.usage()
    this.answer = answer
    for (let lease = this.leases.pop(); lease !== undefined; lease = this.leases.pop()) {
      const settled = lease.end(exit, usage, place)
      if (!Eager.isDone(settled) || Exit.isFailure(settled)) return settled
    }
    return Exit.void
  }
}

const none = Exit.succeed(nothing)
