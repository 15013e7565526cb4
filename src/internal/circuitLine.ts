/**
 * The line of calls at the circuit of one model: while it is open, and while it recovers.
 *
 * The first in the line looks at the circuit, sleeps until it may go, and hands
 * over to the next one. So there is one timer for a line, no fiber of its own,
 * and the oldest call leaves first, within its priority. Tenants do not take
 * turns here, but in the queue behind it.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type { ClaudeError } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type * as Machine from "./circuitMachine.ts"
import { rankOf } from "./priority.ts"
import { Ramp, RecentRate } from "./ramp.ts"

/** What a line needs of its circuit. */
export interface Circuit {
  /** How soon to ask again while somebody else probes, in milliseconds. */
  readonly recheck: number
  /** What a call would be told that asks now. It takes nothing. */
  readonly look: (now: number) => Effect.Effect<Machine.Decision>
  /** The error of a call that is turned away: `decision` of the circuit, and in how many milliseconds to ask again. */
  readonly reject: (decision: Machine.Decision, wait: number, now: number) => ClaudeError
}

interface Waiter {
  readonly deadline: number
  /** Whether it waits for an open circuit. All wait for one that recovers. */
  readonly patient: boolean
  readonly rank: number
  readonly turn: Deferred.Deferred<void, ClaudeError>
}

const waiterOf = (fiber: Fiber.Fiber<unknown, unknown>): Waiter => {
  const deadline = fiber.getRef(Current.Deadline)
  return {
    deadline,
    // Without a deadline, it might wait for hours.
    patient: deadline < Infinity && fiber.getRef(Current.WaitForCircuit),
    rank: rankOf(fiber),
    turn: Deferred.makeUnsafe()
  }
}

/** Who waits, and how fast they may leave. */
export class Line {
  readonly circuit: Circuit
  readonly pace = new RecentRate()
  ramp: Ramp | undefined
  /** Oldest first, by priority. The one that looks is among them. */
  readonly waiting: ReadonlyArray<Set<Waiter>> = [new Set(), new Set(), new Set()]
  first: Waiter | undefined
  readonly bell = Latch.makeUnsafe()
  /** When a call was let through to be the probe, which it is once it has a slot. */
  sentAt = -Infinity
  /** What the circuit said last. */
  last: Machine.Decision | undefined

  constructor(circuit: Circuit) {
    this.circuit = circuit
  }

  get size(): number {
    return this.waiting.reduce((sum, { size }) => sum + size, 0)
  }

  /** Passes at once, waits in the line, or fails at once if it may not wait or its turn cannot come before its deadline. */
  pass(fiber: Fiber.Fiber<unknown, unknown>, now: number): Effect.Effect<void, ClaudeError> {
    const waiter = waiterOf(fiber)
    return Effect.flatMapEager(this.circuit.look(now), (decision): Effect.Effect<void, ClaudeError> => {
      const wait = this.wait(decision, this.ahead(waiter), now)
      if (wait === 0) return this.leave(decision, now)
      return this.isHopeless(waiter, decision, wait, now)
        ? Exit.fail(this.circuit.reject(decision, wait, now))
        : this.stand(waiter, now)
    })
  }

  /** The circuit has turned: whoever looks, looks again. */
  turned(): void {
    this.sentAt = -Infinity
    this.bell.openUnsafe()
  }

  /** The circuit has closed: those who wait leave at a rate that grows. */
  recovered(now: number): void {
    this.pace.skip(now)
    this.ramp = new Ramp(this.pace.rate(), now)
    this.bell.openUnsafe()
  }

  // ---------------------------------------------------------------------------
  // Deciding
  // ---------------------------------------------------------------------------

  /** In how many milliseconds one may go that goes after so many: 0 for now. */
  wait(decision: Machine.Decision, ahead: number, now: number): number {
    if (decision._tag === "Rejected") return decision.retryAfter ?? Infinity
    if (decision._tag !== "Admitted" || !decision.probe) return this.ramp?.waitFor(ahead + 1, now) ?? 0
    const since = now - this.sentAt
    const isOnItsWay = since >= 0 && since < this.circuit.recheck
    return isOnItsWay ? this.circuit.recheck - since : ahead === 0 ? 0 : this.circuit.recheck
  }

