import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Duration,
  Effect,
  Exit,
  Fiber,
  FileSystem,
  Layer,
  Random,
  Ref,
  Scheduler,
  Schema,
  SchemaGetter
} from "effect"
import { KeyValueStore, Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { expectTypeOf } from "vitest"
import { type Kept, memory, Store } from "../../src/answerStore.ts"
import { CallLog, Claude, ClaudeError, Current, Fallback, Policy, Retry } from "../../src/index.ts"
import * as PersistedAnswers from "../../src/PersistedAnswers.ts"
import { lastGood, Stale } from "../../src/policy/lastGood.ts"
import * as Runtime from "../../src/runtime.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"
import { make, worthAnother } from "../support/errors.ts"

/** A fake `Claude` that plays the turns, a store, and a log in memory. */
const world = (playable: Faults.Playable, store: Store = memory(1000)) =>
  Layer.mergeAll(
    Layer.provideMerge(FakeClaude.layer(playable), CallLog.layerMemory),
    Layer.succeed(Store, store)
  )

const events = Effect.flatMap(CallLog.Memory, Ref.get)
const warnings = Effect.map(events, (all) => all.flatMap((event) => event._tag === "Warning" ? [event.code] : []))

/** Gives these answers in order, whatever the request, and then fails as overloaded. */
const thenOverloaded = (...answers: ReadonlyArray<string>) =>
  Faults.untilLast(
    Faults.answer(answers[0] ?? ""),
    ...answers.slice(1).map((text) => Faults.answer(text)),
    Faults.overloaded
  )

const options = { key: "test", schema: Schema.String, maxAge: "1 hour" } as const
const text = lastGood(options)
const any = (more: object = {}) => lastGood({ ...options, schema: Schema.Unknown, ...more })

/** The new answer; or `stale` and the remembered answer; or the tag of the error. */
const shown = <E, R>(self: Effect.Effect<unknown, E, R>) =>
  Effect.match(self, {
    onFailure: (error) => ClaudeError.is(error) ? error._tag : error,
    onSuccess: (value) => value instanceof Stale ? `stale ${String(value.value)}` : value
  })

describe("a remembered answer", () => {
  it.effect("comes with its age and the error, and the fallback is logged", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* text(Claude.text("hi")), "hello")
      yield* TestClock.adjust("5 minutes")

      const stale = yield* text(Claude.text("hi"))
      assert(stale instanceof Stale)
      assert.strictEqual(stale.value, "hello")
      assert.strictEqual(Duration.toMinutes(stale.age), 5)
      assert.strictEqual(stale.error._tag, "Overloaded")

      const told = (yield* events).find(({ _tag }) => _tag === "FellBack")
      assert.deepInclude(told, { to: "last good answer", model: "claude-sonnet-5-5", error: stale.error })
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))

  it.effect("is given if it is exactly maxAge old, and not if it is one millisecond older", () =>
    Effect.gen(function*() {
      yield* text(Claude.text("hi"))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "stale hello")
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "Overloaded")
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))

  it.effect("is not given if it is older than maxAge, even if the store returns it", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("3 hours")
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "Overloaded")
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(world(Faults.cycle(Faults.overloaded), {
      get: () => Effect.succeed({ at: 0, value: "ancient" }),
      set: () => Effect.void
    }))))

  it.effect("has an age of zero if the clock of its writer is ahead by at most maxAge", () =>
    Effect.gen(function*() {
      const stale = yield* text(Claude.text("hi"))
      assert(stale instanceof Stale)
      assert.strictEqual(Duration.toMillis(stale.age), 0)
    }).pipe(Effect.provide(world([Faults.overloaded], {
      get: () => Effect.succeed({ at: 3_600_000, value: "from soon" }),
      set: () => Effect.void
    }))))

  it.effect("is not given if its time is invalid, or in the future by more than maxAge", () =>
    Effect.gen(function*() {
      for (const at of [3_600_001, 1e300, 0.5, Number.MAX_SAFE_INTEGER + 1]) {
        const store = { get: () => Effect.succeed({ at, value: "from tomorrow" }), set: () => Effect.void }
        assert.strictEqual(yield* shown(Effect.provideService(text(Claude.text("hi")), Store, store)), "Overloaded")
        const kept = memory(1)
        yield* kept.set("k", { at, value: 1 }, Duration.hours(1))
        assert.isUndefined(yield* kept.get("k"))
        yield* kept.set("k", { at: 0, value: 2 }, Duration.hours(1))
        assert.deepStrictEqual(yield* kept.get("k"), { at: 0, value: 2 })
      }
    }).pipe(Effect.provide(world(Faults.cycle(Faults.overloaded)))))

  it.effect("is the newest of several answers with the same key", () =>
    Effect.gen(function*() {
      yield* text(Claude.text("hi"))
      yield* TestClock.adjust("1 second")
      yield* text(Claude.text("hi"))
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "stale second")
    }).pipe(Effect.provide(world(thenOverloaded("first", "second")))))

  it.effect("is required for the fallback: without a remembered answer, the call fails with its own error", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(text(Claude.text("hi")))
      assert.strictEqual(yield* shown(exit), "Overloaded")
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(world([Faults.overloaded]))))

  it.effect("is decoded anew for each reader, so that changes to the value are not shared", () =>
    Effect.gen(function*() {
      const Dated = Schema.Struct({ due: Schema.Date, lines: Schema.mutable(Schema.Array(Schema.String)) })
      const dated = lastGood({ key: "dated", schema: Dated, maxAge: "1 hour" })
      const asked = Claude.object(Dated, "when?")
      const fresh = yield* dated(asked)
      assert(!(fresh instanceof Stale))
      fresh.lines.push("mine")
      fresh.due.setFullYear(1999)

      const stale = yield* dated(asked)
      assert(stale instanceof Stale)
      assert.deepStrictEqual(stale.value, { due: new Date("2026-01-02T00:00:00.000Z"), lines: ["one"] })
      stale.value.lines.push("mine too")
      const again = yield* dated(asked)
      assert(again instanceof Stale)
      assert.deepStrictEqual(again.value.lines, ["one"])
    }).pipe(Effect.provide(world(Faults.untilLast(
      Faults.value({ due: "2026-01-02T00:00:00.000Z", lines: ["one"] }),
      Faults.overloaded
    )))))

  it.effect("is not given to a call that was interrupted", () =>
    Effect.gen(function*() {
      yield* text(Claude.text("hi"))
      const call = yield* Effect.forkChild(text(Claude.text("hi")))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(call)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(call)))
    }).pipe(Effect.provide(world([Faults.answer("hello"), Faults.silence]))))
})

