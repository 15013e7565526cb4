/**
 * A queue in which everybody waits for the same thing.
 *
 * Who comes while nobody waits that goes before it tries at once. Everybody else
 * is served by one fiber, which is there while somebody waits, and sleeps until
 * it is woken or the first may go: one timer, however many wait, and nothing to
 * hand over that a cancelled waiter could lose.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { Amount } from "./quota/Quota.ts"
import { type Standing, type Waiter as Standee, WaitOrder } from "./waitOrder.ts"

/** What is waited for. */
export interface Options<in A> extends Standing<A> {
  /**
   * Takes it and answers 0, or takes nothing and answers in how many milliseconds to ask again (`Infinity`: when woken).
   */
  readonly take: (item: A, now: number) => Effect.Effect<number>
  /** Undoes `take`. */
  readonly putBack: (item: A, now: number) => Effect.Effect<void>
  /**
   * In how many milliseconds it may be there, at the earliest, for one that goes after others who take so much: 0, where
   * that is not known. One that may not wait so long does not wait at all.
   */
  readonly turn?: ((item: A, ahead: Amount, now: number) => Effect.Effect<number>) | undefined
  /** How many calls of the same or a higher priority may wait, shared by tenants. Decided when a call comes, never later. */
  readonly room: number
}

/** A queue, and who waits in it. */
export interface Turnstile<in out A> {
  /**
   * Waits its turn, at most so many milliseconds, and takes; false if it may not wait, or that is too short. Leaving at
   * any point leaves no trace. Run it where it cannot be interrupted: only its wait can be.
   */
  readonly pass: (item: A, within: number, now: number) => Effect.Effect<boolean>
  /** Something has been given back. */
  readonly wake: () => void
  /** Who waits, first to last. */
  readonly waiting: () => ReadonlyArray<A>
  /** How many wait. */
  readonly size: () => number
  /** What is taken by those who would go before it, if it came now. */
  readonly ahead: (item: A) => Amount
  /** Tells those to leave at once who would wait for nothing, and puts the others where they stand now. */
  readonly sweep: (stays: (item: A) => boolean) => void
}

interface Waiting {
  readonly turn: Deferred.Deferred<boolean>
  /** Whether it was taken for it. */
  isServed: boolean
}
type Waiter<A> = Standee<A, Waiting>

/** A turnstile whose fibers belong to the scope, and when that is closed, to those who still wait. */
export const make = <A>(
  { load, putBack, rank, room, take, tenant, turn }: Options<A>,
  scope: Scope.Scope
): Turnstile<A> => {
  const line = new WaitOrder<A, Waiting>({ rank, tenant, load })
  let isServed = false
  const bell = Latch.makeUnsafe()
  const wake = () => {
    if (line.size > 0) bell.openUnsafe()
  }

  /** Lets in whoever may go, and answers when to look again: 0 when nobody waits any more. */
  const serve = Effect.uninterruptible(Effect.gen(function*() {
    bell.closeUnsafe()
    for (let head = line.first(); head !== undefined; head = line.first()) {
      const { item, state } = head
      const now = yield* Clock.currentTimeMillis
      const wait = yield* take(item, now)
      if (wait === 0) {
        if (line.serve(head)) {
          state.isServed = true
          Deferred.doneUnsafe(state.turn, Exit.succeed(true))
        } else {
          // It left while that was asked.
          yield* putBack(item, now)
        }
      } else if (head === line.first()) {
        // Nobody came in front of it meanwhile.
        return wait
      }
    }
    isServed = false
    return 0
  }))
  const server: Effect.Effect<void> = Effect.flatMap(serve, (wait) => {
    if (wait === 0) return Effect.void
    const woken = wait === Infinity ? bell.await : Effect.raceFirst(bell.await, Effect.sleep(wait))
    return Effect.flatMap(woken, () => server)
  })
  const served = Effect.suspend(() => {
    if (isServed) return Effect.void
    bell.openUnsafe()
    isServed = true
    // Calls may outlive the layer that let them wait: nobody else would serve those.
    return scope.state._tag === "Closed"
      ? Effect.forkDetach(server)
      // It begins uninterruptible: else one whose scope is closed before it runs would leave nobody to serve.
      : Effect.forkIn(
        Effect.onInterrupt(Effect.interruptible(server), () => isServed ? Effect.forkDetach(server) : Effect.void),
        scope,
        { uninterruptible: true }
      )
  })

  const leave = (waiter: Waiter<A>) =>
    Effect.suspend(() => {
      const wasFirst = line.first() === waiter
      line.remove(waiter)
      // Whoever is the first now is looked at.
      if (wasFirst) bell.openUnsafe()
      if (!waiter.state.isServed) return Effect.void
      // Its turn had come, and nobody is there to use it.
      return Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.map(putBack(waiter.item, now), () => {
          bell.openUnsafe()
        }))
    })

  /** Whether somebody who waits goes before it. */
  const isBehind = (item: A): boolean => {
    const first = line.first()
    return first !== undefined && rank(first.item) <= rank(item)
  }

  const queued = (item: A, within: number): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      if (!(within > 0) || !line.hasRoom(item, room)) return Effect.succeed(false)
      const waiter = line.add(item, { turn: Deferred.makeUnsafe<boolean>(), isServed: false })
      if (line.first() === waiter) bell.openUnsafe()
      const turn = Deferred.await(waiter.state.turn)
      const waited = within === Infinity
        ? turn
        : Effect.timeoutOrElse(turn, { duration: within, orElse: () => Effect.succeed(false) })
      return Effect.onExit(
        Effect.andThen(served, Effect.interruptible(waited)),
        (exit) => Exit.isSuccess(exit) && exit.value ? Effect.void : leave(waiter)
      )
    })

  /** Begins no wait that is known to be too long. */
  const inTime = (item: A, within: number, now: number): Effect.Effect<boolean> =>
    Effect.flatMap(
      turn?.(item, line.ahead(item), now) ?? Effect.succeed(0),
      (wait) => wait > within ? Effect.succeed(false) : queued(item, within)
    )

  return {
    pass: (item, within, now) =>
      Effect.suspend(() => {
        if (isBehind(item)) return inTime(item, within, now)
        return Effect.flatMap(take(item, now), (wait) => {
          if (wait === 0) return Effect.succeed(true)
          // Those who came while that was asked may have found taken what was not.
          wake()
          return inTime(item, within, now)
        })
      }),
    wake,
    waiting: () => line.all().map(({ item }) => item),
    size: () => line.size,
    ahead: (item) => line.ahead(item),
    sweep: (stays) => {
      for (const waiter of line.all()) {
        if (stays(waiter.item) || !line.remove(waiter)) continue
        Deferred.doneUnsafe(waiter.state.turn, Exit.succeed(false))
      }
      line.reorder()
      wake()
    }
  }
}