  /** How many go before a call that comes now. */
  ahead({ rank }: Waiter): number {
    const before = this.waiting.reduce((sum, { size }, other) => other <= rank ? sum + size : sum, 0)
    return this.first !== undefined && this.first.rank > rank ? before + 1 : before
  }

  /** Whether it may not wait, or not for so long. */
  isHopeless({ deadline, patient }: Waiter, decision: Machine.Decision, wait: number, now: number): boolean {
    const isOpen = decision._tag === "Rejected" || decision._tag === "Admitted" && decision.probe
    const isByHand = decision._tag === "Rejected" && decision.isolated
    return isByHand || isOpen && !patient || now + wait >= deadline
  }

  /** One goes, now. */
  leave(decision: Machine.Decision, now: number): Effect.Effect<void> {
    if (decision._tag === "Admitted" && decision.probe) this.sentAt = now
    this.ramp?.take()
    // There is nothing left to hold back.
    if (this.size <= 1 && this.ramp?.isFull(now) === true) this.ramp = undefined
    return Exit.void
  }

  // ---------------------------------------------------------------------------
  // Waiting
  // ---------------------------------------------------------------------------

  stand(waiter: Waiter, now: number): Effect.Effect<void, ClaudeError> {
    return Effect.uninterruptible(Effect.suspend(() => {
      this.waiting[waiter.rank]?.add(waiter)
      const isFirst = this.first === undefined
      if (isFirst) this.first = waiter
      const led = isFirst ? this.lead(waiter) : Effect.andThen(this.behind(waiter, now), () => this.lead(waiter))
      return Effect.ensuring(Effect.interruptible(led), Effect.sync(() => this.gone(waiter)))
    }))
  }

  /** Waits to become the first. */
  behind({ deadline, turn }: Waiter, now: number): Effect.Effect<void, ClaudeError> {
    const called = Deferred.await(turn)
    if (deadline === Infinity) return called
    const late = Effect.flatMap(
      Effect.suspend(() => this.circuit.look(deadline)),
      (decision) => Effect.fail(this.circuit.reject(decision, this.wait(decision, 0, deadline), deadline))
    )
    return Effect.timeoutOrElse(called, { duration: deadline - now, orElse: () => late })
  }

  /** The first looks until it may go. */
  lead(waiter: Waiter): Effect.Effect<void, ClaudeError> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      this.bell.closeUnsafe()
      return Effect.flatMap(this.circuit.look(now), (decision): Effect.Effect<void, ClaudeError> => {
        const before = this.last
        this.last = decision
        const wait = this.wait(decision, 0, now)
        if (before?._tag !== decision._tag || decision._tag === "Rejected") this.sweep(decision, now)
        if (wait === 0) return this.leave(decision, now)
        if (this.isHopeless(waiter, decision, wait, now)) {
          return Effect.fail(this.circuit.reject(decision, wait, now))
        }
        return Effect.flatMap(Effect.raceFirst(this.bell.await, Effect.sleep(wait)), () => this.lead(waiter))
      })
    })
  }

  /** Tells those at once whose turn cannot come in time any more. */
  sweep(decision: Machine.Decision, now: number): void {
    let ahead = 0
    for (const rank of this.waiting) {
      for (const waiter of rank) {
        const wait = this.wait(decision, ahead, now)
        if (waiter === this.first || !this.isHopeless(waiter, decision, wait, now)) {
          ahead++
          continue
        }
        rank.delete(waiter)
        Deferred.doneUnsafe(waiter.turn, Exit.fail(this.circuit.reject(decision, wait, now)))
      }
    }
  }

  /** It has left, in whatever way: the next one looks. */
  gone(waiter: Waiter): void {
    this.waiting[waiter.rank]?.delete(waiter)
    if (this.first !== waiter) return
    this.first = this.waiting.find(({ size }) => size > 0)?.values().next().value
    if (this.first !== undefined) Deferred.doneUnsafe(this.first.turn, Exit.void)
  }
}
