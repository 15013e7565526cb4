/**
 * The line of calls that wait at the circuit of one model, while the circuit is open or recovers.
 *
 * The line has no fiber: the first call checks the circuit, sleeps until it may go, and hands over to the next call.
 * The other calls have only a timer for their deadline. Calls leave by priority and then oldest first. Tenants take
 * turns only in the queue (`admission`), which a call enters after this line.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as CallContext from "../../callContext.ts"
import type { ClaudeError } from "../../ClaudeError.ts"
import * as Current from "../../Current.ts"
import * as Priority from "../priority.ts"
import { Ramp, RecentRate } from "../ramp.ts"
import type * as Machine from "./machine.ts"

export interface Circuit {
  /** Milliseconds between two checks while another call probes. */
  readonly recheck: number
  /** Does not take the probe. */
  readonly look: (now: number) => Effect.Effect<Machine.Decision>
  /** `wait`: milliseconds until the next attempt is worthwhile. */
  readonly reject: (decision: Machine.Decision, wait: number, now: number) => ClaudeError
}

interface Waiter {
  readonly deadline: number
  /** Whether the call waits at an open circuit. At a recovering circuit, every call waits. */
  readonly patient: boolean
  readonly rank: number
  readonly turn: Deferred.Deferred<void, ClaudeError>
}

const newcomer = (context: Context.Context<never>): Waiter => {
  const deadline = Context.get(context, Current.Deadline)
  return {
    deadline,
    // A call without a deadline does not wait at an open circuit: it could wait for hours.
    patient: deadline < Infinity && Context.get(context, CallContext.WaitForCircuit),
    rank: Priority.rankOf(Context.get(context, Current.Priority)),
    turn: Deferred.makeUnsafe<void, ClaudeError>()
  }
}

export interface Line {
  readonly circuit: Circuit
  readonly pace: RecentRate
  ramp: Ramp | undefined
  /** One set per priority, oldest first. Includes the call that checks the circuit. */
  readonly waiting: ReadonlyArray<Set<Waiter>>
  first: Waiter | undefined
  readonly bell: Latch.Latch
  /**
   * When the latest candidate for the probe left the line; `-Infinity` before the first one, and again after
   * the circuit has changed. The candidate becomes the probe when it has a concurrency slot.
   */
  sentAt: number
  last: Machine.Decision | undefined
}

export const make = (circuit: Circuit): Line => ({
  circuit,
  pace: new RecentRate(),
  ramp: undefined,
  waiting: Array.from({ length: Priority.count }, () => new Set()),
  first: undefined,
  bell: Latch.makeUnsafe(),
  sentAt: -Infinity,
  last: undefined
})

export const size = ({ waiting }: Line): number => waiting.reduce((sum, { size }) => sum + size, 0)

/** Passes at once, or waits. Fails at once if the call may not wait, or its turn cannot come before its deadline. */
export const pass = (line: Line, now: number): Effect.Effect<void, ClaudeError> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.flatMap(line.circuit.look(now), (decision) => come(line, newcomer(context), decision, now))
  )

const come = (
  line: Line,
  waiter: Waiter,
  decision: Machine.Decision,
  now: number
): Effect.Effect<void, ClaudeError> => {
  const wait = waitFor(line, decision, ahead(line, waiter), now)
  if (wait === 0) {
    leave(line, decision, now)
    return Effect.void
  }
  return isHopeless(waiter, decision, wait, now)
    ? Effect.fail(line.circuit.reject(decision, wait, now))
    : stand(line, waiter, now)
}

/** Call when the circuit has changed, so that the first waiting call checks it again. */
export const turned = (line: Line): void => {
  line.sentAt = -Infinity
  line.bell.openUnsafe()
}

/** Call when the circuit has closed: waiting calls leave at a growing rate. */
export const recovered = (line: Line, now: number): void => {
  line.pace.skip(now)
  line.ramp = new Ramp(line.pace.rate(), now)
  line.bell.openUnsafe()
}

// -----------------------------------------------------------------------------
// Deciding
// -----------------------------------------------------------------------------

