/**
 * The queue for one shared resource: its order, and that a call that leaves holds nothing.
 *
 * `SEED=anything vitest run test/guard/waitQueue.test.ts` tries other sequences.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scheduler, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { WaitOrder } from "../../src/guard/waitOrder.ts"
import * as Turnstile from "../../src/guard/waitQueue.ts"

const seed = process.env["SEED"] ?? "resilient-claude"

interface Item {
  readonly name: string
  readonly rank: number
  readonly tenant?: string
}

/** A queue whose methods are all effects, so that they run when called. */
const lazily = (options: Turnstile.Options<Item>, scope: Scope.Scope) => {
  const turnstile = Turnstile.make(options, scope)
  return {
    pass: (item: Item, within: number) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => turnstile.pass(item, within, now)),
    wake: Effect.sync(turnstile.wake),
    waiting: turnstile.waiting,
    size: turnstile.size,
    ahead: turnstile.ahead,
    sweep: (stays: (item: Item) => boolean) => Effect.sync(() => turnstile.sweep(stays))
  }
}

/** A gate with a number of places, which records what happens. */
const gate = (places: number, over: Partial<Turnstile.Options<Item>> = {}, kept = { places }) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const state = Object.assign(kept, { asked: 0, taken: [] as Array<string>, back: [] as Array<string>, scope })
    const turnstile = lazily({
      rank: ({ rank }) => rank,
      tenant: ({ tenant = "" }) => tenant,
      load: () => ({ requests: 1, input: 10, output: 0 }),
      room: Infinity,
      take: ({ name }) =>
        Effect.sync(() => {
          state.asked++
          if (state.places <= 0) return Infinity
          state.places--
          state.taken.push(name)
          return 0
        }),
      putBack: ({ name }) =>
        Effect.sync(() => {
          state.places++
          state.back.push(name)
        }),
      ...over
    }, scope)
    const holds: Array<string> = []
    /** Passes, holds its place until it is interrupted, and returns it. */
    const enter = (name: string, rank = 0, within = 60_000, tenant = "") =>
      Effect.forkChild(
        Effect.acquireUseRelease(
          turnstile.pass({ name, rank, tenant }, within),
          (passed) =>
            passed
              ? Effect.andThen(Effect.sync(() => void holds.push(name)), Effect.never)
              : Effect.succeed(false),
          (passed) =>
            passed
              ? Effect.andThen(
                Effect.sync(() => {
                  state.places++
                  holds.splice(holds.indexOf(name), 1)
                }),
                turnstile.wake
              )
              : Effect.void
        ),
        { startImmediately: true }
      )
    const release = (by = 1) =>
      Effect.andThen(
        Effect.sync(() => {
          state.places += by
        }),
        Effect.andThen(turnstile.wake, TestClock.adjust(0))
      )
    const names = () => turnstile.waiting().map(({ name }) => name)
    return { state, turnstile, enter, release, names, holds }
  })

/** Whether the queue has a running fiber. */
const isServing = ({ state }: Scope.Scope): boolean => state._tag === "Open"

