/** Reopened answers, nested policies and parallel requests: each has its own deadline, history and charges. */
import { assert, describe, it } from "@effect/vitest"
import { Data, Duration, Effect, Exit, Fiber, Layer, Option, Ref, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as CallContext from "../../src/callContext.ts"
import { CallLog, Claude, ClaudeError, Current, Policy, Retry } from "../../src/index.ts"
import * as Runtime from "../../src/runtime.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const [a, b, c] = ["claude-sonnet-5-5", "claude-haiku-4-5", "claude-opus-4-5"] as const

const events = Effect.flatMap(CallLog.Memory, Ref.get)
const named = (tag: CallLog.Event["_tag"]) => Effect.map(events, (all) => all.filter(({ _tag }) => _tag === tag))
const models = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params.model))
const world = (script: Faults.Playable) => Layer.provideMerge(FakeClaude.layer(script), CallLog.layerMemory)

/** Plays the turns of the model that is asked, and then repeats the last turn of this model. */
const byModel = (turns: { readonly [model: string]: ReadonlyArray<Faults.Turn> }): Faults.Script => {
  const asked = new Map<unknown, number>()
  return Faults.by(({ params: { model } }) => {
    const own = turns[String(model)] ?? []
    const n = asked.get(model) ?? 0
    asked.set(model, n + 1)
    return own[Math.min(n, own.length - 1)] ?? Faults.notFound
  })
}

/** Answers at once, and breaks off after `seconds`. The chunks in between prevent an idle time-out. */
const breaksAfter = (seconds: number): Faults.Turn => {
  const turn = Faults.breaks("one two three four")
  const last = turn.body.length - 1
  const wait = (i: number) => i >= last - 1 ? seconds * 500 : 0
  return { ...turn, body: turn.body.map((piece, i) => ({ ...piece, after: wait(i) })) }
}

/** Runs an effect for at most a day: its result, and how many milliseconds it took. */
const ran = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const start = yield* Effect.clockWith(({ currentTimeMillis }) => currentTimeMillis)
    const timed = Effect.flatMap(
      Effect.result(self),
      (result) =>
        Effect.clockWith((clock) => Effect.map(clock.currentTimeMillis, (at) => ({ result, took: at - start })))
    )
    const fiber = yield* Effect.forkChild(timed)
    yield* TestClock.adjust("1 day")
    return yield* Fiber.join(fiber)
  })

/** Opens an answer and reads it to its end. */
const read = Effect.scoped(Effect.flatMap(Claude.open("hi"), ({ events }) => Stream.runDrain(events)))

/** Retries each of these kinds of error once, after a second. */
const once = (...tags: ReadonlyArray<ClaudeError.Tag>) => {
  const line = Retry.linear({ times: 1, base: "1 second" })
  const table: { [T in ClaudeError.Tag]?: typeof line } = {}
  for (const tag of tags) table[tag] = line
  return Retry.byTag(table)
}

describe("a stream that is reopened on fallback models", () => {
  it.effect("waits for the circuit and the budget on the last model only", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const circuits: Array<string> = []
      const budgets: Array<string> = []
      const { result } = yield* ran(
        Claude.events("hi").pipe(
          Policy.applyStream({ retry: Retry.standard, maxRetries: 8, models: [b, c], onBreak: "restart" }),
          Stream.runDrain,
          Effect.provideService(Claude.Claude, {
            ...claude,
            open: (request) =>
              Effect.flatMap(CallContext.WaitForCircuit, (waits) => {
                circuits.push(`${request.params.model} ${waits}`)
                return claude.open(request)
              }),
            runtime: Runtime.replace(claude, {
              budget: {
                charge: (_, model) =>
                  Effect.map(Current.Deadline, (deadline) => {
                    budgets.push(`${model} ${deadline === Infinity}`)
                    return { settle: () => Effect.void }
                  })
              }
            })
          })
        )
      )
      assert.strictEqual(result._tag, "Success")
      const times = (n: number, what: string) => Array.from({ length: n }, () => what)
      assert.deepStrictEqual(yield* models, [...times(4, a), ...times(4, b), ...times(9, c)])
      assert.deepStrictEqual(circuits.slice(-9), times(9, `${c} true`))
      assert.deepStrictEqual(circuits.slice(0, -9), [...times(4, `${a} false`), ...times(4, `${b} false`)])
      // The first attempt of the call is free, so model a has one charge less than attempts.
      assert.deepStrictEqual(budgets.slice(-9), times(9, `${c} true`))
      assert.deepStrictEqual(budgets.slice(0, -9), [...times(3, `${a} false`), ...times(4, `${b} false`)])
    }).pipe(Effect.provide(world(byModel({
      [a]: [Faults.breaks("half"), Faults.overloaded],
      [b]: [Faults.overloaded],
      [c]: [...Array.from({ length: 8 }, () => Faults.overloaded), Faults.answer("whole")]
    })))))
})