describe("the key", () => {
  it.effect("finds the remembered answer even if the effect passed to `lastGood` sends another request or none", () =>
    Effect.gen(function*() {
      const two = Effect.zipWith(Claude.text("a"), Claude.text("b"), (a, b) => a + b)
      assert.strictEqual(yield* text(two), "onetwo")
      assert.strictEqual(yield* shown(text(two)), "stale onetwo")
      assert.strictEqual(yield* shown(text(Claude.text("c"))), "stale onetwo")
      assert.strictEqual(yield* shown(text(Effect.fail(make("CircuitOpen")))), "stale onetwo")
      assert.strictEqual(yield* shown(any({ key: "other" })(Claude.text("a"))), "Overloaded")
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(world(thenOverloaded("one", "two")))))

  it.effect("is written to the store unchanged, next to the tenant", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const spy: Store = { get: () => Effect.undefined, set: (key) => Effect.sync(() => void seen.push(key)) }
      const call = Effect.provideService(lastGood({ ...options, key: "invoice/1" })(Claude.text("hi")), Store, spy)
      yield* call
      yield* Effect.provideService(call, Current.Tenant, "acme")
      assert.deepStrictEqual(seen, ["[null,\"invoice/1\"]", "[\"acme\",\"invoice/1\"]"])
    }).pipe(Effect.provide(world(Faults.cycle(Faults.answer("hello"))))))

  it.effect("never appears in the log, because it may contain user input (G14)", () =>
    Effect.gen(function*() {
      const get = () => Effect.fail("x")
      const site = lastGood({ ...options, key: "a secret question" })
      yield* Effect.provideService(shown(site(Claude.text("hi"))), Store, { get, set: get })
      yield* Effect.provideService(shown(site(Claude.text("hi"))), Store, { get, set: get })
      assert.deepStrictEqual(yield* warnings, ["LastGoodNotKept", "LastGoodNotRead"])
      assert.notInclude(JSON.stringify(yield* events), "secret")
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))
})