describe("a queue", () => {
  it.effect("lets a call in at once if no other call waits, without starting a fiber", () =>
    Effect.gen(function*() {
      const { enter, holds, state } = yield* gate(2)
      yield* enter("a")
      yield* enter("b")
      assert.deepStrictEqual(holds, ["a", "b"])
      assert.strictEqual(state.asked, 2)
      assert.isFalse(isServing(state.scope))
    }))

  it.effect("G6: serves lower ranks first, and within a rank in order of arrival", () =>
    Effect.gen(function*() {
      const { enter, names, release, state } = yield* gate(0)
      const order = [["a", 2], ["b", 1], ["c", 0], ["d", 2], ["e", 1], ["f", 0], ["g", 1]] as const
      for (const [name, rank] of order) yield* enter(name, rank)
      assert.deepStrictEqual(names(), ["c", "f", "b", "e", "g", "a", "d"])
      yield* release(3)
      assert.deepStrictEqual(state.taken, ["c", "f", "b"])
      yield* enter("h", 0)
      yield* enter("i", 2)
      assert.deepStrictEqual(names(), ["h", "e", "g", "a", "d", "i"])
      yield* release(10)
      assert.deepStrictEqual(state.taken, ["c", "f", "b", "h", "e", "g", "a", "d", "i"])
    }))

  it.effect("G6: does not give a newcomer a place that was freed for waiting calls", () =>
    Effect.gen(function*() {
      const { enter, holds, state, turnstile } = yield* gate(0)
      yield* enter("first")
      state.places++
      yield* turnstile.wake
      // In the same step, before the fiber can serve the waiting call.
      yield* enter("newcomer")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(holds, ["first"])
    }))

  /** Yields after every few steps, so that a cancellation can fall between any two of them. */
  const stepwise = Effect.provideService(Scheduler.MaxOpsBeforeYield, 5)
  const settled = Effect.repeat(Effect.yieldNow, { times: 200 })
  const steps = Array.from({ length: 60 }, (_, at) => at)

  it.effect.each([Infinity, 60_000])(
    "G2: gives a freed place to the next call if the first call is cancelled 0 to 59 yields after the place is freed (time limit of both calls: %d ms)",
    (within) =>
      Effect.gen(function*() {
        let isServed = 0
        for (const step of steps) {
          const { enter, holds, names, state, turnstile } = yield* gate(0)
          const waiter = yield* stepwise(enter("gone", 0, within))
          yield* stepwise(enter("next", 0, within))
          yield* TestClock.adjust(0)
          state.places++
          yield* turnstile.wake
          for (let i = 0; i < step; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(waiter)
          yield* settled
          assert.deepStrictEqual([holds, names(), state.places], [["next"], [], 0])
          if (state.back.length > 0) isServed++
        }
        // Some waiters were cancelled after they were served, before they went on.
        assert.isAbove(isServed, 0)
      })
  )

  it.effect("G2: leaves a freed place free if the only waiting call is cancelled 0 to 59 yields after the place is freed", () =>
    Effect.gen(function*() {
      for (const step of steps) {
        const { enter, holds, names, state, turnstile } = yield* gate(0)
        const waiter = yield* stepwise(enter("gone"))
        state.places++
        yield* turnstile.wake
        for (let i = 0; i < step; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(waiter)
        yield* settled
        assert.deepStrictEqual([holds, names(), state.places, isServing(state.scope)], [[], [], 1, false])
      }
    }))

  it.effect("G2: gives a place to the next call if the first call is cancelled while `take` runs for it", () =>
    Effect.gen(function*() {
      let waiter: Fiber.Fiber<unknown, unknown> | undefined
      let places = 0
      const back: Array<string> = []
      const { enter, holds, names, turnstile } = yield* gate(0, {
        take: ({ name }) =>
          Effect.sync(() => {
            if (places <= 0) return Infinity
            if (name === "gone") waiter?.interruptUnsafe()
            places--
            return 0
          }),
        putBack: ({ name }) =>
          Effect.sync(() => {
            places++
            back.push(name)
          })
      })
      waiter = yield* enter("gone")
      yield* enter("next")
      places++
      yield* turnstile.wake
      yield* TestClock.adjust(0)
      assert.deepStrictEqual([places, holds, back, names()], [0, ["next"], ["gone"], []])
    }))

  it.effect("G2: either serves a call whose wait ends at the moment a place is freed, or leaves the place free", () =>
    Effect.gen(function*() {
      const { enter, holds, names, release, state } = yield* gate(0)
      const waiter = yield* enter("a", 0, 1000)
      yield* TestClock.adjust(999)
      const freed = yield* Effect.forkChild(Effect.andThen(Effect.sleep(1), release()))
      yield* TestClock.adjust(1)
      yield* Fiber.join(freed)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(names(), [])
      assert.strictEqual(state.places + holds.length, 1)
      assert.strictEqual(waiter.pollUnsafe() === undefined, holds.length === 1)
    }))

  it.effect("G8: rejects a newcomer on arrival if its wait would exceed its limit, even if it would be first", () =>
    Effect.gen(function*() {
      const wait = (_: Item, now: number) => Effect.succeed(10_000 - now)
      const { enter, names, turnstile } = yield* gate(0, { take: wait, turn: (item, _, now) => wait(item, now) })
      yield* enter("background", 2)
      yield* TestClock.adjust(1)
      assert.isFalse(yield* turnstile.pass({ name: "interactive", rank: 0 }, 5000))
      assert.deepStrictEqual(names(), ["background"])
    }))

  it.effect("rejects a call on arrival if the queue is full, and later serves the calls that waited", () =>
    Effect.gen(function*() {
      const { enter, names, release, state, turnstile } = yield* gate(0, { room: 2 })
      yield* enter("a")
      yield* enter("b")
      assert.isFalse(yield* turnstile.pass({ name: "c", rank: 0 }, 1000))
      assert.deepStrictEqual(names(), ["a", "b"])
      yield* release(2)
      assert.deepStrictEqual(state.taken, ["a", "b"])
    }))

  it.effect("ends a wait exactly at its time limit", () =>
    Effect.gen(function*() {
      const { enter, names, state } = yield* gate(0)
      const waiter = yield* enter("a", 0, 5000)
      yield* TestClock.adjust(4999)
      assert.isUndefined(waiter.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(waiter.pollUnsafe(), Exit.succeed(false))
      assert.deepStrictEqual([names(), state.places, isServing(state.scope)], [[], 0, false])
    }))

  it.effect.each([0, -1, -Infinity, NaN])(
    "rejects a call that may wait for %d ms, unless the call can be served at once",
    (within) =>
      Effect.gen(function*() {
        const { names, state, turnstile } = yield* gate(0)
        assert.isFalse(yield* turnstile.pass({ name: "late", rank: 0 }, within))
        assert.deepStrictEqual([names(), isServing(state.scope)], [[], false])
        state.places = 1
        assert.isTrue(yield* turnstile.pass({ name: "late, but nobody waits", rank: 0 }, within))
      })
  )

  it.effect("G8: rejects a call on arrival if `turn` gives a wait above the call's limit, and lets it wait if there is no `turn`", () =>
    Effect.gen(function*() {
      const ready = 10_000
      const options: Partial<Turnstile.Options<Item>> = {
        take: (_, now) => Effect.succeed(now >= ready ? 0 : ready - now)
      }
      const firm = (yield* gate(0, { ...options, turn: (_item, _ahead, now) => Effect.succeed(ready - now) })).turnstile
      const loose = (yield* gate(0, options)).turnstile
      const item = { name: "a", rank: 0 }
      assert.isFalse(yield* firm.pass(item, 9_999))
      const exact = yield* Effect.forkChild(firm.pass(item, 10_001))
      const hopeful = yield* Effect.forkChild(loose.pass(item, 9_999))
      yield* TestClock.adjust(9_998)
      assert.isUndefined(exact.pollUnsafe())
      assert.isUndefined(hopeful.pollUnsafe())
      yield* TestClock.adjust(2)
      assert.deepStrictEqual(exact.pollUnsafe(), Exit.succeed(true))
      assert.deepStrictEqual(hopeful.pollUnsafe(), Exit.succeed(false))
    }))

  it.effect.each([2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 40])(
    "serves a call after a wait of %d ms, and rejects a call whose limit is shorter",
    (wait) =>
      Effect.gen(function*() {
        let asked = 0
        const { turnstile } = yield* gate(0, {
          take: (_, now) =>
            Effect.sync(() => {
              asked++
              return now >= wait ? 0 : wait - now
            })
        })
        const longer = yield* Effect.forkChild(turnstile.pass({ name: "a", rank: 0 }, Infinity))
        const shorter = yield* Effect.forkChild(turnstile.pass({ name: "b", rank: 1 }, wait - 1))
        yield* TestClock.adjust(wait - 2)
        assert.isUndefined(longer.pollUnsafe())
        assert.isUndefined(shorter.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(shorter.pollUnsafe(), Exit.succeed(false))
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(longer.pollUnsafe(), Exit.succeed(true))
        assert.isBelow(asked, 8)
      })
  )
})

describe("tenants of a queue", () => {
  it.effect("G6: take turns within a rank, each in order of arrival", () =>
    Effect.gen(function*() {
      const { enter, names, release, state } = yield* gate(0)
      for (const name of ["a1", "a2", "a3", "b1", "c1", "b2"]) yield* enter(name, 1, 60_000, name[0])
      yield* enter("urgent a", 0, 60_000, "a")
      const order = ["urgent a", "a1", "b1", "c1", "a2", "b2", "a3"]
      assert.deepStrictEqual(names(), order)
      yield* release(3)
      // Tenant b had its turn: a new call of b waits for those of c and a.
      yield* enter("b3", 1, 60_000, "b")
      yield* release(9)
      assert.deepStrictEqual(state.taken, ["urgent a", "a1", "b1", "c1", "a2", "b2", "a3", "b3"])
    }))

  it.effect("can each fill an equal part of the queue, even if another tenant has filled the whole queue before", () =>
    Effect.gen(function*() {
      const { enter, names, turnstile } = yield* gate(0, { room: 6 })
      for (let i = 0; i < 10; i++) yield* enter(`a${i}`, 1, 60_000, "a")
      assert.strictEqual(turnstile.size(), 6)
      for (let i = 0; i < 10; i++) yield* enter(`b${i}`, 1, 60_000, "b")
      for (let i = 0; i < 10; i++) yield* enter(`c${i}`, 1, 60_000, "c")
      const of = (tenant: string) => names().filter((name) => name.startsWith(tenant)).length
      // No waiting call is displaced, and in total at most twice as many wait.
      assert.deepStrictEqual([of("a"), of("b"), of("c")], [6, 3, 2])
      assert.isFalse(yield* turnstile.pass({ name: "a", rank: 1, tenant: "a" }, 1000))
    }))

  it.effect("are taken into account by `ahead`, which counts only the calls that are served before a newcomer", () =>
    Effect.gen(function*() {
      const { enter, turnstile } = yield* gate(0)
      for (let i = 0; i < 8; i++) yield* enter(`a${i}`, 1, 60_000, "a")
      yield* enter("b", 1, 60_000, "b")
      const ahead = (rank: number, tenant: string) => turnstile.ahead({ name: "", rank, tenant }).requests
      assert.deepStrictEqual([ahead(0, "a"), ahead(1, "a"), ahead(1, "b"), ahead(1, "c"), ahead(2, "c")], [
        0,
        9,
        3,
        2,
        9
      ])
      assert.deepStrictEqual(turnstile.ahead({ name: "", rank: 2 }), { requests: 9, input: 90, output: 0 })
    }))
})

describe("a sweep", () => {
  it.effect("G2: rejects at once the calls for which `stays` is false, and gives a freed place to a call that stays", () =>
    Effect.gen(function*() {
      const { enter, holds, names, release, state, turnstile } = yield* gate(0)
      const gone = yield* enter("gone")
      yield* enter("stays")
      yield* turnstile.sweep(({ name }) => name !== "gone")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(gone.pollUnsafe(), Exit.succeed(false))
      assert.deepStrictEqual([names(), state.places, state.back], [["stays"], 0, []])
      yield* release()
      assert.deepStrictEqual(holds, ["stays"])
    }))

  it.effect("sorts the remaining calls by their current rank", () =>
    Effect.gen(function*() {
      let isSmallFirst = false
      const { enter, names, turnstile } = yield* gate(0, {
        rank: ({ name, rank }) => rank + (isSmallFirst && name.startsWith("large") ? 10 : 0)
      })
      for (const name of ["large 1", "small 1", "large 2", "small 2"]) yield* enter(name)
      isSmallFirst = true
      yield* turnstile.sweep(() => true)
      assert.deepStrictEqual(names(), ["small 1", "small 2", "large 1", "large 2"])
      isSmallFirst = false
      yield* turnstile.sweep(() => true)
      assert.deepStrictEqual(names(), ["large 1", "small 1", "large 2", "small 2"])
    }))
})

describe("a wait order", () => {
  it("lets 20,000 calls come and leave in less than a second, whether they are of one tenant or of 20,000 tenants", () => {
    for (const tenants of [1, 20_000]) {
      const line = new WaitOrder<number, undefined>({
        rank: (item) => item % 3,
        tenant: (item) => `${item % tenants}`,
        load: () => ({ requests: 1, input: 1, output: 1 })
      })
      const start = process.hrtime.bigint()
      const waiters = Array.from({ length: 20_000 }, (_, item) => {
        line.ahead(item)
        assert.isTrue(line.hasRoom(item, Infinity))
        return line.add(item, undefined)
      })
      for (let i = 0; i < waiters.length; i += 2) {
        const waiter = waiters[i]
        if (waiter) line.remove(waiter)
      }
      for (let first = line.first(); first !== undefined; first = line.first()) line.serve(first)
      const millis = Number(process.hrtime.bigint() - start) / 1e6
      assert.deepStrictEqual([line.size, line.tenants.size, line.ranks], [0, 0, []])
      assert.isBelow(millis, 1000)
    }
  })
})

describe("the fiber of the queue", () => {
  /** A clock that counts its sleeps. */
  const counted = Effect.map(Clock.Clock, (clock) => {
    const sleeps: Array<number> = []
    const counting: Clock.Clock = {
      ...clock,
      sleep: (duration) => {
        sleeps.push(1)
        return clock.sleep(duration)
      }
    }
    return { sleeps, counting }
  })

  it.effect("runs only while calls wait, and is shared by all of them", () =>
    Effect.gen(function*() {
      const { enter, release, state } = yield* gate(0)
      assert.isFalse(isServing(state.scope))
      const waiters = []
      for (let i = 0; i < 64; i++) waiters.push(yield* enter(`${i}`))
      yield* TestClock.adjust(0)
      assert.isTrue(isServing(state.scope))
      yield* release(63)
      assert.isTrue(isServing(state.scope))
      yield* release()
      assert.isFalse(isServing(state.scope))
      const last = yield* enter("again")
      yield* TestClock.adjust(0)
      assert.isTrue(isServing(state.scope))
      yield* Fiber.interrupt(last)
      yield* TestClock.adjust(0)
      assert.isFalse(isServing(state.scope))
    }))

  it.effect("serves the calls that wait when its scope is closed, and also calls that come later", () =>
    Effect.gen(function*() {
      const { enter, holds, names, release, state } = yield* gate(0)
      yield* enter("a")
      yield* enter("b")
      yield* TestClock.adjust(0)
      yield* Scope.close(state.scope, Exit.void)
      yield* release()
      assert.deepStrictEqual([holds, names()], [["a"], ["b"]])
      yield* release()
      assert.deepStrictEqual([holds, names()], [["a", "b"], []])
      yield* enter("c")
      yield* TestClock.adjust(0)
      yield* release()
      assert.deepStrictEqual([holds, names()], [["a", "b", "c"], []])
    }))

  it.effect.each([0, 1, 2, 5])(
    "G6: serves a call that joined %d steps before the scope of the fiber closed, even if the fiber had not started",
    (steps) =>
      Effect.gen(function*() {
        const { enter, holds, names, release, state } = yield* gate(0)
        yield* enter("a")
        for (let i = 0; i < steps; i++) yield* Effect.yieldNow
        yield* Scope.close(state.scope, Exit.void)
        yield* release()
        assert.deepStrictEqual([holds, names()], [["a"], []])
        yield* enter("b")
        yield* release()
        assert.deepStrictEqual([holds, names()], [["a", "b"], []])
      })
  )

  it.effect("needs at most 65 runs of `take` for 64 calls that arrive, and at most two for a freed place", () =>
    Effect.gen(function*() {
      const { enter, release, state } = yield* gate(0)
      for (let i = 0; i < 64; i++) {
        yield* enter(`${i}`)
        yield* TestClock.adjust(0)
      }
      const before = state.asked
      assert.isAtMost(before, 65)
      yield* release()
      assert.isAtMost(state.asked, before + 2)
    }))

  it.effect("sets no timer if only `wake` can end the wait, and no timer for calls behind the first call", () =>
    Effect.gen(function*() {
      const { counting, sleeps } = yield* counted
      const ready = { at: Infinity }
      const { enter, turnstile } = yield* gate(0, {
        take: (_, now) => Effect.sync(() => now >= ready.at ? 0 : ready.at - now)
      })
      const quiet = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provideService(self, Clock.Clock, counting)
      for (let i = 0; i < 16; i++) yield* quiet(enter(`${i}`, 0, Infinity))
      yield* TestClock.adjust(0)
      assert.lengthOf(sleeps, 0)
      ready.at = 5000
      yield* quiet(enter("last", 0, Infinity))
      // Calls behind the first do not change its wait.
      yield* TestClock.adjust(0)
      assert.lengthOf(sleeps, 0)
      yield* quiet(turnstile.wake)
      yield* TestClock.adjust(0)
      assert.lengthOf(sleeps, 1)
    }))

  it.effect("stops the timer of a waiter that has left", () =>
    Effect.gen(function*() {
      let asked = 0
      const { enter } = yield* gate(0, {
        take: () =>
          Effect.sync(() => {
            asked++
            return 10_000
          })
      })
      const waiter = yield* enter("a")
      yield* TestClock.adjust(5000)
      yield* Fiber.interrupt(waiter)
      yield* TestClock.adjust(0)
      const before = asked
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(asked, before)
    }))
})

/** A gate whose places are in a remote store: `take` lasts 100 ms, and holds the place meanwhile. */
const remote = (places: number, waits: (now: number, name: string) => number = () => 0) => {
  const asked: Array<string> = []
  const state = { places }
  const options: Partial<Turnstile.Options<Item>> = {
    take: ({ name }, now) =>
      Effect.suspend(() => {
        asked.push(name)
        if (state.places <= 0) return Effect.succeed(Infinity)
        state.places--
        return Effect.map(Effect.delay(Effect.sync(() => waits(now, name)), 100), (wait) => {
          if (wait > 0) state.places++
          return wait
        })
      }),
    putBack: () =>
      Effect.delay(
        Effect.sync(() => {
          state.places++
        }),
        100
      )
  }
  return { state, options, asked }
}

describe("a queue with a slow store", () => {
  it.effect("G2: gives a place to the next call if the first call leaves while `take` runs for it", () =>
    Effect.gen(function*() {
      const { options, state } = remote(0)
      const { enter, holds, names, turnstile } = yield* gate(0, options, state)
      const waiter = yield* enter("gone")
      yield* TestClock.adjust(0)
      state.places++
      yield* turnstile.wake
      yield* TestClock.adjust(50)
      assert.strictEqual(state.places, 0)
      yield* Fiber.interrupt(waiter)
      assert.deepStrictEqual(names(), [])
      yield* enter("next")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([holds, names(), state.places], [["next"], [], 0])
    }))

  it.effect("G6: next tries a more important call that came while `take` ran for another call, without waiting for the timer of that other call", () =>
    Effect.gen(function*() {
      const { asked, options, state } = remote(
        1,
        (now, name) => name === "background" && now < 60_000 ? 60_000 - now : 0
      )
      const { enter, holds, names } = yield* gate(0, options, state)
      yield* enter("background", 2, Infinity)
      // The first `take` is by the call itself, the second by the fiber that serves the queue.
      yield* TestClock.adjust(100)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(asked, ["background", "background"])
      yield* TestClock.adjust(50)
      const urgent = yield* enter("interactive", 0)
      assert.deepStrictEqual(asked, ["background", "background", "interactive"])
      yield* TestClock.adjust(50)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(asked.slice(3), ["interactive"])
      yield* TestClock.adjust(100)
      assert.deepStrictEqual([holds, names()], [["interactive"], ["background"]])
      yield* Fiber.interrupt(urgent)
      yield* TestClock.adjust("1 minute")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(holds, ["background"])
    }))

  it.effect("G6: serves the call for which `take` runs, even if a more important call comes meanwhile", () =>
    Effect.gen(function*() {
      const { options, state } = remote(0)
      const { enter, holds, names, turnstile } = yield* gate(0, options, state)
      yield* enter("background", 2)
      yield* TestClock.adjust(0)
      state.places++
      yield* turnstile.wake
      yield* TestClock.adjust(50)
      yield* enter("interactive", 0)
      yield* TestClock.adjust(500)
      assert.deepStrictEqual([holds, names()], [["background"], ["interactive"]])
    }))

  it.effect("serves a call that came while an unsuccessful `take` for another call held the only place in the store", () =>
    Effect.gen(function*() {
      const { options, state } = remote(1, (_, name) => name === "large" ? 60_000 : 0)
      const turn = ({ name }: Item) => Effect.succeed(name === "large" ? 60_000 : 0)
      const { enter, holds } = yield* gate(0, { ...options, turn }, state)
      const large = yield* enter("large", 0, 1000)
      yield* TestClock.adjust(50)
      yield* enter("small", 0, 30_000)
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(large.pollUnsafe(), Exit.succeed(false))
      assert.deepStrictEqual([holds, state.places], [["small"], 0])
    }))

  const Pick = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999 }))
  const Op = Schema.Union([
    Schema.Struct({
      do: Schema.Literals(["come"]),
      rank: Schema.Literals([0, 1, 2]),
      tenant: Schema.Literals(["one", "two"]),
      within: Schema.Literals([50, 99, 150, 1000, 20_000])
    }),
    Schema.Struct({ do: Schema.Literals(["leave", "finish"]), pick: Pick }),
    Schema.Struct({ do: Schema.Literals(["pass"]), ms: Schema.Literals([0, 1, 49, 50, 51, 100, 101, 3000, 600_000]) })
  ])
  const seen: Record<string, number> = {}

  it.effect.prop(
    "G2: loses no place and gives no place twice when calls come, leave and finish in random order, and has all places free at the end",
    { ops: Schema.Array(Op).check(Schema.isMinLength(100), Schema.isMaxLength(100)) },
    ({ ops }) =>
      Effect.gen(function*() {
        const { options, state } = remote(3)
        const { enter, holds, names, turnstile } = yield* gate(0, {
          ...options,
          room: 6
        }, state)
        const scope = yield* Effect.scope
        const inside = new Map<string, Fiber.Fiber<unknown, unknown>>()
        for (const [at, op] of ops.entries()) {
          seen[op.do] = (seen[op.do] ?? 0) + 1
          if (op.do === "come") inside.set(`${at}`, yield* enter(`${at}`, op.rank, op.within, op.tenant))
          else if (op.do === "pass") yield* TestClock.adjust(op.ms)
          else {
            const among = op.do === "finish" ? holds : names()
            const name = among[op.pick % Math.max(1, among.length)]
            const fiber = name === undefined ? undefined : inside.get(name)
            // `Fiber.interrupt` waits while `take` runs, so it is forked.
            if (fiber !== undefined) yield* Effect.forkIn(Fiber.interrupt(fiber), scope)
          }
          assert.isAtLeast(state.places, 0)
          assert.isAtMost(state.places + holds.length, 3)
        }
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(names(), [])
        assert.strictEqual(state.places + holds.length, 3)
        for (const fiber of inside.values()) yield* Effect.forkIn(Fiber.interrupt(fiber), scope)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([state.places, holds, turnstile.waiting()], [3, [], []])
      }).pipe(Effect.scoped, Effect.provide(TestClock.layer())),
    { arbitrary: { runs: 120, seed, size: 100 }, timeout: 30_000 }
  )

  it("was tested in 10,000 steps, with each operation in at least 5 % of them", () => {
    const total = Object.values(seen).reduce((sum, count) => sum + count, 0)
    assert.isAtLeast(total, 10_000)
    assert.hasAllKeys(seen, ["come", "leave", "finish", "pass"])
    for (const count of Object.values(seen)) assert.isAtLeast(count, total * 0.05)
  })
})
