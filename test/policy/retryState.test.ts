/** How often a call retries: `maxRetries`, `reask`, and the reason when it gives up. */
import { assert, describe, it } from "@effect/vitest"
import { Data, Duration, Effect, Fiber, Layer, Ref, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, Policy, Retry } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const models = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params.model))
const roles = Effect.map(
  FakeClaude.received,
  (all) => all.map(({ params }) => params.messages.map(({ role }) => role).join(" "))
)
const logged = (script: Faults.Playable) => Layer.provideMerge(FakeClaude.layer(script), CallLog.layerMemory)
const line = (times: number) => Retry.linear({ times, base: "1 second" })

/** Runs an effect for at most a day of test time, and then succeeds or fails like it. */
const ended = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.exit(self))
    yield* TestClock.adjust("1 day")
    return yield* yield* Fiber.join(fiber)
  })

const failed = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.flip(ended(self))

const { CircuitOpen, InvalidRequest, MalformedOutput, Overloaded, RateLimited, Saturated, ServerFault, TimedOut } =
  ClaudeError
const retryAfter = Duration.seconds(1)

class Busy extends Data.TaggedError("Busy")<{}> {}

/** Fails with each error in turn, and then repeats the last one. */
const failing = (errors: ReadonlyArray<ClaudeError.ClaudeError | Busy>) => {
  let runs = 0
  return {
    runs: () => runs,
    ask: Effect.suspend(() => Effect.fail(errors[Math.min(runs++, errors.length - 1)] ?? new Busy()))
  }
}

describe("maxRetries", () => {
  const retry = {
    Overloaded: line(9),
    RateLimited: line(9),
    TimedOut: line(9),
    CircuitOpen: line(9),
    Saturated: line(9)
  }
  const [overloaded, limited, silent] = [new Overloaded({}), new RateLimited({}), new TimedOut({ scope: "idle" })]
  const [open, full] = [new CircuitOpen({ retryAfter }), new Saturated({ retryAfter })]

  it.effect.each<readonly [string, ReadonlyArray<ClaudeError.ClaudeError>, number, ClaudeError.GaveUp]>([
    ["counts retries of one kind", [overloaded], 3, "RetriesSpent"],
    ["counts retries of several kinds together", [overloaded, limited, silent], 3, "RetriesSpent"],
    [
      "counts only retries after a request was sent",
      [open, full, overloaded, open, open, limited, silent],
      7,
      "RetriesSpent"
    ],
    [
      "does not change the reason NotRetried after a kind that is not retried",
      [overloaded, limited, new InvalidRequest({})],
      3,
      "NotRetried"
    ],
    [
      "does not change the reason NotRetried after a permanent failure",
      [overloaded, limited, new TimedOut({ scope: "idle", shouldRetry: false })],
      3,
      "NotRetried"
    ]
  ])("%s", ([, errors, expected, reason]) =>
    Effect.gen(function*() {
      const { ask, runs } = failing(errors)
      const error = yield* failed(Policy.apply({ retry, maxRetries: 2 })(ask))
      assert.strictEqual(runs(), expected)
      assert.strictEqual(ClaudeError.is(error) && error.gaveUp, reason)
    }))

  it.effect("counts retries of application errors", () =>
    Effect.gen(function*() {
      const { ask, runs } = failing([overloaded, new Busy(), overloaded, new Busy()])
      const joining = Retry.byTag({ ...retry, Busy: line(9) }, Busy)
      assert.strictEqual((yield* failed(Policy.apply({ retry: joining, maxRetries: 3 })(ask)))._tag, "Busy")
      assert.strictEqual(runs(), 4)
    }))

  it.effect("counts retries of a custom schedule", () =>
    Effect.gen(function*() {
      const { ask, runs } = failing([overloaded, limited, silent])
      const error = yield* failed(Policy.apply({ retry: Schedule.spaced("1 second"), maxRetries: 2 })(ask))
      assert.deepStrictEqual([runs(), ClaudeError.is(error) && error.gaveUp], [3, "RetriesSpent"])
    }))

  it.effect("of 0 allows one request, and still waits for an open circuit", () =>
    Effect.gen(function*() {
      const { ask, runs } = failing([open, open, overloaded])
      yield* failed(Policy.apply({ retry, maxRetries: 0 })(ask))
      assert.strictEqual(runs(), 3)
    }))

  it.effect.each<readonly [number | undefined, number, number]>([
    [8, 4, 9],
    [2, 3, 3],
    [undefined, 10, 10]
  ])(
    "of %s allows %s attempts on the first model and %s on the last model",
    ([maxRetries, first, last]) =>
      Effect.gen(function*() {
        yield* failed(Policy.apply({ retry, maxRetries, models: ["claude-haiku-5-5"] })(Claude.text("hi")))
        const asked = yield* models
        assert.lengthOf(asked.filter((model) => model === "claude-sonnet-5-5"), first)
        assert.lengthOf(asked.filter((model) => model === "claude-haiku-5-5"), last)
      }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.overloaded))))
  )
})