describe("the tenant", () => {
  const odd = ["a", "a/", "/a", "null", "a\",\"b", "[\"a\"]", "undefined", "[null,\"a\"]"] as const
  const Tenant = Schema.Union([Schema.Literals([...odd, ""]), Schema.String, Schema.Undefined])
  const Key = Schema.Union([Schema.Literals(odd), Schema.String.check(Schema.isPattern(/\S/))])

  it.effect.prop(
    "must match, like the key, to find an answer",
    { key: Key, tenant: Tenant, otherKey: Key, otherTenant: Tenant },
    ({ key, otherKey, otherTenant, tenant }) =>
      Effect.gen(function*() {
        const call = (key: string, tenant: string | undefined) =>
          Effect.provideService(lastGood({ ...options, key })(Claude.text("hi")), Current.Tenant, tenant)
        yield* call(key, tenant)
        const same = key === otherKey && tenant === otherTenant
        assert.strictEqual(yield* shown(call(otherKey, otherTenant)), same ? "stale hello" : "Overloaded")
        assert.strictEqual(yield* shown(call(key, tenant)), "stale hello")
      }).pipe(Effect.provide(world(thenOverloaded("hello"))))
  )

  it.effect("finds no answer under an empty name or the names \"null\" and \"undefined\" if the answer was remembered without a tenant", () =>
    Effect.gen(function*() {
      const as = (tenant: string | undefined) =>
        shown(Effect.provideService(text(Claude.text("hi")), Current.Tenant, tenant))
      yield* as(undefined)
      assert.deepStrictEqual([yield* as("null"), yield* as(""), yield* as("undefined")], Array(3).fill("Overloaded"))
      assert.strictEqual(yield* as(undefined), "stale hello")
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))
})

describe("Fallback.lastGood by kind of error", () => {
  const expected = { ...worthAnother, Unreachable: true, Refused: false, Truncated: true, DeadlineExceeded: true }
  it.effect("gives the remembered answer after the default kinds of errors, and `on` overrides each default", () =>
    Effect.gen(function*() {
      const keyed = lastGood({ ...options, key: "k" })
      yield* keyed(Claude.text("hi"))
      for (const [tag, worth] of Object.entries(expected) as Array<[ClaudeError.Tag, boolean]>) {
        const failed = Effect.fail(make(tag))
        const otherwise = lastGood({ ...options, key: "k", on: { [tag]: !worth } })
        const unsaid = lastGood({ ...options, key: "k", on: { [tag]: undefined } })
        assert.strictEqual(yield* shown(unsaid(failed)), worth ? "stale hello" : tag)
        assert.strictEqual(yield* shown(keyed(failed)), worth ? "stale hello" : tag)
        assert.strictEqual(yield* shown(otherwise(failed)), worth ? tag : "stale hello")
      }
    }).pipe(Effect.provide(world([Faults.answer("hello")]))))

  it.effect("passes on application errors and defects", () =>
    Effect.gen(function*() {
      const keyed = any({ key: "k" })
      yield* keyed(Claude.text("hi"))
      const mine = { _tag: "Overloaded" }
      assert.strictEqual(yield* Effect.flip(keyed(Effect.fail(mine))), mine)
      const died = yield* Effect.exit(keyed(Effect.die("bug")))
      assert.deepStrictEqual(died, yield* Effect.exit(Effect.die("bug")))
    }).pipe(Effect.provide(world([Faults.answer("hello")]))))
})

describe("Fallback.lastGood", () => {
  const asks = Claude.text("hi")

  const failures: Record<string, readonly [Faults.Turn, Effect.Effect<unknown, unknown, Claude.Claude>]> = {
    "was cut": [Faults.maxTokens("half"), asks],
    "was refused": [Faults.refusal("no"), asks],
    "is empty": [Faults.emptyAnswer, asks],
    "broke off": [Faults.breaks("half"), asks],
    "does not decode": [Faults.answer("no number"), Claude.object(Schema.Struct({ n: Schema.Int }), "hi")]
  }
  for (const [what, [turn, call]] of Object.entries(failures)) {
    it.effect(`does not remember an answer that ${what}`, () =>
      Effect.gen(function*() {
        yield* Effect.ignore(any()(call))
        assert.strictEqual(yield* shown(any()(asks)), "Overloaded")
      }).pipe(Effect.provide(world([turn, Faults.overloaded]))))
  }

  it.effect("remembers any value of the effect inside, including the value of a fallback", () =>
    Effect.gen(function*() {
      const sorry = Effect.catchIf(asks, ClaudeError.is, () => Effect.succeed("sorry"))
      assert.strictEqual(yield* any()(sorry), "sorry")
      assert.strictEqual(yield* shown(any()(asks)), "stale sorry")
      assert.strictEqual(yield* any()(Effect.succeed("made up")), "made up")
      assert.strictEqual(yield* shown(any()(asks)), "stale made up")
    }).pipe(Effect.provide(world(Faults.cycle(Faults.overloaded)))))

  it.effect("does not remember the value of a fallback that is applied around it", () =>
    Effect.gen(function*() {
      const sorry = Effect.catchIf(any()(asks), ClaudeError.is, () => Effect.succeed("sorry"))
      assert.strictEqual(yield* sorry, "sorry")
      assert.strictEqual(yield* Effect.map(Fallback.notice()(any()(asks)), (notice) => notice instanceof Stale), false)
      assert.strictEqual(yield* shown(any()(asks)), "Overloaded")
    }).pipe(Effect.provide(world(Faults.cycle(Faults.overloaded)))))

  it.effect("remembers the answer of a fallback model and of a later attempt", () =>
    Effect.gen(function*() {
      const Numbered = Schema.Struct({ n: Schema.Int })
      const site = lastGood({ ...options, schema: Numbered })
      const call = Claude.object(Numbered, "hi").pipe(
        Policy.apply({ reask: 2, models: ["claude-haiku-5-5"] }),
        site
      )
      const first = yield* Effect.forkChild(call)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(first), { n: 1 })
      assert.instanceOf(yield* site(Claude.object(Numbered, "hi")), Stale)
    }).pipe(Effect.provide(world(Faults.untilLast(
      Faults.overloaded,
      Faults.value({ n: "one" }),
      Faults.value({ n: 1 }),
      Faults.overloaded
    )))))
})