describe("an answer that is read inside its policy", () => {
  it.effect("is reopened under the deadline of its call", () =>
    Effect.gen(function*() {
      const deadlines: Array<number> = []
      const claude = yield* Claude.Claude
      const { result, took } = yield* ran(
        read.pipe(
          Policy.apply({ overall: "60 seconds", onBreak: "restart", retry: once("PartialAnswer") }),
          Effect.provideService(Claude.Claude, {
            ...claude,
            open: (request) =>
              Effect.flatMap(Current.Deadline, (deadline) => {
                deadlines.push(deadline)
                return claude.open(request)
              })
          })
        )
      )
      assert.deepStrictEqual(deadlines, [60_000, 60_000])
      assert.strictEqual(took, 60_000)
      assert.strictEqual(result._tag === "Failure" && result.failure._tag, "DeadlineExceeded")
      const [gaveUp, ...others] = yield* named("GaveUp")
      assert.lengthOf(others, 0)
      assert.deepInclude(gaveUp, { reason: "DeadlineExceeded" })
    }).pipe(Effect.provide(world([breaksAfter(50), Faults.pings("a", "1 second")]))))

  it.effect("is not reopened if `retry-after` ends after the deadline", () =>
    Effect.gen(function*() {
      const { result, took } = yield* ran(
        read.pipe(Policy.apply({
          overall: "60 seconds",
          onBreak: "restart",
          retry: once("PartialAnswer", "RateLimited")
        }))
      )
      assert.deepStrictEqual([result._tag, took, (yield* models).length], ["Failure", 51_000, 2])
    }).pipe(Effect.provide(world([breaksAfter(50), Faults.rateLimited("15 seconds"), Faults.answer("whole")]))))

  it.effect("falls back to the models of its policy, each once and in order", () =>
    Effect.gen(function*() {
      const { result, took } = yield* ran(
        read.pipe(Policy.apply({
          overall: "60 seconds",
          onBreak: "restart",
          retry: once("PartialAnswer"),
          models: [b, c]
        }))
      )
      assert.deepStrictEqual(yield* models, [a, a, b, c])
      assert.strictEqual(result._tag === "Failure" && result.failure._tag, "Overloaded")
      assert.strictEqual(took, 21_000)
      assert.deepStrictEqual((yield* named("FellBack")).map((event) => "to" in event && event.to), [b, c])
      const [gaveUp, ...others] = yield* named("GaveUp")
      assert.lengthOf(others, 0)
      const history = gaveUp?._tag === "GaveUp" ? gaveUp.history : []
      assert.deepStrictEqual(
        history.map(({ attempt, error, model }) => `${attempt} ${model} ${error}`),
        [`1 ${a} PartialAnswer`, `2 ${a} Overloaded`, `3 ${b} Overloaded`, `4 ${c} Overloaded`]
      )
    }).pipe(Effect.provide(world(byModel({
      [a]: [breaksAfter(20), Faults.overloaded],
      [b]: [Faults.overloaded],
      [c]: [Faults.overloaded]
    })))))
})

