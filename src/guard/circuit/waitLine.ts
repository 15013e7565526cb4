/**
 * The line of calls at the circuit of one model: while it is open, and while it recovers.
 *
 * The first in the line looks at the circuit, sleeps until it may go, and hands
 * over to the next one. So there is one timer for a line, no fiber of its own,
 * and the oldest call leaves first, within its priority. Tenants do not take
 * turns here, but in the queue behind it.
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

const newcomer = (context: Context.Context<never>): Waiter => {
  const deadline = Context.get(context, Current.Deadline)
  return {
    deadline,
    // Without a deadline, it might wait for hours.
    patient: deadline < Infinity && Context.get(context, CallContext.WaitForCircuit),
    rank: Priority.rankOf(Context.get(context, Current.Priority)),
    turn: Deferred.makeUnsafe<void, ClaudeError>()
  }
}

/** Who waits, and how fast they may leave. */
export interface Line {
  readonly circuit: Circuit
  readonly pace: RecentRate
  ramp: Ramp | undefined
  /** Oldest first, by priority. The one that looks is among them. */
  readonly waiting: ReadonlyArray<Set<Waiter>>
  first: Waiter | undefined
  readonly bell: Latch.Latch
  /** When a call was let through to be the probe, which it is once it has a slot. */
  sentAt: number
  /** What the circuit said last. */
  last: Machine.Decision | undefined
}

/** A line in which nobody waits. */
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

/** How many wait. */
export const size = ({ waiting }: Line): number => waiting.reduce((sum, { size }) => sum + size, 0)

/** Passes at once, waits in the line, or fails at once if it may not wait or its turn cannot come before its deadline. */
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

/** The circuit has turned: whoever looks, looks again. */
export const turned = (line: Line): void => {
  line.sentAt = -Infinity
  line.bell.openUnsafe()
}

/** The circuit has closed: those who wait leave at a rate that grows. */
export const recovered = (line: Line, now: number): void => {
  line.pace.skip(now)
  line.ramp = new Ramp(line.pace.rate(), now)
  line.bell.openUnsafe()
}

// -----------------------------------------------------------------------------
// Deciding
// -----------------------------------------------------------------------------

/** In how many milliseconds one may go that goes after so many: 0 for now. */
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

/** How many go before a call that comes now. */
const ahead = ({ first, waiting }: Line, { rank }: Waiter): number => {
  const before = waiting.reduce((sum, { size }, other) => other <= rank ? sum + size : sum, 0)
  return first !== undefined && first.rank > rank ? before + 1 : before
}

/** Whether it may not wait, or not for so long. */
const isHopeless = ({ deadline, patient }: Waiter, decision: Machine.Decision, wait: number, now: number): boolean => {
  const isOpen = decision._tag === "Rejected" || decision._tag === "Admitted" && decision.probe
  const isByHand = decision._tag === "Rejected" && decision.isolated
  return isByHand || isOpen && !patient || now + wait >= deadline
}

/** One goes, now. */
const leave = (line: Line, decision: Machine.Decision, now: number): void => {
  if (decision._tag === "Admitted" && decision.probe) line.sentAt = now
  const { ramp } = line
  if (ramp === undefined) return
  ramp.take()
  // There is nothing left to hold back.
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

/** Waits to become the first. */
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

/** The first looks until it may go. */
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

/** Tells those at once whose turn cannot come in time any more. */
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

/** It has left, in whatever way: the next one looks. */
const gone = (line: Line, waiter: Waiter): void => {
  line.waiting[waiter.rank]?.delete(waiter)
  if (line.first !== waiter) return
  line.first = line.waiting.find(({ size }) => size > 0)?.values().next().value
  if (line.first !== undefined) Deferred.doneUnsafe(line.first.turn, Exit.void)
}