describe("G10: a trace of calls", () => {
  /** Five calls with two keys and two tenants, some of which fail. */
  const run = Effect.gen(function*() {
    const ask = (index: number) =>
      Claude.text("hi").pipe(
        Policy.apply({ retry: Retry.backoff({ times: 1 }), overall: "10 seconds" }),
        lastGood({ ...options, key: `question/${index % 2}` }),
        shown,
        Effect.provideService(Current.Tenant, index === 4 ? undefined : "acme"),
        Effect.timed
      )
    const calls = yield* Effect.forkChild(Effect.forEach(Array.from({ length: 5 }, (_, index) => index), ask))
    yield* TestClock.adjust("1 minute")
    const answers = yield* Fiber.join(calls)
    return JSON.stringify([answers.map(([took, answer]) => [Duration.toMillis(took), answer]), yield* events])
  })

  /** Runs an effect without the event loop: an effect that waits for a promise or a timer gives no result. */
  const atOnce = <A>(self: Effect.Effect<A>): A => {
    const tasks = new Set<() => void>()
    const scheduler = new Scheduler.MixedScheduler("async", (task) => {
      tasks.add(task)
      return () => void tasks.delete(task)
    })
    const fiber = Effect.runFork(self, { scheduler })
    for (const task of tasks) {
      tasks.delete(task)
      task()
    }
    const exit = fiber.pollUnsafe()
    assert(exit !== undefined && Exit.isSuccess(exit), "the effect must not wait for the event loop")
    return exit.value
  }

  const trace = (seed: string) => {
    const script = Faults.random({
      seed,
      faults: [[0.5, Faults.overloaded], [0.1, Faults.silence]],
      otherwise: Faults.answer("hello")
    })
    return atOnce(run.pipe(
      Effect.provide(world(script), { local: true }),
      Random.withSeed(seed),
      Effect.provide(TestClock.layer())
    ))
  }

  it("is the same in 1,000 runs with one seed, without a wait in real time", () => {
    const first = trace("a")
    for (let run = 1; run < 1000; run++) assert.strictEqual(trace("a"), first)
    for (const part of ["stale hello", "GaveUp", "TimedOut", "FellBack"]) assert.include(first, part)
    assert.notStrictEqual(trace("b"), first)
  }, 120_000)
})

describe("the store of remembered answers", () => {
  class Replies extends Context.Service<Replies, { readonly reply: Effect.Effect<unknown> }>()("test/Replies") {
    static readonly layer = Layer.effect(
      Replies,
      Effect.map(
        Claude.Claude,
        (claude) => Replies.of({ reply: shown(Effect.provideService(text(Claude.text("hi")), Claude.Claude, claude)) })
      )
    )
  }
  const fake = (...answers: ReadonlyArray<string>) => Layer.fresh(FakeClaude.layer(thenOverloaded(...answers)))

  it.effect("is shared by a service that captured Claude when it was built and by other calls of that Claude", () =>
    Effect.gen(function*() {
      const { reply } = yield* Replies
      assert.strictEqual(yield* reply, "hello")
      assert.strictEqual(yield* reply, "stale hello")
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "stale hello")
    }).pipe(Effect.provide(Layer.provideMerge(Replies.layer, fake("hello")))))

  it.effect("is the store that is provided to the layer of Claude", () =>
    Effect.gen(function*() {
      const store = memory(1)
      const built = Layer.provide(fake("hello"), Layer.succeed(Store, store))
      assert.strictEqual(Runtime.of(yield* Effect.provide(Claude.Claude, built)).answers, store)
      const replies = Effect.flatMap(Replies, ({ reply }) => reply)
      yield* Effect.provide(replies, Layer.provide(Replies.layer, built))
      const other = Layer.provide(fake(), Layer.succeed(Store, store))
      const down = Effect.provideService(Claude.text("hi"), Store, undefined)
      assert.strictEqual(yield* shown(Effect.provide(text(failing(down)), other)), "stale hello")
    }))

  it.effect("is separate for each Claude service, unless Fallback.Store is in context", () =>
    Effect.gen(function*() {
      const both = Effect.zip(shown(text(Claude.text("hi"))), shown(text(Claude.text("hi"))))
      assert.deepStrictEqual(yield* Effect.provide(both, fake("hello"), { local: true }), ["hello", "stale hello"])
      assert.deepStrictEqual(yield* Effect.provide(both, fake("other"), { local: true }), ["other", "stale other"])
      const here = Effect.provideService(both, Store, memory(1))
      const then = Effect.zip(here, shown(text(failing(Claude.text("hi")))))
      assert.deepStrictEqual(
        yield* Effect.provide(then, fake("here"), { local: true }),
        [["here", "stale here"], "Overloaded"]
      )
    }))

  it.effect("does not exist if neither Claude nor Fallback.Store is in context, and then no answer is remembered", () =>
    Effect.gen(function*() {
      const call = shown(text(Effect.provide(Claude.text("hi"), fake("hello"), { local: true })))
      assert.strictEqual(yield* call, "hello")
      assert.strictEqual(
        yield* shown(text(Effect.fail(make("Overloaded")))),
        "Overloaded"
      )
    }))

  const failing = (call: Effect.Effect<string, ClaudeError.ClaudeError, Claude.Claude>) =>
    Effect.flatMap(
      Claude.Claude,
      (claude) => Effect.provideService(call, Claude.Claude, { ...claude, open: () => Effect.fail(make("Overloaded")) })
    )

  it("refuses a capacity that is not a positive whole number", () => {
    for (const capacity of [0, -1, 1.5, NaN, Infinity, "10" as never]) {
      assert.throws(() => Fallback.memoryStore(capacity), RangeError, /must be a whole number, 1 or more/)
    }
  })
})

