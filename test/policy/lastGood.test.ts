import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, FileSystem, Layer, Ref, Schema, SchemaGetter } from "effect"
import { WebCrypto } from "effect/crypto"
import { KeyValueStore, Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { expectTypeOf, vi } from "vitest"
import { type Kept, memory, Store } from "../../src/answerStore.ts"
import { CallLog, Claude, ClaudeError, Current, Fallback, Policy, Retry } from "../../src/index.ts"
import * as PersistedAnswers from "../../src/PersistedAnswers.ts"
import { lastGood, Stale } from "../../src/policy/lastGood.ts"
import { listen } from "../../src/policy/questions.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"
import { make, worthAnother } from "../support/errors.ts"

/** A claude that plays the turns, an empty memory, and the events. */
const world = (playable: Faults.Playable, store: Store = memory(1000)) =>
  Layer.mergeAll(
    Layer.provideMerge(FakeClaude.layer(playable), CallLog.layerMemory),
    Layer.succeed(Store, store)
  )

const events = Effect.flatMap(CallLog.Memory, Ref.get)
const warnings = Effect.map(events, (all) => all.flatMap((event) => event._tag === "Warning" ? [event.code] : []))

/** Whatever is asked, the first answers are these, and after them the API is overloaded. */
const thenOverloaded = (...answers: ReadonlyArray<string>) =>
  Faults.untilLast(
    Faults.answer(answers[0] ?? ""),
    ...answers.slice(1).map((text) => Faults.answer(text)),
    Faults.overloaded
  )

const options = { name: "test", schema: Schema.String, maxAge: "1 hour" } as const
const text = lastGood(options)
const any = (more: object = {}) => lastGood({ ...options, schema: Schema.Unknown, ...more })

/** Lets the platform finish what it does outside of Effect, such as a digest. */
const tick = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

/** The tag of what it gives or fails with, or the text. */
const shown = <E, R>(self: Effect.Effect<unknown, E, R>) =>
  Effect.match(self, {
    onFailure: (error) => ClaudeError.is(error) ? error._tag : error,
    onSuccess: (value) => value instanceof Stale ? `stale ${String(value.value)}` : value
  })

describe("an answer of before", () => {
  it.effect("comes with its age and the reason, and the log says so", () =>
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

  it.effect("is given up to its greatest age, and not a millisecond longer", () =>
    Effect.gen(function*() {
      yield* text(Claude.text("hi"))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "stale hello")
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "Overloaded")
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))

  it.effect("is not given for longer than its greatest age, whatever the store says", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("3 hours")
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "Overloaded")
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(world(Faults.cycle(Faults.overloaded), {
      get: () => Effect.succeed({ at: 0, value: "ancient" }),
      set: () => Effect.void
    }))))

  it.effect("has no age where the clock of who wrote it is ahead", () =>
    Effect.gen(function*() {
      const stale = yield* text(Claude.text("hi"))
      assert(stale instanceof Stale)
      assert.strictEqual(Duration.toMillis(stale.age), 0)
    }).pipe(Effect.provide(world([Faults.overloaded], {
      get: () => Effect.succeed({ at: 3_600_000, value: "from soon" }),
      set: () => Effect.void
    }))))

  it.effect("is none where its time is further ahead than it may be old, or is no time", () =>
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

  it.effect("is the newest of several", () =>
    Effect.gen(function*() {
      yield* text(Claude.text("hi"))
      yield* TestClock.adjust("1 second")
      yield* text(Claude.text("hi"))
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "stale second")
    }).pipe(Effect.provide(world(thenOverloaded("first", "second")))))

  it.effect("where there is none, the error stays, with its cause", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(text(Claude.text("hi")))
      assert.strictEqual(yield* shown(exit), "Overloaded")
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(world([Faults.overloaded]))))

  it.effect("is decoded by its schema, and is not what its first reader made of it", () =>
    Effect.gen(function*() {
      const Dated = Schema.Struct({ due: Schema.Date, lines: Schema.mutable(Schema.Array(Schema.String)) })
      const dated = lastGood({ name: "dated", schema: Dated, maxAge: "1 hour" })
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
})

describe("the question", () => {
  const other = {
    question: Claude.text("other"),
    system: Claude.text("hi", { system: "be brief" }),
    model: Claude.text("hi", { model: "claude-haiku-5-5" }),
    "model of the place": Claude.withModel(Claude.text("hi"), "claude-haiku-5-5"),
    length: Claude.text("hi", { maxTokens: 17 }),
    "order of messages": Claude.text([{ role: "user", content: "a" }, { role: "user", content: "hi" }])
  }
  for (const [what, call] of Object.entries(other)) {
    it.effect(`another ${what} is another question`, () =>
      Effect.gen(function*() {
        yield* text(Claude.text("hi"))
        assert.strictEqual(yield* shown(text(call)), "Overloaded")
        assert.strictEqual(yield* shown(text(Claude.text("hi"))), "stale hello")
      }).pipe(Effect.provide(world(thenOverloaded("hello")))))
  }

  it.effect("is the same in whatever order, and with whatever undefined, it is written", () =>
    Effect.gen(function*() {
      yield* text(Claude.text({
        messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
        system: "s",
        metadata: { user_id: "me" }
      }))
      const same = Claude.text({
        metadata: { user_id: "me" },
        temperature: undefined,
        system: "s",
        messages: [{ content: [{ text: "hi", type: "text" }], role: "user" }]
      } as never)
      assert.strictEqual(yield* shown(text(same)), "stale hello")
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))

  it.effect("stays the same where another model answered it", () =>
    Effect.gen(function*() {
      const call = Fallback.models(["claude-haiku-5-5"])(Claude.text("hi"))
      assert.strictEqual(yield* text(call), "from haiku")
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "stale from haiku")
      assert.strictEqual(yield* shown(text(Claude.text("hi", { model: "claude-haiku-5-5" }))), "Overloaded")
    }).pipe(Effect.provide(world(Faults.untilLast(Faults.overloaded, Faults.answer("from haiku"), Faults.overloaded)))))

  it.effect("stays the same through retries, and through corrections", () =>
    Effect.gen(function*() {
      const Numbered = Schema.Struct({ n: Schema.Int })
      const retry = Retry.byTag({ Overloaded: Retry.backoff({ times: 2 }), MalformedOutput: Retry.reask(2) })
      const site = lastGood({ ...options, schema: Numbered })
      const call = Claude.object(Numbered, "hi")
      const first = yield* Effect.forkChild(site(Policy.apply({ retry })(call)))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(first), { n: 1 })
      assert.instanceOf(yield* site(call), Stale)
    }).pipe(Effect.provide(world(Faults.untilLast(
      Faults.overloaded,
      Faults.value({ n: "one" }),
      Faults.value({ n: 1 }),
      Faults.overloaded
    )))))

  it.effect("of an object is not that of a text", () =>
    Effect.gen(function*() {
      yield* any()(Claude.object(Schema.Struct({ n: Schema.Int }), "hi"))
      assert.strictEqual(yield* shown(any()(Claude.text("hi"))), "Overloaded")
      const stale = yield* any()(Claude.object(Schema.Struct({ n: Schema.Int }), "hi"))
      assert.deepStrictEqual(
        stale,
        new Stale({ value: { n: 1 }, age: Duration.zero, error: (stale as Stale<1>).error })
      )
    }).pipe(Effect.provide(world(Faults.untilLast(Faults.value({ n: 1 }), Faults.overloaded)))))

  it.effect("can be a key of the caller's, whatever is asked", () =>
    Effect.gen(function*() {
      const keyed = lastGood({ ...options, key: "greeting" })
      const two = Effect.zipWith(Claude.text("a"), Claude.text("b"), (a, b) => a + b)
      assert.strictEqual(yield* keyed(two), "onetwo")
      assert.strictEqual(yield* shown(keyed(two)), "stale onetwo")
      assert.strictEqual(yield* shown(keyed(Claude.text("c"))), "stale onetwo")
      assert.strictEqual(yield* shown(lastGood({ ...options, key: "other" })(Claude.text("c"))), "Overloaded")
      assert.strictEqual(yield* shown(keyed(Effect.fail(make("CircuitOpen")))), "stale onetwo")
    }).pipe(Effect.provide(world(thenOverloaded("one", "two")))))

  it.effect("a key is never mistaken for a request", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const spy: Store = { get: () => Effect.undefined, set: (key) => Effect.sync(() => void seen.push(key)) }
      const params = { max_tokens: 4096, messages: [{ content: "hi", role: "user" }], model: "claude-sonnet-5-5" }
      yield* Effect.provideService(text(Claude.text("hi")), Store, spy)
      yield* Effect.provideService(lastGood({ ...options, key: JSON.stringify(params) })(Claude.text("hi")), Store, spy)
      assert.strictEqual(new Set(seen).size, 2)
      for (const key of seen) assert.match(key, /^[0-9a-f]{64}$/, "G14: a key says nothing")
    }).pipe(Effect.provide(world(Faults.cycle(Faults.answer("hello"))))))

  it.effect("several without a key are not remembered, which is told once", () =>
    Effect.gen(function*() {
      const two = lastGood({ ...options, name: "several" })
      const both = Effect.zipWith(Claude.text("a"), Claude.text("b"), (a, b) => a + b)
      assert.strictEqual(yield* two(both), "onetwo")
      const failing = Effect.andThen(Effect.ignore(Claude.text("a")), Claude.text("b"))
      assert.strictEqual(yield* shown(two(failing)), "Overloaded")
      assert.deepStrictEqual(yield* warnings, ["LastGoodNeedsKey"])
    }).pipe(Effect.provide(world(thenOverloaded("one", "two")))))

  it.effect("where nothing was asked, nothing is found, silently", () =>
    Effect.gen(function*() {
      yield* text(Claude.text("hi"))
      assert.strictEqual(yield* shown(text(Effect.fail(make("Overloaded")))), "Overloaded")
      assert.strictEqual(yield* text(Effect.succeed("made up")), "made up")
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))

  it.effect("that cannot be written as JSON is a miss", () =>
    Effect.gen(function*() {
      const loop: { self?: unknown } = {}
      loop.self = loop
      const call = Effect.flatMap(Current.Listener, (listener) => {
        listener?.asked({ model: "m", max_tokens: 1, messages: [], metadata: loop } as never, nobody)
        return Effect.fail(make("Overloaded"))
      })
      assert.strictEqual(yield* shown(text(call)), "Overloaded")
    }).pipe(Effect.provide(world([]))))
})

