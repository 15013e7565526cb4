/**
 * A queue for one shared resource.
 *
 * A call takes the resource at once if it is free and no waiting call goes before it. One fiber serves all waiting
 * calls; it exists while a call waits, and sleeps until it is woken or the first call may go. So one timer watches the
 * resource, however many calls wait (each call has only its own time-out), and there is no hand-over that a cancelled
 * call could lose.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { Amount } from "./quota/Quota.ts"
import { type Standing, type Waiter as Standee, WaitOrder } from "./waitOrder.ts"

export interface Options<in A> extends Standing<A> {
  /**
   * Takes the resource and returns 0, or takes nothing and returns the milliseconds until the next attempt is
   * worthwhile (`Infinity`: not before `wake`).
   */
  readonly take: (item: A, now: number) => Effect.Effect<number>
  readonly putBack: (item: A, now: number) => Effect.Effect<void>
  /**
   * Minimum milliseconds until `item` can take the resource, after the calls before it took `ahead`; 0 if unknown. A
   * call that may not wait this long is rejected at once.
   */
  readonly turn?: ((item: A, ahead: Amount, now: number) => Effect.Effect<number>) | undefined
  /** The `places` of `WaitOrder.hasRoom`. Checked on arrival only. */
  readonly room: number
}

export interface Turnstile<in out A> {
  /**
   * Waits up to `within` ms and takes the resource. Returns false if the call may not wait, or waited too long. A
   * caller that is interrupted holds nothing. Run this effect uninterruptibly: it makes its wait interruptible itself.
   */
  readonly pass: (item: A, within: number, now: number) => Effect.Effect<boolean>
  /** Makes waiting calls try again. Call when a part of the resource was returned. */
  readonly wake: () => void
  /** The waiting calls in service order. */
  readonly waiting: () => ReadonlyArray<A>
  readonly size: () => number
  /** The load of the calls that would be served before `item` if it came now. */
  readonly ahead: (item: A) => Amount
  /**
   * Rejects at once the waiting calls for which `stays` is false, and orders the remaining calls by their current rank.
   */
  readonly sweep: (stays: (item: A) => boolean) => void
}

interface Waiting {
  readonly turn: Deferred.Deferred<boolean>
  /** Whether the resource was taken for this call. */
  isServed: boolean
}
type Waiter<A> = Standee<A, Waiting>

/**
 * Creates a queue. Its fibers run in `scope`; after the scope closes, they run detached until the last waiting call is
 * served.
 */
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

  /**
   * Serves calls until a call has to wait. Returns the milliseconds until that call should try to take the resource
   * again (`Infinity`: not before `wake`), or 0 if no call waits.
   */
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
          // The call left the queue while `take` ran.
          yield* putBack(item, now)
        }
      } else if (head === line.first()) {
        // While `take` ran, no other call moved ahead of this one.
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
    // The scope is closed: calls may outlive the layer, and still need a fiber that serves them.
    return scope.state._tag === "Closed"
      ? Effect.forkDetach(server)
      // Starts uninterruptibly. Otherwise, if the scope closes before the fiber runs, `onInterrupt` is not installed
      // and no fiber serves the waiting calls.
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
      // The new first call may be able to go sooner.
      if (wasFirst) bell.openUnsafe()
      if (!waiter.state.isServed) return Effect.void
      // The resource was taken for a call that has left.
      return Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.map(putBack(waiter.item, now), () => {
          bell.openUnsafe()
        }))
    })

  /** Whether some waiting call must be served before `item`. */
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

  /** Returns false at once if the wait is known to be too long. */
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
          // Until `take` failed, it may have held a part of the resource, and other calls may wait for that part.
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