describe("a store in memory", () => {
  const kept = (at: number, value: unknown = at): Kept => ({ at, value })
  const hour = Duration.hours(1)

  it.effect("keeps 1,000 answers, and evicts the least recently used one", () =>
    Effect.gen(function*() {
      const store = Runtime.of(yield* Claude.Claude).answers
      for (let index = 0; index < 1000; index++) yield* store.set(`bound ${index}`, kept(0, index), hour)
      assert.deepStrictEqual(yield* store.get("bound 0"), kept(0, 0))
      yield* store.set("bound 1000", kept(0, 1000), hour)
      assert.isUndefined(yield* store.get("bound 1"))
      for (const index of [0, 2, 999, 1000]) assert.isDefined(yield* store.get(`bound ${index}`))
    }).pipe(Effect.provide(FakeClaude.layer([]))))

  it.effect("drops an expired answer when it is read", () =>
    Effect.gen(function*() {
      const store = memory(2)
      yield* store.set("k", kept(0), hour)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* store.get("k"), kept(0))
      yield* TestClock.adjust("1 milli")
      assert.isUndefined(yield* store.get("k"))
      yield* TestClock.setTime(0)
      assert.isUndefined(yield* store.get("k"))
    }))

  it.effect("keeps a newer answer when an older one arrives late, unless the newer one is from the future", () =>
    Effect.gen(function*() {
      const store = memory(10)
      yield* TestClock.adjust("1 minute")
      yield* store.set("k", kept(20), hour)
      yield* store.set("k", kept(10), hour)
      assert.deepStrictEqual(yield* store.get("k"), kept(20))
      yield* store.set("k", kept(1e9), hour)
      yield* store.set("k", kept(30), hour)
      assert.deepStrictEqual(yield* store.get("k"), kept(30))
    }))

  it.effect("gives each of 1,000 fibers the answer to its own question", () =>
    Effect.gen(function*() {
      const ask = (index: number) =>
        lastGood({ ...options, key: `question ${index % 50}` })(Claude.text(`question ${index % 50}`))
      const first = yield* Effect.forEach(Array.from({ length: 1000 }, (_, index) => index), ask, {
        concurrency: "unbounded"
      })
      assert.isTrue(first.every((answer, index) => answer === `to question ${index % 50}`))
      const then = yield* Effect.forEach(
        Array.from({ length: 1000 }, (_, index) => index),
        (index) => shown(ask(index)),
        { concurrency: "unbounded" }
      )
      assert.isTrue(then.every((answer, index) => answer === `stale to question ${index % 50}`))
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(
      Effect.provide(
        world(Faults.by(({ index, params }) =>
          index < 1000
            ? Faults.answer(`to ${String(JSON.stringify(params["messages"]).match(/question \d+/)?.[0])}`)
            : Faults.overloaded
        ))
      )
    ))
})

describe("G15: a broken store", () => {
  const get = () => Effect.undefined
  const set = () => Effect.void
  const dies = () => {
    throw new TypeError("secret")
  }

  for (
    const [how, broken] of Object.entries({
      fails: () => Effect.fail("secret"),
      dies,
      "interrupts itself": () => Effect.interrupt
    })
  ) {
    it.effect(`that ${how} on read does not change the error of the call, and is logged without its message (G14)`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* shown(text(Claude.text("hi"))), "Overloaded")
        assert.deepStrictEqual(yield* warnings, ["LastGoodNotRead"])
        assert.notInclude(JSON.stringify(yield* events), "secret")
      }).pipe(Effect.provide(world([Faults.overloaded], { get: broken, set }))))

    it.effect(`that ${how} on write does not change the answer, and is logged without its message (G14)`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* text(Claude.text("hi")), "hello")
        assert.deepStrictEqual(yield* warnings, ["LastGoodNotKept"])
        assert.notInclude(JSON.stringify(yield* events), "secret")
      }).pipe(Effect.provide(world([Faults.answer("hello")], { get, set: broken }))))
  }

  for (
    const [how, hangs] of Object.entries({
      hangs: Effect.never,
      "hangs and cannot be interrupted": Effect.uninterruptible(Effect.never)
    })
  ) {
    it.effect(`that ${how} on read delays the error by one second`, () =>
      Effect.gen(function*() {
        const reached = yield* Ref.make(false)
        const store = { get: () => Effect.andThen(Ref.set(reached, true), hangs), set }
        const call = yield* Effect.forkChild(Effect.provideService(shown(text(Claude.text("hi"))), Store, store))
        yield* TestClock.adjust("999 millis")
        assert.isTrue(yield* Ref.get(reached))
        assert.isUndefined(call.pollUnsafe())
        yield* TestClock.adjust("1 milli")
        assert.strictEqual(yield* Fiber.join(call), "Overloaded")
        assert.deepStrictEqual(yield* warnings, ["LastGoodNotRead"])
      }).pipe(Effect.provide(world([Faults.overloaded]))))

    it.effect(`that ${how} on write does not delay the answer, and is logged after one second`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* text(Claude.text("hi")), "hello")
        assert.deepStrictEqual(yield* warnings, [])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* warnings, ["LastGoodNotKept"])
      }).pipe(Effect.provide(world([Faults.answer("hello")], { get, set: () => hangs }))))
  }

  const At = Schema.Union([Schema.Literals([0, "0", "now"]), Schema.Finite, Schema.Json])
  const Garbage = Schema.Union([Schema.Json, Schema.Struct({ at: At, value: Schema.Json }), Schema.Struct({ at: At })])
  const isGood = Schema.is(Schema.Struct({ at: Schema.Finite, value: Schema.String }))
  const isOld = (kept: unknown) =>
    typeof kept === "object" && kept !== null && "value" in kept && "at" in kept && Number.isFinite(kept.at) &&
    !(Number.isSafeInteger(kept.at) && Math.abs(Number(kept.at)) <= 3_600_000)

  it.effect.prop(
    "that returns invalid JSON data does not change the error of the call, and is logged",
    { kept: Garbage },
    ({ kept }) =>
      Effect.gen(function*() {
        if (isGood(kept) || isOld(kept)) return
        const store = { get: () => Effect.succeed(kept as never), set }
        assert.strictEqual(yield* shown(Effect.provideService(text(Claude.text("hi")), Store, store)), "Overloaded")
        assert.deepStrictEqual(yield* warnings, ["LastGoodNotRead"])
      }).pipe(Effect.provide(world([Faults.overloaded])))
  )

  it.effect("that returns a value outside JSON does not change the error of the call, and is logged", () =>
    Effect.gen(function*() {
      const value = "hello"
      const kinds = [() => value, Symbol("s"), 1n, NaN, new Map(), { at: NaN, value }, { at: Infinity, value }, {
        at: -Infinity,
        value
      }]
      for (const kept of kinds) {
        const store = { get: () => Effect.succeed(kept as never), set }
        assert.strictEqual(yield* shown(Effect.provideService(text(Claude.text("hi")), Store, store)), "Overloaded")
      }
      assert.lengthOf(yield* warnings, kinds.length)
    }).pipe(Effect.provide(world(Faults.cycle(Faults.overloaded)))))

  it.effect("does not receive a value that the schema cannot encode, and the failure is logged without its message (G14)", () =>
    Effect.gen(function*() {
      const Short = Schema.String.check(Schema.isMaxLength(3))
      const answer = yield* lastGood({ ...options, schema: Short })(Claude.text("hi"))
      assert.strictEqual(answer, "a long secret")
      assert.deepStrictEqual(yield* warnings, ["LastGoodNotKept"])
      assert.notInclude(JSON.stringify(yield* events), "secret")
    }).pipe(Effect.provide(world([Faults.answer("a long secret")]))))

  it.effect("is interrupted with the call that reads it", () =>
    Effect.gen(function*() {
      const reached = yield* Ref.make(false)
      const left = yield* Ref.make(false)
      const store = {
        get: () => Effect.onInterrupt(Effect.andThen(Ref.set(reached, true), Effect.never), () => Ref.set(left, true)),
        set
      }
      const call = yield* Effect.forkChild(Effect.provideService(text(Claude.text("hi")), Store, store))
      yield* TestClock.adjust(1)
      assert.isTrue(yield* Ref.get(reached))
      yield* Fiber.interrupt(call)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(call)))
      assert.isTrue(yield* Ref.get(left))
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(world([Faults.overloaded]))))
})