it.effect("a stream that breaks after its policy returned is reopened under a new overall time limit, which sets the default time limits of its attempts", () =>
  Effect.gen(function*() {
    let isFirst = true
    const { result } = yield* ran(
      Claude.events("hi").pipe(
        Policy.applyStream({
          overall: "60 seconds",
          models: [b],
          onBreak: "restart",
          retry: once("PartialAnswer", "TimedOut")
        }),
        Stream.runForEach(() => {
          const pause = isFirst ? Effect.sleep("1 hour") : Effect.void
          isFirst = false
          return pause
        })
      )
    )
    assert.deepStrictEqual([result._tag, yield* models], ["Success", [a, a, b, b]])
  }).pipe(Effect.provide(world(byModel({
    [a]: [Faults.pings()],
    [b]: [Faults.breaks("half"), Faults.delayed(Faults.answer("whole"), "9 seconds")]
  })))))

describe("a stream that dies", () => {
  const noted = (notes: Array<string>, claude: Claude.Claude["Service"]): Claude.Claude["Service"] => ({
    ...claude,
    open: Effect.fnUntraced(function*(request) {
      yield* Effect.addFinalizer((exit) => Effect.sync(() => void notes.push(exit._tag)))
      const opened = yield* claude.open(request)
      let pulls = 0
      return { ...opened, pull: Effect.suspend(() => ++pulls < 3 ? opened.pull : Effect.die("no memory")) }
    })
  })

  it.effect("ends its call and its scope as failed if it dies while it is read", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const claude = noted(notes, yield* Claude.Claude)
      const exit = yield* Claude.events("hi").pipe(
        Policy.applyStream({ retry: Retry.standard, maxRetries: 8 }),
        Stream.runDrain,
        Effect.provideService(Claude.Claude, claude),
        Effect.exit
      )
      assert.isTrue(Exit.hasDies(exit))
      assert.deepStrictEqual(notes, ["Failure"])
      assert.lengthOf(yield* named("CallSucceeded"), 0)
    }).pipe(Effect.provide(world([Faults.answer("one two three four")]))))

  it.effect("ends its call as failed if it dies while it is reopened", () =>
    Effect.gen(function*() {
      const retry = Schedule.forever.pipe(Schedule.while((): Effect.Effect<boolean> => Effect.die("no memory")))
      const exit = yield* Claude.events("hi").pipe(
        Policy.applyStream({ retry, onBreak: "restart" }),
        Stream.runDrain,
        Effect.exit
      )
      assert.isTrue(Exit.hasDies(exit))
      assert.lengthOf(yield* named("CallSucceeded"), 0)
    }).pipe(Effect.provide(world([Faults.breaks("half")]))))
})