describe("who it is for", () => {
  const Tenant = Schema.Union([
    Schema.Literals(["a", "a/", "/a", "null", "", "a\",\"b", "[\"a\"]", "undefined"]),
    Schema.String,
    Schema.Undefined
  ])
  const Name = Schema.Union([
    Schema.Literals(["a", "a/", "/a", "null", "a\",\"b", "[\"a\"]", "undefined"]),
    Schema.String.check(Schema.isPattern(/\S/))
  ])
  const who = { name: Name, tenant: Tenant, otherName: Name, otherTenant: Tenant, inside: Schema.Boolean }

  it.effect.prop("tenants and names never cross, wherever the tenant is named", who, (
    { inside, name, otherName, otherTenant, tenant }
  ) =>
    Effect.gen(function*() {
      const call = (name: string, tenant: string | undefined) => {
        const site = lastGood({ ...options, name })
        return inside
          ? site(Effect.provideService(Claude.text("hi"), Current.Tenant, tenant))
          : Effect.provideService(site(Claude.text("hi")), Current.Tenant, tenant)
      }
      yield* call(name, tenant)
      const same = name === otherName && tenant === otherTenant
      assert.strictEqual(yield* shown(call(otherName, otherTenant)), same ? "stale hello" : "Overloaded")
      assert.strictEqual(yield* shown(call(name, tenant)), "stale hello")
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))

  it.effect("no tenant is not one that is named null or nothing", () =>
    Effect.gen(function*() {
      const as = (tenant: string | undefined) =>
        shown(Effect.provideService(text(Claude.text("hi")), Current.Tenant, tenant))
      yield* as(undefined)
      assert.deepStrictEqual([yield* as("null"), yield* as(""), yield* as("undefined")], Array(3).fill("Overloaded"))
      assert.strictEqual(yield* as(undefined), "stale hello")
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))

  it.effect("a key of the caller's does not cross tenants either", () =>
    Effect.gen(function*() {
      const keyed = lastGood({ ...options, key: "k" })
      const as = (tenant: string) => Effect.provideService(keyed(Claude.text("hi")), Current.Tenant, tenant)
      yield* as("one")
      assert.strictEqual(yield* shown(as("two")), "Overloaded")
      assert.strictEqual(yield* shown(keyed(Claude.text("hi"))), "Overloaded")
      assert.strictEqual(yield* shown(as("one")), "stale hello")
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))
})

describe("a tenant that is named inside", () => {
  const keyed = lastGood({ ...options, key: "k", schema: Schema.Unknown })
  const inside = (tenant: string) => Effect.provideService(Claude.text("hi"), Current.Tenant, tenant)

  it.effect("has its own answers under a key, too", () =>
    Effect.gen(function*() {
      yield* keyed(inside("a"))
      assert.strictEqual(yield* shown(keyed(inside("b"))), "Overloaded")
      assert.strictEqual(yield* shown(keyed(Claude.text("hi"))), "Overloaded")
      assert.strictEqual(yield* shown(keyed(inside("a"))), "stale hello")
      assert.strictEqual(
        yield* shown(Effect.provideService(keyed(Claude.text("hi")), Current.Tenant, "a")),
        "stale hello"
      )
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))

  it.effect("is no other tenant's where there are two, which is told once", () =>
    Effect.gen(function*() {
      yield* keyed(Effect.all([inside("a"), inside("b")]))
      yield* keyed(Effect.all([inside("b"), inside("a")]))
      for (const tenant of ["a", "b"]) assert.strictEqual(yield* shown(keyed(inside(tenant))), "Overloaded")
      assert.deepStrictEqual(yield* warnings, ["LastGoodNotWhole"])
    }).pipe(Effect.provide(world(thenOverloaded("one", "two", "three", "four")))))
})

describe("which errors", () => {
  const expected = { ...worthAnother, Unreachable: true, Refused: false, Truncated: true, DeadlineExceeded: true }
  it.effect("an old answer will do for some, and the caller can decide otherwise", () =>
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

  it.effect("an error of the application's own passes untouched", () =>
    Effect.gen(function*() {
      const keyed = any({ key: "k" })
      yield* keyed(Claude.text("hi"))
      const mine = { _tag: "Overloaded" }
      assert.strictEqual(yield* Effect.flip(keyed(Effect.fail(mine))), mine)
      const died = yield* Effect.exit(keyed(Effect.die("bug")))
      assert.deepStrictEqual(died, yield* Effect.exit(Effect.die("bug")))
    }).pipe(Effect.provide(world([Faults.answer("hello")]))))
})

describe("only whole answers are remembered", () => {
  const asks = Claude.text("hi")
  const never: Record<string, readonly [Faults.Turn, Effect.Effect<unknown, unknown, Claude.Claude>]> = {
    "one that was cut": [Faults.maxTokens("half"), asks],
    "one that was refused": [Faults.refusal("no"), asks],
    "one that is empty": [Faults.emptyAnswer, asks],
    "one that broke off": [Faults.breaks("half"), asks],
    "one that does not decode": [Faults.answer("no number"), Claude.object(Schema.Struct({ n: Schema.Int }), "hi")],
    "a value that was caught": [Faults.overloaded, Effect.orElseSucceed(asks, () => "sorry")],
    "a cut text that was caught": [
      Faults.maxTokens("half"),
      Effect.catchTag(asks, "Truncated", () => Effect.succeed("half"))
    ],
    "a value instead": [Faults.overloaded, Fallback.value("sorry")(asks)],
    "a notice": [Faults.overloaded, Fallback.notice()(asks)]
  }
  for (const [what, [turn, call]] of Object.entries(never)) {
    it.effect(`not ${what}`, () =>
      Effect.gen(function*() {
        yield* Effect.ignore(any()(call))
        const kept = yield* shown(any({ on: { InvalidRequest: true } })(asks))
        assert.strictEqual(kept, "Overloaded")
      }).pipe(Effect.provide(world([turn, Faults.overloaded]))))
  }

  it.effect("not an old answer of a call inside", () =>
    Effect.gen(function*() {
      const inner = lastGood({ ...options, name: "inner" })
      yield* inner(asks)
      assert.strictEqual(yield* shown(any()(inner(asks))), "stale hello")
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* shown(any()(inner(asks))), "Overloaded")
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))

  it.effect("both of two that are inside each other hear what is asked", () =>
    Effect.gen(function*() {
      const inner = lastGood({ ...options, name: "inner" })
      yield* any()(inner(asks))
      assert.strictEqual(yield* shown(inner(asks)), "stale hello")
      assert.strictEqual(yield* shown(any()(asks)), "stale hello")
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))

  it.effect("not where one of two questions was caught, in whatever order they end", () =>
    Effect.gen(function*() {
      const two = (one: number, other: number) =>
        any({ key: `${one} ${other}` })(Effect.all([
          Fallback.value("sorry")(Effect.delay(Claude.text("bad"), one)),
          Effect.delay(Claude.text("good"), other)
        ], { concurrency: 2 }))
      for (const [one, other] of [[1, 2], [2, 1], [1, 1]] as const) {
        const call = yield* Effect.forkChild(two(one, other))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(call), ["sorry", "hello"])
        const failed = any({ key: `${one} ${other}` })(Effect.fail(make("Overloaded")))
        assert.strictEqual(yield* shown(failed), "Overloaded")
      }
    }).pipe(Effect.provide(world(Faults.by(({ params }) =>
      JSON.stringify(params.messages).includes("bad") ? Faults.overloaded : Faults.answer("hello")
    )))))

  it.effect("two at a time are, if both were answered", () =>
    Effect.gen(function*() {
      const two = Effect.all([Claude.text("a"), Claude.text("b")], { concurrency: 2 })
      yield* any({ key: "two" })(two)
      assert.strictEqual(yield* shown(any({ key: "two" })(two)), "stale hello,hello")
    }).pipe(Effect.provide(world(thenOverloaded("hello", "hello")))))

  // "+a" puts the question a; "a whole" ends the first of those that are open, "a' whole" the second.
  const ends: ReadonlyArray<readonly [what: string, steps: string, whole: "all" | "some" | "none"]> = [
    ["nothing was asked", "", "none"],
    ["all were answered", "+a, +b, a whole, b whole", "all"],
    ["a failure was put again", "+a, a not, +a, a not, +a, a whole", "all"],
    ["what was left was put again", "+a, a left, +a, a whole", "all"],
    ["one of two lost", "+a, +a, a' whole, a left", "all"],
    ["one of two lost before", "+a, +a, a left, a whole", "all"],
    ["one failed while the same was open", "+a, +a, a not, a whole", "none"],
    ["one of two that failed was put again", "+a, +a, a not, a not, +a, a whole", "none"],
    ["a second time was not whole", "+a, a whole, +a, a not", "none"],
    ["one was only left", "+a, a left", "none"],
    ["one failed", "+a, a not", "none"],
    ["one is open", "+a, +b, a whole", "some"],
    ["the same is still open", "+a, +a, a whole", "none"],
    ["another stood in for one that failed", "+a, a not, +b, b whole", "some"],
    ["another stood in for one that was left", "+a, a left, +b, b whole", "some"]
  ]
  it.each(ends)("%s: %s", (_, steps, whole) => {
    const heard = listen("name", "key", undefined, undefined)
    const open: Array<{ readonly question: string; readonly end: (how: "whole" | "not" | "left") => void }> = []
    for (const step of steps === "" ? [] : steps.split(", ")) {
      if (step.startsWith("+")) {
        const params = { model: "m", max_tokens: 1, messages: [{ role: "user" as const, content: step.slice(1) }] }
        open.push({ question: step.slice(1), end: heard.asked(params, nobody) })
      } else {
        const [who = "", how] = step.split(" ")
        const mine = open.filter(({ question }) => question === who[0])
        const one = mine[who.length - 1]
        assert(one !== undefined)
        open.splice(open.indexOf(one), 1)
        one.end(how as "whole")
      }
    }
    const subject = heard.subject()
    assert.strictEqual(typeof subject === "string" ? subject : subject.whole, whole)
  })

  it("a long question is written out once, however often it is put, and under a key never", () => {
    const content = "long ".repeat(100_000)
    for (const [key, times] of [[undefined, 1], ["key", 0]] as const) {
      const heard = listen("name", key, undefined, undefined)
      const stringify = vi.spyOn(JSON, "stringify")
      for (let i = 0; i < 5; i++) {
        heard.asked({ model: "m", max_tokens: 1, messages: [{ role: "user", content: `${content}` }] }, nobody)("whole")
      }
      assert.deepInclude(heard.subject() as object, { whole: "all" })
      const long = stringify.mock.results.filter(({ value }) => String(value).length >= content.length)
      stringify.mockRestore()
      assert.lengthOf(long, times)
    }
  })

  /** At first a hard question fails and a slow one waits; all else is "yes". */
  const stubborn = Effect.provide(
    world(Faults.by(({ index, params }) => {
      const asked = JSON.stringify(params["messages"])
      if (asked.includes("later")) return Faults.overloaded
      const turn = asked.includes("hard") && index === 0 ? Faults.overloaded : Faults.answer("yes")
      return asked.includes("slow") && index === 0 ? Faults.delayed(turn, "1 hour") : turn
    }))
  )
  /** What is there for a question when Claude is down, after the call. */
  const then = (call: Effect.Effect<unknown, unknown, Claude.Claude>, question: string) =>
    Effect.gen(function*() {
      const running = yield* Effect.forkChild(any()(call))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(running)
      const claude = yield* Claude.Claude
      const down = Claude.Claude.of({ ...claude, open: () => Effect.fail(make("Overloaded")) })
      return yield* shown(any()(Effect.provideService(Claude.text(question), Claude.Claude, down)))
    })

  it.effect("one that the program itself puts again is", () =>
    Effect.gen(function*() {
      const call = Effect.retry(Claude.text("hard"), { times: 1 })
      assert.strictEqual(yield* then(call, "hard"), "stale yes")
    }).pipe(stubborn))

  it.effect("one of which a second run is faster is", () =>
    Effect.gen(function*() {
      const call = Effect.race(Claude.text("slow"), Effect.delay(Claude.text("slow"), "1 second"))
      assert.strictEqual(yield* then(call, "slow"), "stale yes")
    }).pipe(stubborn))

  it.effect("not where the program asks something else instead, which is told once with its key", () =>
    Effect.gen(function*() {
      const call = Effect.catchTag(Claude.text("hard"), "Overloaded", () => Claude.text("easy"))
      const site = any({ key: "k", name: "instead" })
      assert.strictEqual(yield* site(call), "yes")
      assert.strictEqual(yield* shown(site(Effect.fail(make("Overloaded")))), "Overloaded")
      yield* site(Effect.andThen(Effect.ignore(Claude.text("later")), Claude.text("easy")))
      const told = (yield* events).filter((event) => event._tag === "Warning")
      assert.deepStrictEqual(told.map(({ code, message }) => [code, message]), [[
        "LastGoodNotWhole",
        "instead: of several questions not all were answered as a whole, so nothing is remembered: put lastGood next to each"
      ]])
    }).pipe(stubborn))

  it.effect("what the program makes of a whole answer is remembered as it is", () =>
    Effect.gen(function*() {
      const call = Effect.orElseSucceed(Effect.flatMap(Claude.text("easy"), () => Effect.fail("mine")), () => "made")
      assert.strictEqual(yield* then(call, "easy"), "stale made")
    }).pipe(stubborn))

  it.effect("a stream counts when it was read to its end, not before", () =>
    Effect.gen(function*() {
      const opened = any()(Effect.scoped(Effect.as(Claude.open("hi"), "opened")))
      yield* opened
      assert.strictEqual(yield* shown(any()(asks)), "Overloaded")
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))
})

describe("where answers are", () => {
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

  it.effect("a service that captures Claude finds what was remembered with it", () =>
    Effect.gen(function*() {
      const { reply } = yield* Replies
      assert.strictEqual(yield* reply, "hello")
      assert.strictEqual(yield* reply, "stale hello")
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "stale hello")
    }).pipe(Effect.provide(Layer.provideMerge(Replies.layer, fake("hello")))))

  it.effect("it is in the store of where Claude was built", () =>
    Effect.gen(function*() {
      const store = memory(1)
      const built = Layer.provide(fake("hello"), Layer.succeed(Store, store))
      assert.strictEqual((yield* Effect.provide(Claude.Claude, built)).answers, store)
      const replies = Effect.flatMap(Replies, ({ reply }) => reply)
      yield* Effect.provide(replies, Layer.provide(Replies.layer, built))
      const other = Layer.provide(fake(), Layer.succeed(Store, store))
      const down = Effect.provideService(Claude.text("hi"), Store, undefined)
      assert.strictEqual(yield* shown(Effect.provide(text(failing(down)), other)), "stale hello")
    }))

  it.effect("two never share, and the store of the place comes first", () =>
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

  it.effect("without a Claude and a store there is none", () =>
    Effect.gen(function*() {
      const call = shown(text(Effect.provide(Claude.text("hi"), fake("hello"), { local: true })))
      assert.strictEqual(yield* call, "hello")
      assert.strictEqual(
        yield* shown(lastGood({ ...options, key: "k" })(Effect.fail(make("Overloaded")))),
        "Overloaded"
      )
    }))

  const failing = (call: Effect.Effect<string, ClaudeError.ClaudeError, Claude.Claude>) =>
    Effect.flatMap(
      Claude.Claude,
      (claude) => Effect.provideService(call, Claude.Claude, { ...claude, open: () => Effect.fail(make("Overloaded")) })
    )

  it("a memory has room for something", () => {
    for (const capacity of [0, -1, 1.5, NaN, Infinity, "10" as never]) {
      assert.throws(() => Fallback.memoryStore(capacity), RangeError, /must be a whole number, 1 or more/)
    }
  })
})

describe("in memory", () => {
  const kept = (at: number, value: unknown = at): Kept => ({ at, value })
  const hour = Duration.hours(1)

  it.effect("1,000 are remembered, and the one that was not used for longest goes", () =>
    Effect.gen(function*() {
      const { answers: store } = yield* Claude.Claude
      for (let index = 0; index < 1000; index++) yield* store.set(`bound ${index}`, kept(0, index), hour)
      assert.deepStrictEqual(yield* store.get("bound 0"), kept(0, 0))
      yield* store.set("bound 1000", kept(0, 1000), hour)
      assert.isUndefined(yield* store.get("bound 1"))
      for (const index of [0, 2, 999, 1000]) assert.isDefined(yield* store.get(`bound ${index}`))
    }).pipe(Effect.provide(FakeClaude.layer([]))))

  it.effect("what has expired is dropped when it is read", () =>
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

  it.effect("a slower, older answer does not replace a newer one, unless the clock went wrong", () =>
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

  it.effect("1,000 fibers find what was remembered for their question, and nobody else's", () =>
    Effect.gen(function*() {
      const ask = (index: number) => text(Claude.text(`question ${index % 50}`))
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

describe("G15: a store that fails fails no call", () => {
  const get = () => Effect.undefined
  const set = () => Effect.void
  const dies = () => {
    throw new TypeError("secret")
  }

  for (
    const [how, broken] of Object.entries({
      fails: () => Effect.fail("secret"),
      dies,
      interrupts: () => Effect.interrupt
    })
  ) {
    it.effect(`one that ${how} on read leaves the error, and is reported without its words (G14)`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* shown(text(Claude.text("hi"))), "Overloaded")
        assert.deepStrictEqual(yield* warnings, ["LastGoodNotRead"])
        assert.notInclude(JSON.stringify(yield* events), "secret")
      }).pipe(Effect.provide(world([Faults.overloaded], { get: broken, set }))))

    it.effect(`one that ${how} on write leaves the answer, and is reported without its words (G14)`, () =>
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
    it.effect(`one that ${how} on read is waited for one second`, () =>
      Effect.gen(function*() {
        const reached = yield* Ref.make(false)
        const store = { get: () => Effect.andThen(Ref.set(reached, true), hangs), set }
        const call = yield* Effect.forkChild(Effect.provideService(shown(text(Claude.text("hi"))), Store, store))
        yield* Effect.repeat(Effect.andThen(tick, Ref.get(reached)), { until: (reached) => reached })
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(call.pollUnsafe())
        yield* TestClock.adjust("1 milli")
        assert.strictEqual(yield* Fiber.join(call), "Overloaded")
        assert.deepStrictEqual(yield* warnings, ["LastGoodNotRead"])
      }).pipe(Effect.provide(world([Faults.overloaded]))))

    it.effect(`one that ${how} on write delays no answer, and is given up after one second`, () =>
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
    "garbage of any shape is reported, and leaves the error",
    { kept: Garbage },
    ({ kept }) =>
      Effect.gen(function*() {
        if (isGood(kept) || isOld(kept)) return
        const store = { get: () => Effect.succeed(kept as never), set }
        assert.strictEqual(yield* shown(Effect.provideService(text(Claude.text("hi")), Store, store)), "Overloaded")
        assert.deepStrictEqual(yield* warnings, ["LastGoodNotRead"])
      }).pipe(Effect.provide(world([Faults.overloaded])))
  )

  it.effect("garbage that no JSON makes is too", () =>
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

  it.effect("a value that does not encode is reported, without its words (G14)", () =>
    Effect.gen(function*() {
      const Short = Schema.String.check(Schema.isMaxLength(3))
      const answer = yield* lastGood({ ...options, schema: Short })(Claude.text("hi"))
      assert.strictEqual(answer, "a long secret")
      assert.deepStrictEqual(yield* warnings, ["LastGoodNotKept"])
      assert.notInclude(JSON.stringify(yield* events), "secret")
    }).pipe(Effect.provide(world([Faults.answer("a long secret")]))))

  it.effect("a platform without crypto.subtle is reported, and changes nothing else", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* text(Claude.text("hi")), "hello")
      assert.strictEqual(yield* shown(text(Claude.text("hi"))), "Overloaded")
      assert.deepStrictEqual(yield* warnings, ["LastGoodNotKept", "LastGoodNotRead"])
    }).pipe(
      Effect.provideService(WebCrypto.WebCrypto, {} as Crypto),
      Effect.provide(world(thenOverloaded("hello")))
    ))

  it.effect("an interrupt while it reads is an interrupt", () =>
    Effect.gen(function*() {
      const reached = yield* Ref.make(false)
      const left = yield* Ref.make(false)
      const store = {
        get: () => Effect.onInterrupt(Effect.andThen(Ref.set(reached, true), Effect.never), () => Ref.set(left, true)),
        set
      }
      const call = yield* Effect.forkChild(Effect.provideService(text(Claude.text("hi")), Store, store))
      yield* Effect.repeat(Effect.andThen(tick, Ref.get(reached)), { until: (reached) => reached })
      yield* Fiber.interrupt(call)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(call)))
      assert.isTrue(yield* Ref.get(left))
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(Effect.provide(world([Faults.overloaded]))))

  it.effect("an interrupt of the call is one too, and finds no old answer", () =>
    Effect.gen(function*() {
      yield* text(Claude.text("hi"))
      const call = yield* Effect.forkChild(text(Claude.text("hi")))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(call)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(call)))
    }).pipe(Effect.provide(world([Faults.answer("hello"), Faults.silence]))))
})

describe("persisted", () => {
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

  it.effect("in memory, answers expire by themselves", () =>
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
      assert.deepStrictEqual(yield* store.get("for ever"), { at: 0, value: [1, { two: null }] })
    }).pipe(Effect.provide(Layer.mergeAll(
      Layer.provideMerge(FakeClaude.layer(thenOverloaded("hello")), CallLog.layerMemory),
      Layer.provide(PersistedAnswers.layer, Persistence.layerMemory)
    ))))

  /** Keeps nothing, and takes its time. */
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
      ["stubborn", 1000, false, Effect.uninterruptible(Effect.never)]
    ] as const
  )(
    "the layer closes when what is being written is, or after a second: %s",
    ([, millis, whole, write]) =>
      Effect.gen(function*() {
        const started = yield* Ref.make(false)
        const written = yield* Ref.make(false)
        const writing = Effect.andThen(Ref.set(started, true), Effect.andThen(write, Ref.set(written, true)))
        const remembering = Layer.provide(PersistedAnswers.layer, slow(writing).layer)
        const call = yield* Effect.forkChild(once(text(Claude.text("hi")), Faults.answer("hello"), remembering))
        yield* Effect.repeat(Effect.andThen(tick, Ref.get(started)), { until: (started) => started })
        yield* TestClock.adjust(millis - 1)
        assert.isUndefined(call.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* Fiber.join(call), ["hello"])
        assert.strictEqual(yield* Ref.get(written), whole)
      })
  )

  it.effect("under a name of its own, or another", () =>
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

  it.live("in files, answers outlive the layer; without the directory the error stays, and it is reported (G15)", () =>
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

      // A file where the directory was.
      const blocked = Effect.andThen(fs.remove(directory, { recursive: true }), fs.writeFileString(directory, "")).pipe(
        Effect.andThen(call)
      )
      assert.deepStrictEqual(yield* once(blocked, Faults.overloaded, layer), ["Overloaded", "LastGoodNotRead"])
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("in files, what somebody else wrote is reported, and leaves the error", () =>
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

describe("what is told", () => {
  const policed = Policy.apply({ retry: Retry.never })

  it.effect("carries the call of the policy inside", () =>
    Effect.gen(function*() {
      const get = () => Effect.fail("x")
      yield* text(policed(Claude.text("hi")))
      yield* text(policed(Claude.text("hi")))
      yield* shown(Effect.provideService(text(policed(Claude.text("hi"))), Store, { get, set: get }))
      const all = yield* events
      const calls = all.flatMap((event) => event._tag === "GaveUp" ? [event.call] : [])
      const told = all.flatMap((event) =>
        event._tag === "FellBack" || event._tag === "Warning" ? [[event._tag, event.call]] : []
      )
      assert.deepStrictEqual(told, [["FellBack", calls[0]], ["Warning", calls[1]]])
      assert.isDefined(calls[1])
    }).pipe(Effect.provide(world(thenOverloaded("hello")))))

  it.effect("is no longer than 200 characters (G14)", () =>
    Effect.gen(function*() {
      const get = () => Effect.fail("x")
      const site = lastGood({ ...options, name: "long ".repeat(100) })
      yield* shown(Effect.provideService(site(Claude.text("hi")), Store, { get, set: get }))
      const [told] = (yield* events).flatMap((event) => event._tag === "Warning" ? [event.message] : [])
      assert.lengthOf(told ?? "", 200)
    }).pipe(Effect.provide(world([Faults.overloaded]))))
})

describe("options that cannot be meant are refused", () => {
  const bad: ReadonlyArray<readonly [object, RegExp]> = [
    [{ name: " " }, /name of Fallback.lastGood is blank/],
    [{ name: undefined }, /name of Fallback.lastGood is blank/],
    [{ key: "" }, /key of Fallback.lastGood "test" is blank/],
    [{ maxAge: 0 }, /maxAge of Fallback.lastGood "test" is 0/],
    [{ maxAge: "-1 second" }, /maxAge/],
    [{ maxAge: "soon" }, /maxAge/],
    [{ schema: undefined }, /Fallback.lastGood "test" has no schema: say what the answer is, like Schema.String/],
    [{ schema: "string" }, /Fallback.lastGood "test" has no schema/],
    [
      { schema: Schema.Struct({ [Symbol.iterator]: Schema.String }) },
      /schema of Fallback.lastGood "test" has no JSON form/
    ]
  ]
  for (const [wrong, sentence] of bad) {
    it(`${String(sentence)} ${JSON.stringify(wrong)}`, () =>
      assert.throws(() => lastGood({ ...options, ...wrong }), RangeError, sentence))
  }
})

it("the types say what it gives, and what a schema needs", () => {
  class Rates extends Context.Service<Rates, { readonly rate: number }>()("test/Rates") {}
  const Rated = Schema.Finite.pipe(Schema.decodeTo(Schema.Finite, {
    decode: SchemaGetter.transformEffect((n: number) => Effect.map(Rates, ({ rate }) => n * rate)),
    encode: SchemaGetter.passthrough<number>()
  }))
  const rated = lastGood({ name: "rated", schema: Rated, maxAge: "1 hour" })(Claude.object(Rated, "hi"))
  expectTypeOf(rated).toEqualTypeOf<
    Effect.Effect<number | Stale<number>, ClaudeError.ClaudeError, Claude.Claude | Rates>
  >()
  const subtype = text(Effect.succeed("yes" as const))
  expectTypeOf(subtype).toEqualTypeOf<Effect.Effect<string | Stale<string>>>()
})

const nobody = { tenant: undefined, call: undefined }