describe("reask", () => {
  const Point = Schema.Struct({ x: Schema.Int })
  const where = Claude.object(Point, "where?")
  const wrong = Faults.value({ x: "?" })
  const right = Faults.value({ x: 1 })

  it.effect("asks again at once with all malformed answers so far, even if the policy has no retry", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Policy.apply({ reask: 2 })(where), { x: 1 })
      assert.deepStrictEqual(yield* roles, ["user", "user assistant user", "user assistant user assistant user"])
      const log = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      const waits = log.flatMap((event) => event._tag === "RetryScheduled" ? [Duration.toMillis(event.wait)] : [])
      assert.deepStrictEqual(waits, [0, 0])
    }).pipe(Effect.provide(logged([wrong, wrong, right]))))

  it.effect("sends the correction again if the first request with the correction is rate-limited", () =>
    Effect.gen(function*() {
      const policy = Policy.apply({ reask: 1, retry: { RateLimited: line(1) } })
      assert.deepStrictEqual(yield* ended(policy(where)), { x: 1 })
      assert.deepStrictEqual(yield* roles, ["user", "user assistant user", "user assistant user"])
    }).pipe(Effect.provide(FakeClaude.layer([wrong, Faults.rateLimited(), right]))))

  it.effect("is not counted by maxRetries", () =>
    Effect.gen(function*() {
      const policy = Policy.apply({ reask: 2, retry: { Overloaded: line(9) }, maxRetries: 1 })
      assert.deepStrictEqual(yield* ended(policy(where)), { x: 1 })
    }).pipe(Effect.provide(FakeClaude.layer([wrong, wrong, Faults.overloaded, right]))))

  it.effect("is followed, when it is used up, by the retries of MalformedOutput with their waits", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Policy.apply({ reask: 1, retry: { MalformedOutput: line(1) } })(where))
      yield* TestClock.adjust("999 millis")
      assert.lengthOf(yield* roles, 2)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(fiber), { x: 1 })
    }).pipe(Effect.provide(FakeClaude.layer([wrong, wrong, right]))))

  it.effect("gives up with the reason RetriesSpent when it is used up", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Policy.apply({ reask: 1 })(where))
      assert.deepStrictEqual([error._tag, error.gaveUp, error.history?.length], ["MalformedOutput", "RetriesSpent", 2])
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(wrong)))))

  it.effect.each<readonly [string, ClaudeError.ClaudeError, number]>([
    [
      "asks again after a malformed answer with the stop reason end_turn",
      new MalformedOutput({ stopReason: "end_turn" }),
      3
    ],
    [
      "does not ask again after a malformed answer with the stop reason tool_use",
      new MalformedOutput({ stopReason: "tool_use" }),
      1
    ],
    ["does not ask again after a malformed answer without a stop reason", new MalformedOutput({}), 1],
    [
      "does not ask again after a malformed answer with `x-should-retry: false`",
      new MalformedOutput({ stopReason: "end_turn", shouldRetry: false }),
      1
    ]
  ])("%s", ([, error, expected]) =>
    Effect.gen(function*() {
      const { ask, runs } = failing([error])
      yield* failed(Policy.apply({ reask: 2 })(ask))
      assert.strictEqual(runs(), expected)
    }))

  it.effect("sends no corrections to the next model", () =>
    Effect.gen(function*() {
      const policy = Policy.apply({ reask: 1, models: ["claude-haiku-5-5"] })
      assert.deepStrictEqual(yield* policy(where), { x: 1 })
      assert.deepStrictEqual(yield* roles, ["user", "user assistant user", "user", "user assistant user"])
    }).pipe(Effect.provide(FakeClaude.layer([wrong, wrong, wrong, right]))))
})