describe("a policy inside another policy", () => {
  const inner = { onBreak: "restart", retry: once("PartialAnswer") } as const

  it.effect("logs that both calls gave up when a stream that outlives both policies cannot be reopened", () =>
    Effect.gen(function*() {
      const opened = Policy.apply({ retry: Retry.standard, maxRetries: 8 })(Policy.apply(inner)(Claude.open("hi")))
      const { result } = yield* ran(
        Effect.scoped(Effect.flatMap(opened, ({ events }) => Stream.runDrain(events)))
      )
      assert.strictEqual(result._tag === "Failure" && result.failure._tag, "PartialAnswer")
      const told = yield* named("GaveUp")
      assert.lengthOf(told, 2)
      assert.strictEqual(new Set(told.map(({ call }) => call)).size, 2)
      assert.lengthOf(yield* named("CallSucceeded"), 0)
    }).pipe(Effect.provide(world([Faults.breaks("half"), Faults.notFound]))))

  it.effect("asks again after a malformed answer if the outer policy has the option reask, even if the inner policy does not", () =>
    Effect.gen(function*() {
      const { result } = yield* ran(
        Claude.object(Schema.Struct({ x: Schema.Int }), "where?").pipe(
          Policy.apply({ overall: "10 seconds" }),
          Policy.apply({ reask: 2 })
        )
      )
      assert.deepStrictEqual(result._tag === "Success" && result.success, { x: 1 })
      const [, second] = yield* FakeClaude.received
      assert.deepStrictEqual(second?.params.messages.map(({ role }) => role), ["user", "assistant", "user"])
    }).pipe(Effect.provide(world([Faults.value({ x: "?" }), Faults.value({ x: 1 })]))))

  const twice = Effect.andThen(Policy.apply({})(Claude.text("one")), Policy.apply({})(Claude.text("two")))

  it.effect("adds its tokens to the tokens of the outer policy", () =>
    Effect.gen(function*() {
      yield* ran(Policy.apply({})(Policy.apply({})(twice)))
      yield* ran(
        Policy.apply({})(
          Effect.andThen(Policy.apply({})(Claude.text("one")), Effect.fail(new ClaudeError.Saturated({})))
        )
      )
      const spent = (yield* events).flatMap((event) =>
        event._tag === "CallSucceeded" || event._tag === "GaveUp" ? [[event._tag, event.spent.output]] : []
      )
      const [first] = spent
      const output = Number(first?.[1])
      assert.isAbove(output, 0)
      const ended = (n: number) => ["CallSucceeded", n * output]
      assert.deepStrictEqual(spent, [ended(1), ended(1), ended(2), ended(2), ended(1), ["GaveUp", output]])
    }).pipe(Effect.provide(world(Faults.cycle(Faults.answer("hello"))))))

  it.effect("adds its tokens to each Policy.outcome around it", () =>
    Effect.gen(function*() {
      const { result } = yield* ran(Policy.outcome(Effect.andThen(Policy.outcome(twice), Claude.text("three"))))
      const { result: alone } = yield* ran(Policy.outcome(Claude.text("one")))
      const tokens = (outcome: typeof alone | typeof result) =>
        outcome._tag === "Success" ? outcome.success.tokens.output : 0
      assert.isAbove(tokens(alone), 0)
      assert.strictEqual(tokens(result), 3 * tokens(alone))
    }).pipe(Effect.provide(world(Faults.cycle(Faults.answer("hello"))))))
})

class Unsaved extends Data.TaggedError("Unsaved")<{}> {}

/** A Claude whose budget records each charge in order, and how the charge was settled. */
const counting = Effect.map(Claude.Claude, (claude) => {
  const charges: Array<{ readonly because: string; readonly settled: Array<string> }> = []
  const budget: Claude.Budget = {
    charge: ({ _tag: because }) =>
      Effect.sync(() => {
        const charge: typeof charges[number] = { because, settled: [] }
        charges.push(charge)
        return {
          settle: (exit) =>
            Effect.sync(() => {
              const failure = Option.getOrUndefined(Exit.findErrorOption(exit))
              const isOurs = ClaudeError.is(failure) || failure instanceof Unsaved
              charge.settled.push(isOurs ? failure._tag : exit._tag)
            })
        }
      })
  }
  return { charges, claude: { ...claude, runtime: Runtime.replace(claude, { budget }) } }
})

it.effect("an attempt after an application error is charged to the budget if an earlier request of the same call failed", () =>
  Effect.gen(function*() {
    const { charges, claude } = yield* counting
    let opened = 0
    let unsaved = 0
    const closed = new ClaudeError.CircuitOpen({ retryAfter: Duration.seconds(1) })
    const line = Retry.linear({ times: 3, base: "1 second" })
    const { result } = yield* ran(
      Claude.text("hi").pipe(
        Effect.flatMap((text) => unsaved++ < 2 ? Effect.fail(new Unsaved()) : Effect.succeed(text)),
        Policy.apply({ retry: Retry.byTag({ Overloaded: line, CircuitOpen: line, Unsaved: line }, Unsaved) }),
        Effect.provideService(Claude.Claude, {
          ...claude,
          open: (request) => ++opened === 2 ? Effect.fail(closed) : claude.open(request)
        })
      )
    )
    assert.strictEqual(result._tag, "Success")
    assert.deepStrictEqual(charges, [
      { because: "Overloaded", settled: ["CircuitOpen"] },
      { because: "Overloaded", settled: ["Unsaved"] },
      { because: "Overloaded", settled: ["Success"] }
    ])
  }).pipe(Effect.provide(world([Faults.overloaded, ...Array.from({ length: 3 }, () => Faults.answer("hello"))]))))

