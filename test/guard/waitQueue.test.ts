/**
 * The queue in which everybody waits for the same thing: who goes when, and that leaving leaves nothing behind.
 *
 * `SEED=anything vitest run test/guard/waitQueue.test.ts` looks elsewhere.
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

/** A turnstile of which everything is an effect: it decides what it does when it is called. */
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

/** A gate that lets in as many as there are places, and tells what happened. */
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
    /** Passes, holds what it took until it is interrupted, and gives it back. */
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

/** Whether a fiber of the turnstile is there. */
const isServing = ({ state }: Scope.Scope): boolean => state._tag === "Open"

describe("a turnstile", () => {
  it.effect("lets in at once where nobody waits, without a fiber", () =>
    Effect.gen(function*() {
      const { enter, holds, state } = yield* gate(2)
      yield* enter("a")
      yield* enter("b")
      assert.deepStrictEqual(holds, ["a", "b"])
      assert.strictEqual(state.asked, 2)
      assert.isFalse(isServing(state.scope))
    }))

  it.effect("G6: is first come, first served within a rank, and lower ranks go first", () =>
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

  it.effect("G6: does not let a newcomer take what came free for those who wait", () =>
    Effect.gen(function*() {
      const { enter, holds, state, turnstile } = yield* gate(0)
      yield* enter("first")
      state.places++
      yield* turnstile.wake
      // In the same step, before anybody could be served.
      yield* enter("newcomer")
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(holds, ["first"])
    }))

  /** Lets others go on after every few steps, so that a cancellation can come between any of them. */
  const stepwise = Effect.provideService(Scheduler.MaxOpsBeforeYield, 5)
  const settled = Effect.repeat(Effect.yieldNow, { times: 200 })
  const steps = Array.from({ length: 60 }, (_, at) => at)

  it.effect.each([Infinity, 60_000])(
    "G2: a waiter that is cancelled any number of steps after its turn was on the way leaves nothing behind (%d ms)",
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
        // Some were cancelled between being let in and going on.
        assert.isAbove(isServed, 0)
      })
  )

  it.effect("G2: the only waiter, cancelled any number of steps after its turn was on the way, leaves nothing behind", () =>
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

  it.effect("G2: who is cancelled while it is being served gives back, and the next has it", () =>
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

  it.effect("G2: who is served in the moment its wait is over either has it or gave it back", () =>
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

  it.effect("G8: nor one by somebody who would be the first, and would wait for the same", () =>
    Effect.gen(function*() {
      const wait = (_: Item, now: number) => Effect.succeed(10_000 - now)
      const { enter, names, turnstile } = yield* gate(0, { take: wait, turn: (item, _, now) => wait(item, now) })
      yield* enter("background", 2)
      yield* TestClock.adjust(1)
      assert.isFalse(yield* turnstile.pass({ name: "interactive", rank: 0 }, 5000))
      assert.deepStrictEqual(names(), ["background"])
    }))

  it.effect("turns away who may not wait, on arrival and never later", () =>
    Effect.gen(function*() {
      const { enter, names, release, state, turnstile } = yield* gate(0, { room: 2 })
      yield* enter("a")
      yield* enter("b")
      assert.isFalse(yield* turnstile.pass({ name: "c", rank: 0 }, 1000))
      assert.deepStrictEqual(names(), ["a", "b"])
      yield* release(2)
      assert.deepStrictEqual(state.taken, ["a", "b"])
    }))

  it.effect("waits no longer than it may, to the millisecond", () =>
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
    "does not wait where there is no time: %d ms",
    (within) =>
      Effect.gen(function*() {
        const { names, state, turnstile } = yield* gate(0)
        assert.isFalse(yield* turnstile.pass({ name: "late", rank: 0 }, within))
        assert.deepStrictEqual([names(), isServing(state.scope)], [[], false])
        state.places = 1
        assert.isTrue(yield* turnstile.pass({ name: "late, but nobody waits", rank: 0 }, within))
      })
  )

  it.effect("G8: begins no wait that is known to be too long, where waits get no shorter", () =>
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
    "waits %d ms, or for so long at most",
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

describe("tenants", () => {
  it.effect("G6: take turns within a rank, each in the order in which its calls came", () =>
    Effect.gen(function*() {
      const { enter, names, release, state } = yield* gate(0)
      for (const name of ["a1", "a2", "a3", "b1", "c1", "b2"]) yield* enter(name, 1, 60_000, name[0])
      yield* enter("urgent a", 0, 60_000, "a")
      const order = ["urgent a", "a1", "b1", "c1", "a2", "b2", "a3"]
      assert.deepStrictEqual(names(), order)
      yield* release(3)
      // The turn of b is over: who comes now waits for that of c and a.
      yield* enter("b3", 1, 60_000, "b")
      yield* release(9)
      assert.deepStrictEqual(state.taken, ["urgent a", "a1", "b1", "c1", "a2", "b2", "a3", "b3"])
    }))

  it.effect("have an equal share of the places, and none is turned away by a flood of another", () =>
    Effect.gen(function*() {
      const { enter, names, turnstile } = yield* gate(0, { room: 6 })
      for (let i = 0; i < 10; i++) yield* enter(`a${i}`, 1, 60_000, "a")
      assert.strictEqual(turnstile.size(), 6)
      for (let i = 0; i < 10; i++) yield* enter(`b${i}`, 1, 60_000, "b")
      for (let i = 0; i < 10; i++) yield* enter(`c${i}`, 1, 60_000, "c")
      const of = (tenant: string) => names().filter((name) => name.startsWith(tenant)).length
      // Nobody who waits is displaced, and in all there are at most twice as many.
      assert.deepStrictEqual([of("a"), of("b"), of("c")], [6, 3, 2])
      assert.isFalse(yield* turnstile.pass({ name: "a", rank: 1, tenant: "a" }, 1000))
    }))

  it.effect("are known for those who come after them by what they take in their turns", () =>
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
  it.effect("G2: tells those to leave at once who would wait for nothing, and takes nothing for them", () =>
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

  it.effect("puts those who stay where they stand now", () =>
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

describe("a line", () => {
  it("lets 20,000 come and leave in well under a second, of one tenant or of as many", () => {
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

describe("the fiber that serves", () => {
  /** A clock that counts what sleeps by it. */
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

  it.effect("is there while somebody waits, and one for all", () =>
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

  it.effect("serves those who still wait when its scope is closed, and those who come after it", () =>
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
    "G6: serves who joined just before its scope is closed, also if it could not begin (%d steps before)",
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

  it.effect("asks once for each that comes, leaves or gives back, however many wait", () =>
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

  it.effect("sets no timer where nothing can end a wait but a wake, and none for those behind the first", () =>
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
      // Those behind the first change nothing for it.
      yield* TestClock.adjust(0)
      assert.lengthOf(sleeps, 0)
      yield* quiet(turnstile.wake)
      yield* TestClock.adjust(0)
      assert.lengthOf(sleeps, 1)
    }))

  it.effect("asks nobody for the timer of a waiter that has left", () =>
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

/** A gate whose places are kept elsewhere: each question takes 100 ms, and the place is held while it is asked. */
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

describe("with a store that takes time", () => {
  it.effect("G2: who leaves while it is asked for has what was taken given back", () =>
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

  it.effect("G6: who is more important and comes meanwhile is the next to be asked for, without a wait", () =>
    Effect.gen(function*() {
      const { asked, options, state } = remote(
        1,
        (now, name) => name === "background" && now < 60_000 ? 60_000 - now : 0
      )
      const { enter, holds, names } = yield* gate(0, options, state)
      yield* enter("background", 2, Infinity)
      // The first try, and then that of the fiber that serves.
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

  it.effect("G6: who is asked for first is let in, also if somebody more important comes meanwhile", () =>
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

  it.effect("a place that was held only while it was asked for wakes those who came meanwhile", () =>
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
    "G2: as much is taken as is held, whoever comes, leaves and finishes when; at the end all is there",
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
            // One that is asked for cannot be interrupted: nobody waits for it.
            if (fiber !== undefined) yield* Effect.forkIn(Fiber.interrupt(fiber), scope)
          }
          assert.isAtLeast(state.places, 0)
          assert.isAtMost(state.places + holds.length, 3)
        }
        yield* TestClock.adjust("1 minute")
        // Nobody waits but for those who hold.
        assert.deepStrictEqual(names(), [])
        assert.strictEqual(state.places + holds.length, 3)
        for (const fiber of inside.values()) yield* Effect.forkIn(Fiber.interrupt(fiber), scope)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([state.places, holds, turnstile.waiting()], [3, [], []])
      }).pipe(Effect.scoped, Effect.provide(TestClock.layer())),
    { arbitrary: { runs: 120, seed, size: 100 }, timeout: 30_000 }
  )

  it("has seen each of these in at least 5 % of 10,000 steps", () => {
    const total = Object.values(seen).reduce((sum, count) => sum + count, 0)
    assert.isAtLeast(total, 10_000)
    assert.hasAllKeys(seen, ["come", "leave", "finish", "pass"])
    for (const count of Object.values(seen)) assert.isAtLeast(count, total * 0.05)
  })
})