describe("PersistedAnswers", () => {
  const once = <A, E>(
    self: Effect.Effect<A, E, Claude.Claude | CallLog.Memory>,
    turn: Faults.Turn,
    layer: Layer.Layer<never>
  ) =>
    Effect.provide(
      Effect.flatMap(self, (value) => Effect.map(warnings, (codes) => [value, ...codes])),
      Layer.merge(Layer.provideMerge(FakeClaude.layer([turn]), CallLog.layerMemory), layer),
      { local: true }
    )

  it.effect("keeps each answer for its own maxAge", () =>
    Effect.gen(function*() {
      yield* text(Claude.text("hi"))
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "stale hello")
      yield* TestClock.adjust("2 minutes")
      const store = yield* Store
      assert(store !== undefined)
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "Overloaded")
      assert.deepStrictEqual(yield* warnings, [])

      yield* store.set("short", { at: 0, value: 1 }, Duration.seconds(1))
      yield* store.set("for ever", { at: 0, value: [1, { two: null }] }, Duration.infinity)
      yield* TestClock.adjust("2 seconds")
      assert.isUndefined(yield* store.get("short"))
      assert.deepInclude(yield* store.get("for ever"), { at: 0, value: [1, { two: null }] })
    }).pipe(Effect.provide(Layer.mergeAll(
      Layer.provideMerge(FakeClaude.layer(thenOverloaded("hello")), CallLog.layerMemory),
      Layer.provide(PersistedAnswers.layer, Persistence.layerMemory)
    ))))

  /** A store that ignores case, as many file systems and databases do. */
  const careless = Layer.sync(KeyValueStore.KeyValueStore, () => {
    const entries = new Map<string, string>()
    return KeyValueStore.makeStringOnly({
      get: (key) => Effect.sync(() => entries.get(key.toLowerCase())),
      set: (key, value) => Effect.sync(() => void entries.set(key.toLowerCase(), value)),
      remove: (key) => Effect.sync(() => void entries.delete(key.toLowerCase())),
      clear: Effect.sync(() => entries.clear()),
      size: Effect.sync(() => entries.size),
      keys: Effect.sync(() => [...entries.keys()])
    })
  })

  /** A persistence whose stores are always empty, and whose writes run `write`. */
  const slow = (write: Effect.Effect<void>) => {
    const stores: Array<string> = []
    const store = { get: () => Effect.undefined, set: () => write } as never
    const persistence = Persistence.Persistence.of({
      make: ({ storeId }) => Effect.sync(() => (stores.push(storeId), store))
    })
    return { stores, layer: Layer.succeed(Persistence.Persistence, persistence) }
  }

  it.effect.each(
    [
      ["slow", 900, true, Effect.sleep(900)],
      ["hanging", 1000, false, Effect.never],
      ["hanging, uninterruptible", 1000, false, Effect.uninterruptible(Effect.never)]
    ] as const
  )(
    "waits at most a second for a %s write when it closes",
    ([, millis, whole, write]) =>
      Effect.gen(function*() {
        const started = yield* Ref.make(false)
        const written = yield* Ref.make(false)
        const writing = Effect.andThen(Ref.set(started, true), Effect.andThen(write, Ref.set(written, true)))
        const remembering = Layer.provide(PersistedAnswers.layer, slow(writing).layer)
        const call = yield* Effect.forkChild(once(text(Claude.text("hi")), Faults.answer("hello"), remembering))
        yield* TestClock.adjust(millis - 1)
        assert.isTrue(yield* Ref.get(started))
        assert.isUndefined(call.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* Fiber.join(call), ["hello"])
        assert.strictEqual(yield* Ref.get(written), whole)
      })
  )

  it.effect("keeps answers under the default storeId, or under the given storeId", () =>
    Effect.gen(function*() {
      const { layer, stores } = slow(Effect.void)
      const staging = PersistedAnswers.layerWith({ storeId: "staging" })
      for (const answers of [PersistedAnswers.layer, staging]) {
        yield* Effect.provide(Effect.void, Layer.provide(answers, layer))
      }
      assert.deepStrictEqual(stores, ["resilient-claude/last-good", "staging"])
    }))

  const inFiles = (directory: string) =>
    PersistedAnswers.layer.pipe(
      Layer.provide(Persistence.layerKvs),
      Layer.provide(KeyValueStore.layerFileSystem(directory)),
      Layer.provide(NodeServices.layer),
      Layer.orDie
    )

  it.effect("separates tenants whose names differ only in case, even if the store ignores case", () =>
    Effect.gen(function*() {
      const call = (tenant: string) => shown(Effect.provideService(text(Claude.text("hi")), Current.Tenant, tenant))
      assert.strictEqual(yield* call("acme"), "hello")
      assert.strictEqual(yield* call("ACME"), "Overloaded")
      assert.strictEqual(yield* call("acme"), "stale hello")
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(Layer.mergeAll(
      Layer.provideMerge(FakeClaude.layer(thenOverloaded("hello")), CallLog.layerMemory),
      PersistedAnswers.layer.pipe(Layer.provide(Persistence.layerKvs), Layer.provide(careless))
    ))))

  it.live("keeps answers in files after its layer is closed, and logs a warning if the directory is gone (G15)", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const layer = inFiles(directory)
      const files = Effect.flatMap(
        fs.readDirectory(directory),
        (names) =>
          Effect.forEach(names, (name) => Effect.map(fs.readFileString(`${directory}/${name}`), (body) => name + body))
      )
      const call = shown(text(Claude.text("a secret question")))

      assert.deepStrictEqual(yield* once(call, Faults.answer("hello"), layer), ["hello"])
      const written = yield* Effect.repeat(Effect.delay(files, "5 millis"), {
        until: (all) => all.some((file) => file.includes("hello"))
      })
      assert.lengthOf(written, 1)
      assert.notInclude(written.join(), "question", "G14: questions are not written")
      assert.deepStrictEqual(yield* once(call, Faults.overloaded, layer), ["stale hello"])

      const removed = Effect.andThen(fs.remove(directory, { recursive: true }), call)
      assert.deepStrictEqual(yield* once(removed, Faults.overloaded, layer), ["Overloaded"])
      const gone = Effect.andThen(
        fs.remove(directory, { recursive: true }),
        Effect.tap(call, Effect.sleep("100 millis"))
      )
      assert.deepStrictEqual(yield* once(gone, Faults.answer("hello"), layer), ["hello", "LastGoodNotKept"])

      // A file takes the place of the directory.
      const blocked = Effect.andThen(fs.remove(directory, { recursive: true }), fs.writeFileString(directory, "")).pipe(
        Effect.andThen(call)
      )
      assert.deepStrictEqual(yield* once(blocked, Faults.overloaded, layer), ["Overloaded", "LastGoodNotRead"])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("logs a warning and does not change the error of the call if a file is not valid", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* fs.makeTempDirectoryScoped()
      const layer = inFiles(directory)
      const call = shown(text(Claude.text("hi")))
      yield* once(call, Faults.answer("hello"), layer)
      const [name] = yield* Effect.repeat(Effect.delay(fs.readDirectory(directory), "5 millis"), {
        until: (all) => all.length > 0
      })
      for (const body of ["{", "[{}, null]", "[{\"_tag\":\"Success\",\"value\":{\"at\":\"x\"}},null]"]) {
        yield* fs.writeFileString(`${directory}/${name}`, body)
        assert.deepStrictEqual(yield* once(call, Faults.overloaded, layer), ["Overloaded", "LastGoodNotRead"], body)
      }
    }).pipe(Effect.provide(NodeServices.layer)))
})