describe("parallel requests under one policy", () => {
  /** The number of a question, and whether the request asks for the rest of its answer. */
  const questionOf = (params: Faults.Question["params"]) => {
    const messages = params["messages"] as ReadonlyArray<{ readonly content: unknown }>
    return { n: Number(messages[0]?.content), isRest: messages.length > 1 }
  }
  const questions = ["0", "1", "2", "3", "4"]

  /** Answer `n` is cut off after `n + 1` seconds. If `n` is even, the request for its rest first fails `times` times. */
  const cut = (times: number): Faults.Script => {
    const failed = new Map<number, number>()
    return Faults.by(({ params }) => {
      const { isRest, n } = questionOf(params)
      if (!isRest) return Faults.delayed(Faults.maxTokens(`hello ${n}`), `${n + 1} seconds`)
      const already = failed.get(n) ?? 0
      if (n % 2 === 1 || already === times) {
        return Faults.delayed(Faults.answer(`hello ${n} and more`), `${n + 1} seconds`)
      }
      failed.set(n, already + 1)
      return Faults.delayed(Faults.overloaded, `${n + 1} seconds`)
    })
  }

  /** How the attempts after the first one ended, sorted by number. The budget pays for them in this order. */
  const paid = Effect.map(events, (all) => {
    const ended = all.flatMap((event): ReadonlyArray<readonly [attempt: number, how: string]> => {
      switch (event._tag) {
        case "AttemptFailed":
          return [[event.attempt, event.error._tag]]
        case "AttemptSucceeded":
          return [[event.attempt, "Success"]]
        default:
          return []
      }
    })
    return ended.filter(([attempt]) => attempt > 1).toSorted(([one], [other]) => one - other).map(([, how]) => [how])
  })

  it.effect("settle only their own charges, each exactly once", () =>
    Effect.gen(function*() {
      const { charges, claude } = yield* counting
      const { result } = yield* ran(
        Effect.forEach(questions, (question) => Claude.text(question), { concurrency: 5 }).pipe(
          Policy.apply({ retry: Retry.standard, maxRetries: 8, truncated: { continue: 1 } }),
          Effect.provideService(Claude.Claude, claude)
        )
      )
      assert.deepStrictEqual(
        result._tag === "Success" && result.success,
        questions.map((n) => `hello ${n} and more`)
      )
      assert.lengthOf(charges, 8)
      assert.deepStrictEqual(charges.map(({ settled }) => settled), yield* paid)
    }).pipe(Effect.provide(world(cut(1)))))

  it.effect("log their own attempt numbers, even if they wait before they are sent", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      yield* ran(
        Effect.forEach(questions, (question) => Claude.text(question), { concurrency: 5 }).pipe(
          Policy.apply({ truncated: { continue: 1 } }),
          Effect.provideService(Claude.Claude, {
            ...claude,
            open: (request) => Effect.andThen(Effect.sleep("30 seconds"), claude.open(request))
          })
        )
      )
      const started = (yield* events).flatMap((event) => event._tag === "AttemptStarted" ? [event.attempt] : [])
      assert.deepStrictEqual(started, [1, 1, 1, 1, 1, 2, 3, 4, 5, 6])
    }).pipe(Effect.provide(world(cut(0)))))

  it.effect("each fail with their own error if the budget refuses the next attempt", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const budget: Claude.Budget = { charge: () => Effect.as(Effect.sleep("30 seconds"), undefined) }
      const { result } = yield* ran(
        Effect.forEach(questions, (question) => Effect.flip(Claude.text(question)), { concurrency: 5 }).pipe(
          Policy.apply({ truncated: { continue: 1 } }),
          Effect.provideService(Claude.Claude, { ...claude, runtime: Runtime.replace(claude, { budget }) })
        )
      )
      const failures = result._tag === "Success" ? result.success : []
      assert.deepStrictEqual(
        failures.map(({ requestId }) => requestId),
        questions.map((n) => `req_fake_000${Number(n) + 1}`)
      )
    }).pipe(Effect.provide(world(cut(0)))))

  it.effect("add each failure to the history once, with the number of its attempt", () =>
    Effect.gen(function*() {
      const { charges, claude } = yield* counting
      const { result } = yield* ran(
        Effect.forEach(questions, (question) => Effect.result(Claude.text(question)), { concurrency: 5 }).pipe(
          // Waits for all requests, then fails with the first failure instead of the last one.
          Effect.flatMap((all) => Effect.forEach(all, Effect.fromResult)),
          Policy.apply({ retry: once("Overloaded"), truncated: { continue: 1 } }),
          Effect.provideService(Claude.Claude, claude)
        )
      )
      const history = result._tag === "Failure" ? result.failure.history ?? [] : []
      const failed = (yield* events).flatMap((event) =>
        event._tag === "AttemptFailed" ? [`${event.attempt} ${event.error._tag}`] : []
      )
      assert.isAbove(failed.length, 5)
      assert.deepStrictEqual(history.map(({ attempt, error }) => `${attempt} ${error}`), failed)
      assert.deepStrictEqual(charges.map(({ settled }) => settled), yield* paid)
    }).pipe(Effect.provide(world(cut(9)))))
})