describe("gaveUp", () => {
  const retry = { Overloaded: line(9), CircuitOpen: line(9), ServerFault: line(9) }
  const overloaded = new Overloaded({})
  const open = new CircuitOpen({ retryAfter })

  it.effect.each<readonly [string, ReadonlyArray<ClaudeError.ClaudeError>]>([
    ["a 529 with x-should-retry: false", [overloaded, new Overloaded({ shouldRetry: false })]],
    ["a circuit that was isolated by hand after one wait", [open, new CircuitOpen({})]],
    ["a 501 after a 500", [new ServerFault({ status: 500 }), new ServerFault({ status: 501 })]]
  ])(
    "G11: is NotRetried for %s, although an earlier error of the same kind was retried",
    ([, errors]) =>
      Effect.gen(function*() {
        const { ask, runs } = failing(errors)
        const error = yield* failed(Policy.apply({ retry })(ask))
        assert.deepStrictEqual([runs(), ClaudeError.is(error) && error.gaveUp], [2, "NotRetried"])
      })
  )

  it.effect.each<readonly [string, Schedule.Schedule<unknown, ClaudeError.ClaudeError>]>([
    ["Retry.backoff", Retry.backoff({ times: 3 })],
    ["Retry.linear", line(3)],
    ["Schedule.recurs", Schedule.recurs(3)],
    ["a limited Schedule.exponential", Schedule.upTo(Schedule.exponential("1 second"), { times: 3 })],
    ["a tapped Retry.backoff", Schedule.tap(Retry.backoff({ times: 3 }), () => Effect.void)]
  ])("G11: is RetriesSpent if several kinds have used up the retries of %s", ([, retry]) =>
    Effect.gen(function*() {
      for (const last of [new ServerFault({ status: 500 }), new RateLimited({}), new TimedOut({ scope: "idle" })]) {
        const { ask, runs } = failing([overloaded, overloaded, overloaded, last])
        const error = yield* failed(Policy.apply({ retry })(ask))
        assert.deepStrictEqual([runs(), ClaudeError.is(error) && error.gaveUp], [4, "RetriesSpent"])
      }
    }))

  it.effect.each<readonly [string, Schedule.Schedule<unknown, ClaudeError.ClaudeError>, ClaudeError.ClaudeError]>([
    ["a permanent failure", Retry.backoff({ times: 9 }), new InvalidRequest({})],
    ["a failure with x-should-retry: false", Schedule.recurs(9), new ServerFault({ shouldRetry: false })],
    [
      "a kind that a custom schedule leaves out",
      Schedule.recurs(9).pipe(
        Schedule.setInputType<ClaudeError.ClaudeError>(),
        Schedule.while(({ input }) => Effect.succeed(input._tag === "Overloaded"))
      ),
      new ServerFault({ status: 500 })
    ],
    [
      "a kind without an entry in a tapped record",
      Schedule.tap(Retry.byTag({ Overloaded: line(9) }), () => Effect.void),
      new ServerFault({ status: 500 })
    ]
  ])("G11: is NotRetried for %s, although another kind was retried", ([, retry, last]) =>
    Effect.gen(function*() {
      const { ask } = failing([overloaded, last])
      const error = yield* failed(Policy.apply({ retry })(ask))
      assert.strictEqual(ClaudeError.is(error) && error.gaveUp, "NotRetried")
    }))

  it.effect("G11: is RetriesSpent for a permanent failure that a custom schedule has retried", () =>
    Effect.gen(function*() {
      const { ask, runs } = failing([new InvalidRequest({})])
      const error = yield* failed(Policy.apply({ retry: Schedule.recurs(1) })(ask))
      assert.deepStrictEqual([runs(), ClaudeError.is(error) && error.gaveUp], [2, "RetriesSpent"])
    }))
})