/** Milliseconds until a call behind `ahead` other calls may leave; 0 if it may leave now. */
const waitFor = (
  { circuit: { recheck }, ramp, sentAt }: Line,
  decision: Machine.Decision,
  ahead: number,
  now: number
): number => {
  if (decision._tag === "Rejected") return decision.retryAfter ?? Infinity
  if (decision._tag !== "Admitted" || !decision.probe) return ramp?.waitFor(ahead + 1, now) ?? 0
  const since = now - sentAt
  const isOnItsWay = since >= 0 && since < recheck
  return isOnItsWay ? recheck - since : ahead === 0 ? 0 : recheck
}

/** The number of waiting calls that would leave before a call that arrives now. */
const ahead = ({ first, waiting }: Line, { rank }: Waiter): number => {
  const before = waiting.reduce((sum, { size }, other) => other <= rank ? sum + size : sum, 0)
  return first !== undefined && first.rank > rank ? before + 1 : before
}

/** Whether a call may not wait at all, or not for this long. */
const isHopeless = ({ deadline, patient }: Waiter, decision: Machine.Decision, wait: number, now: number): boolean => {
  const isOpen = decision._tag === "Rejected" || decision._tag === "Admitted" && decision.probe
  const isByHand = decision._tag === "Rejected" && decision.isolated
  return isByHand || isOpen && !patient || now + wait >= deadline
}

/** Records that a call leaves the line to be sent. */
const leave = (line: Line, decision: Machine.Decision, now: number): void => {
  if (decision._tag === "Admitted" && decision.probe) line.sentAt = now
  const { ramp } = line
  if (ramp === undefined) return
  ramp.take()
  // `size` still counts this call if it has waited.
  if (size(line) <= 1 && ramp.isFull(now)) line.ramp = undefined
}

// -----------------------------------------------------------------------------
// Waiting
// -----------------------------------------------------------------------------

const stand = (line: Line, waiter: Waiter, now: number): Effect.Effect<void, ClaudeError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      line.waiting[waiter.rank]?.add(waiter)
      line.first ??= waiter
    }),
    () => line.first === waiter ? lead(line, waiter) : Effect.andThen(behind(line, waiter, now), lead(line, waiter)),
    () => Effect.sync(() => gone(line, waiter))
  )

/** Waits until the call is the first in the line; fails at its deadline. */
const behind = (line: Line, { deadline, turn }: Waiter, now: number): Effect.Effect<void, ClaudeError> => {
  const called = Deferred.await(turn)
  return deadline === Infinity
    ? called
    : Effect.timeoutOrElse(called, { duration: deadline - now, orElse: () => late(line, deadline) })
}

const late = Effect.fnUntraced(function*(line: Line, deadline: number) {
  const decision = yield* line.circuit.look(deadline)
  return yield* Effect.fail(line.circuit.reject(decision, waitFor(line, decision, 0, deadline), deadline))
})

/** Lets the first call check the circuit until that call may go. */
const lead = Effect.fnUntraced(function*(line: Line, waiter: Waiter): Effect.fn.Return<void, ClaudeError> {
  for (;;) {
    const now = yield* Clock.currentTimeMillis
    line.bell.closeUnsafe()
    const decision = yield* line.circuit.look(now)
    const before = line.last
    line.last = decision
    const wait = waitFor(line, decision, 0, now)
    if (before?._tag !== decision._tag || decision._tag === "Rejected") sweep(line, decision, now)
    if (wait === 0) return leave(line, decision, now)
    if (isHopeless(waiter, decision, wait, now)) return yield* Effect.fail(line.circuit.reject(decision, wait, now))
    yield* Effect.raceFirst(line.bell.await, Effect.sleep(wait))
  }
})

/** Rejects at once the calls that can no longer get their turn before their deadline. */
const sweep = (line: Line, decision: Machine.Decision, now: number): void => {
  let ahead = 0
  for (const rank of line.waiting) {
    for (const waiter of rank) {
      const wait = waitFor(line, decision, ahead, now)
      if (waiter === line.first || !isHopeless(waiter, decision, wait, now)) {
        ahead++
        continue
      }
      rank.delete(waiter)
      Deferred.doneUnsafe(waiter.turn, Exit.fail(line.circuit.reject(decision, wait, now)))
    }
  }
}

/** Removes a call that left for any reason, and lets the next call check the circuit. */
const gone = (line: Line, waiter: Waiter): void => {
  line.waiting[waiter.rank]?.delete(waiter)
  if (line.first !== waiter) return
  line.first = line.waiting.find(({ size }) => size > 0)?.values().next().value
  if (line.first !== undefined) Deferred.doneUnsafe(line.first.turn, Exit.void)
}