describe("Fallback.lastGood refuses", () => {
  const bad: ReadonlyArray<readonly [object, RegExp]> = [
    [{ key: " " }, /key of Fallback.lastGood is blank/],
    [{ key: undefined }, /key of Fallback.lastGood is blank/],
    [{ maxAge: 0 }, /maxAge of Fallback.lastGood "test" is 0/],
    [{ maxAge: "-1 second" }, /maxAge/],
    [{ maxAge: "soon" }, /maxAge/],
    [
      { schema: undefined },
      /Fallback.lastGood "test" has no schema: give the schema of the answer, like Schema.String/
    ],
    [{ schema: "string" }, /Fallback.lastGood "test" has no schema/],
    [
      { schema: Schema.Struct({ [Symbol.iterator]: Schema.String }) },
      /schema of Fallback.lastGood "test" has no JSON form/
    ]
  ]
  for (const [wrong, sentence] of bad) {
    it(`an invalid ${Object.keys(wrong).join()}, with an error that matches ${String(sentence)}`, () =>
      assert.throws(() => lastGood({ ...options, ...wrong }), RangeError, sentence))
  }
})

it("the type of Fallback.lastGood includes Stale, and the services of the schema", () => {
  class Rates extends Context.Service<Rates, { readonly rate: number }>()("test/Rates") {}
  const Rated = Schema.Finite.pipe(Schema.decodeTo(Schema.Finite, {
    decode: SchemaGetter.transformEffect((n: number) => Effect.map(Rates, ({ rate }) => n * rate)),
    encode: SchemaGetter.passthrough<number>()
  }))
  const rated = lastGood({ key: "rated", schema: Rated, maxAge: "1 hour" })(Claude.object(Rated, "hi"))
  expectTypeOf(rated).toEqualTypeOf<
    Effect.Effect<number | Stale<number>, ClaudeError.ClaudeError, Claude.Claude | Rates>
  >()
  const subtype = text(Effect.succeed("yes" as const))
  expectTypeOf(subtype).toEqualTypeOf<Effect.Effect<string | Stale<string>>>()
})