it.effect("a model that is both named by the call and listed as a fallback is asked only once, even if it does not answer in time", () =>
  Effect.gen(function*() {
    const { result, took } = yield* ran(
      Claude.text("hi", { model: b }).pipe(Policy.apply({
        overall: "60 seconds",
        connect: "60 seconds",
        firstToken: "60 seconds",
        models: [b]
      }))
    )
    assert.deepStrictEqual(yield* models, [b])
    assert.deepStrictEqual([result._tag === "Failure" && result.failure._tag, took], ["DeadlineExceeded", 50_000])
  }).pipe(Effect.provide(world(Faults.cycle(Faults.silence)))))

it.effect("a call dies if its finalizer dies while the overall time limit interrupts the call", () =>
  Effect.gen(function*() {
    const call = yield* Effect.never.pipe(
      Effect.onInterrupt(() => Effect.die("no disk")),
      Policy.apply({ overall: "1 second" }),
      Effect.exit,
      Effect.forkChild
    )
    yield* TestClock.adjust("1 second")
    assert.isTrue(Exit.hasDies(yield* Fiber.join(call)))
  }))

describe("an answer that breaks while it is read inside its policy", () => {
  for (
    const [what, after, models, asked] of [
      ["a permanent failure", Faults.unauthorized, [], 2],
      ["a permanent failure, with fallback models", Faults.unauthorized, [b], 2],
      ["a retry-after beyond the deadline", Faults.rateLimited("100 seconds"), [], 2]
    ] as const
  ) {
    it.effect(`is not reopened a second time if the first reopening fails with ${what}`, () =>
      Effect.gen(function*() {
        const { result } = yield* ran(
          Policy.apply({ ...Policy.standard, models, onBreak: "restart", overall: "60 seconds" })(read)
        )
        assert.strictEqual(result._tag === "Failure" ? result.failure._tag : "answered", "PartialAnswer")
        assert.lengthOf(yield* FakeClaude.received, asked)
      }).pipe(Effect.provide(world(Faults.untilLast(Faults.breaks("half"), after)))))
  }

  it.effect("fails as a PartialAnswer for which ClaudeError.kindOf returns the tag of the error that stopped the reopening", () =>
    Effect.gen(function*() {
      const { result } = yield* ran(
        Policy.apply({ ...Policy.standard, onBreak: "restart", overall: "60 seconds" })(read)
      )
      assert.isTrue(result._tag === "Failure")
      if (result._tag !== "Failure") return
      const error = result.failure
      assert.strictEqual(error._tag, "PartialAnswer")
      assert.strictEqual(ClaudeError.kindOf(error), "RateLimited")
      assert.strictEqual(error.gaveUp, "DeadlineTooClose")
      assert.deepStrictEqual(error.history?.map(({ error }) => error), ["PartialAnswer", "RateLimited"])
    }).pipe(Effect.provide(world(Faults.untilLast(Faults.breaks("half"), Faults.rateLimited("100 seconds"))))))
})
