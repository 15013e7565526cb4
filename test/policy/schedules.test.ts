/** Combined schedules, copied errors and nested policies. */
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Fiber, Layer, Ref, Result, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, Policy, Retry } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

type AnySchedule = Schedule.Schedule<unknown, unknown>

class Busy extends Data.TaggedError("Busy")<{}> {}
class Other extends Data.TaggedError("Other")<{}> {}

/** How many attempts a call makes that always fails with this error. */
const runs = (retry: AnySchedule, failure: unknown, maxRetries?: number) =>
  Effect.gen(function*() {
    let runs = 0
    const failing = Effect.suspend(() => {
      runs++
      return Effect.fail(failure)
    })
    const call = yield* Effect.forkChild(Effect.exit(Policy.apply({ retry, maxRetries })(failing)))
    yield* TestClock.adjust("1 day")
    assert.strictEqual((yield* Fiber.join(call))._tag, "Failure")
    return runs
  })

/** The roles of the messages in each request. */
const roles = Effect.map(
  FakeClaude.received,
  (all) => all.map(({ params }) => params.messages.map(({ role }) => role).join(" "))
)

const { MalformedOutput, Overloaded, ServerFault, TimedOut } = ClaudeError

const failures = {
  overloaded: new Overloaded({}),
  timedOut: new TimedOut({ scope: "idle" }),
  notImplemented: new ServerFault({ status: 501 }),
  forbidden: new Overloaded({ shouldRetry: false }),
  malformed: new MalformedOutput({ stopReason: "end_turn" }),
  malformedTool: new MalformedOutput({ stopReason: "tool_use" }),
  busy: new Busy(),
  other: new Other(),
  text: "text",
  nothing: undefined
}

type Runs = { readonly [K in keyof typeof failures]: number }

const once: Runs = {
  overloaded: 1,
  timedOut: 1,
  notImplemented: 1,
  forbidden: 1,
  malformed: 1,
  malformedTool: 1,
  busy: 1,
  other: 1,
  text: 1,
  nothing: 1
}

const line = (times: number) => Retry.linear({ times, base: "1 second" })
const joining = Retry.byTag({ Overloaded: line(2), Busy: line(3) }, Busy)

const schedules: ReadonlyArray<readonly [name: string, schedule: AnySchedule, expected: Runs]> = [
  ["Schedule.recurs", Schedule.recurs(2), {
    ...once,
    overloaded: 3,
    timedOut: 3,
    notImplemented: 3,
    malformed: 3,
    malformedTool: 3
  }],
  ["Retry.backoff", Retry.backoff({ times: 2 }), {
    ...once,
    overloaded: 3,
    timedOut: 3,
    malformed: 3,
    malformedTool: 3
  }],
  ["Retry.byTag", Retry.byTag({ Overloaded: line(2), TimedOut: Schedule.recurs(1) }), {
    ...once,
    overloaded: 3,
    timedOut: 2
  }],
  ["Retry.byTag with a class of the application", joining, { ...once, overloaded: 3, busy: 4 }],
  ["Retry.standard", Retry.byTag(Retry.standard), { ...once, overloaded: 9, timedOut: 4 }]
]

/** Combinators that do not change which failures a schedule retries, or how often. */
const combinators: ReadonlyArray<readonly [name: string, combine: (schedule: AnySchedule) => AnySchedule]> = [
  ["identity", (schedule) => schedule],
  ["tap", Schedule.tap(() => Effect.void)],
  ["tap twice", (schedule) => schedule.pipe(Schedule.tap(() => Effect.void), Schedule.tap(() => Effect.void))],
  ["concat with Retry.never", Schedule.concat(Retry.never)],
  ["concat after Retry.never", (schedule) => Schedule.concat(Retry.never, schedule)],
  ["concatResult", Schedule.concatResult(Retry.never)],
  ["max", (schedule) => Schedule.max([Schedule.forever, schedule])],
  ["min", (schedule) => Schedule.min([schedule, Retry.never])],
  ["upTo times", Schedule.upTo({ times: 100 })],
  ["upTo a duration", Schedule.upTo({ duration: "1 day" })],
  ["jittered", Schedule.jittered],
  ["addDelay", Schedule.addDelay(() => Effect.succeed("1 second"))],
  ["modifyDelay", Schedule.modifyDelay(() => Effect.succeed("1 second"))],
  ["map", Schedule.map(() => Effect.succeed("mapped"))],
  ["passthrough", Schedule.passthrough],
  ["while", Schedule.while(() => Effect.succeed(true))],
  ["setInputType", Schedule.setInputType<unknown>()]
]

describe("a combinator of schedules", () => {
  for (const [name, schedule, expected] of schedules) {
    it.effect.each(combinators)(
      `does not change the retries of ${name}: %s`,
      ([, combine]) =>
        Effect.gen(function*() {
          const found = yield* Effect.forEach(
            Object.entries(failures),
            ([name, failure]) => Effect.map(runs(combine(schedule), failure), (runs) => [name, runs] as const)
          )
          assert.deepStrictEqual(Object.fromEntries(found), { ...expected })
        })
    )
  }
})

describe("maxRetries limits the retries of each kind of error", () => {
  it.effect.each(combinators)(
    "even if the schedule is made with the combinator %s",
    ([, combine]) =>
      Effect.gen(function*() {
        const found = yield* Effect.forEach(
          Object.entries(failures),
          ([name, failure]) => Effect.map(runs(combine(joining), failure, 1), (runs) => [name, runs] as const)
        )
        assert.deepStrictEqual(Object.fromEntries(found), { ...once, overloaded: 2, busy: 2 })
      })
  )
})

describe("an application error", () => {
  it.effect.each<readonly [string, AnySchedule, number]>([
    ["concat", Schedule.concat(joining, line(5)), 4],
    ["min", Schedule.min([joining, line(9)]), 4],
    ["max", Schedule.max([joining, line(1)]), 2],
    ["concat of two that were given its class", Schedule.concat(joining, joining), 7],
    ["an entry of another table", Retry.byTag({ Busy: joining }, Busy), 4],
    ["an entry of a table without its class", Retry.byTag({ Overloaded: joining }), 1]
  ])("is retried only by a schedule that was given its class: %s", ([, schedule, expected]) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* runs(schedule, failures.busy), expected)
      assert.strictEqual(yield* runs(schedule, failures.other), 1)
    }))

  it.effect("is the failure of the call if the schedule throws for it", () =>
    Effect.gen(function*() {
      const typed = Schedule.forever.pipe(
        Schedule.setInputType<ClaudeError.ClaudeError>(),
        Schedule.while(({ input }) => Effect.succeed(input.message.length > 0))
      )
      const failure = yield* Effect.flip(Policy.apply({ retry: typed })(Effect.fail(undefined)))
      assert.isUndefined(failure)
    }))

  it.effect("is retried by Effect.retry if Retry.byTag is given its class", () =>
    Effect.gen(function*() {
      let runs = 0
      const failing = Effect.suspend(() => {
        runs++
        return Effect.fail(new Busy())
      })
      const call = yield* Effect.forkChild(Effect.flip(Effect.retry(failing, joining)))
      yield* TestClock.adjust("1 day")
      assert.instanceOf(yield* Fiber.join(call), Busy)
      assert.strictEqual(runs, 4)
    }))

  it.effect("does not share its count of retries with a Claude error", () =>
    Effect.gen(function*() {
      const failed = yield* Ref.make(0)
      const failing = Effect.flatMap(
        Ref.getAndUpdate(failed, (n) => n + 1),
        (n) => Effect.fail(n % 2 === 0 ? failures.busy : failures.overloaded)
      )
      const call = yield* Effect.forkChild(Effect.flip(
        Policy.apply({ retry: Schedule.tap(joining, () => Effect.void) })(failing)
      ))
      yield* TestClock.adjust("1 day")
      assert.strictEqual((yield* Fiber.join(call))._tag, "Overloaded")
      assert.strictEqual(yield* Ref.get(failed), 6)
    }))
})

/** A copy of an error, as an application may make it. */
const copied = <E extends ClaudeError.ClaudeError>(error: E): E =>
  new (error.constructor as new(fields: object) => E)({ ...error, detail: "seen by the application" })

const headers = {
  "anthropic-ratelimit-requests-limit": "60",
  "anthropic-ratelimit-requests-remaining": "7",
  "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:00Z"
}
const requests = { limit: 60, remaining: 7, reset: "2026-01-01T00:00:00Z" }
const overloaded = Faults.fails(529, "overloaded_error", "Overloaded", { headers })

const broken: Faults.Turn = {
  ...Faults.breaks("Hello"),
  head: { status: 200, api: true, headers: { "content-type": "text/event-stream", ...headers } }
}

/** The failure of a call within a day of test time. */
const failureOf = <E, R>(call: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.flip(call))
    yield* TestClock.adjust("1 day")
    return yield* Fiber.join(fiber)
  })

/** A policy around this call sees only copies of its errors. */
const ask = Claude.text("hi").pipe(Effect.mapError(copied))
const asked = Effect.map(FakeClaude.received, (all) => all.length)

describe("a copied error", () => {
  it.effect.each<readonly [string, ClaudeError.ClaudeError]>([
    ["x-should-retry: false", new Overloaded({ shouldRetry: false })],
    ["a 501", new ServerFault({ status: 501 })],
    ["an expired certificate", new ClaudeError.Unreachable({ code: "CERT_HAS_EXPIRED" })],
    ["a permanent break", new ClaudeError.PartialAnswer({ because: "InvalidRequest", permanent: true })],
    ["events that contradict each other", new ClaudeError.UnexpectedResponse({ contradiction: true })]
  ])("is not retried if the original error is permanent: %s", ([, error]) =>
    Effect.gen(function*() {
      for (
        const retry of [
          Retry.byTag(Retry.standard),
          Retry.backoff({ times: 3 }),
          Schedule.tap(Retry.byTag(Retry.standard), () => Effect.void)
        ]
      ) {
        assert.strictEqual(yield* runs(retry, copied(error)), 1)
      }
    }))

  it.effect("keeps its rate limits", () =>
    Effect.gen(function*() {
      const error = yield* failureOf(Policy.apply({ retry: Retry.byTag({ Overloaded: line(1) }) })(ask))
      assert.strictEqual(error.detail, "seen by the application")
      assert.deepStrictEqual(error.limits?.requests, requests)
      assert.strictEqual(yield* asked, 2)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.untilLast(overloaded)))))

  it.effect("keeps the date when the spend limit ends, if that limit broke off the answer", () =>
    Effect.gen(function*() {
      const error = yield* failureOf(ask)
      assert.strictEqual(error._tag, "PartialAnswer")
      assert.strictEqual(ClaudeError.regainsAt(error), "2027-01-01T00:00:00Z")
    }).pipe(Effect.provide(FakeClaude.layer([
      Faults.errorAfter(
        "Hello",
        "billing_error",
        "You have reached your specified API usage limits. You will regain access on 2027-01-01 at 00:00 UTC."
      )
    ]))))

  it.effect("keeps the history of its call", () =>
    Effect.gen(function*() {
      const policy = Policy.apply({ retry: Retry.byTag({ Overloaded: line(2) }) })
      const { gaveUp, history = [] } = yield* failureOf(policy(ask).pipe(Effect.mapError(copied)))
      assert.strictEqual(gaveUp, "RetriesSpent")
      assert.deepStrictEqual(history.map(({ attempt, waited }) => [attempt, waited]), [
        [1, 1000],
        [2, 2000],
        [3, undefined]
      ])
    }).pipe(Effect.provide(FakeClaude.layer(Faults.untilLast(overloaded)))))

  it.effect("G8: keeps the wait that the server asked for", () =>
    Effect.gen(function*() {
      const retry = Schedule.jittered(Retry.byTag({ RateLimited: line(1) }))
      const call = yield* Effect.forkChild(Policy.apply({ retry })(ask))
      yield* TestClock.adjust("19 seconds")
      assert.strictEqual(yield* asked, 1)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(call), "hello")
    }).pipe(Effect.provide(FakeClaude.layer([Faults.rateLimited("20 seconds"), Faults.answer("hello")]))))

  it.effect("is corrected by `reask` like the original error, and a later call in the same policy is sent without the correction", () =>
    Effect.gen(function*() {
      const point = Claude.object(Schema.Struct({ x: Schema.Int }), "where?").pipe(Effect.mapError(copied))
      const answer = yield* point.pipe(
        Effect.andThen(Claude.text("thank you")),
        Policy.apply({ retry: Schedule.tap(line(1), () => Effect.void), reask: 1 })
      )
      assert.strictEqual(answer, "You are welcome.")
      assert.deepStrictEqual(yield* roles, ["user", "user assistant user", "user"])
    }).pipe(Effect.provide(FakeClaude.layer([
      Faults.value({ x: "?" }),
      Faults.value({ x: 1 }),
      Faults.answer("You are welcome.")
    ]))))
})

describe("the rate limits of an error", () => {
  it.effect.each<readonly [string, Faults.Turn, ClaudeError.Tag]>([
    ["an error of the API", overloaded, "Overloaded"],
    ["an invalid request", Faults.fails(400, "invalid_request_error", "No.", { headers }), "InvalidRequest"],
    ["an answer that broke off", broken, "PartialAnswer"]
  ])("are in a field of %s, but not in its message", ([, turn, tag]) =>
    Effect.gen(function*() {
      const error = yield* failureOf(Claude.text("hi"))
      assert.strictEqual(error._tag, tag)
      assert.deepStrictEqual(error.limits?.requests, requests)
      assert.notInclude(error.message, "60")
    }).pipe(Effect.provide(FakeClaude.layer([turn]))))

  it.effect("are missing if the API sent none", () =>
    Effect.gen(function*() {
      assert.isUndefined((yield* Effect.flip(Claude.text("hi"))).limits)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.html(502)]))))

  it.effect("survive encoding the error as JSON", () =>
    Effect.gen(function*() {
      const codec = Schema.toCodecJson(ClaudeError.ClaudeError)
      const json: unknown = JSON.parse(
        JSON.stringify(yield* Schema.encodeEffect(codec)(new Overloaded({ limits: { requests } })))
      )
      const error = yield* Schema.decodeUnknownEffect(codec)(json)
      assert.instanceOf(error, Overloaded)
      assert.deepStrictEqual(error.limits, { requests })
    }))
})

describe("a policy inside another policy", () => {
  const inner = Policy.apply({ retry: Retry.byTag({ Overloaded: line(1), Busy: line(1) }, Busy) })
  const outer = Policy.apply({
    retry: Schedule.tap(Retry.byTag({ Overloaded: line(2), Busy: line(2) }, Busy), () => Effect.void)
  })
  const events = Effect.flatMap(CallLog.Memory, Ref.get)
  const logged = (script: Faults.Playable) => Layer.provideMerge(FakeClaude.layer(script), CallLog.layerMemory)

  it.effect("is one attempt of the outer policy, and each failure is retried by only one of the two policies", () =>
    Effect.gen(function*() {
      const { gaveUp, history = [] } = yield* failureOf(outer(inner(Claude.text("hi"))))
      assert.strictEqual(yield* asked, 6)
      assert.strictEqual(gaveUp, "RetriesSpent")
      assert.deepStrictEqual(history.map(({ attempt, waited }) => [attempt, waited]), [
        [1, 1000],
        [2, 1000],
        [1, 1000],
        [2, 2000],
        [1, 1000],
        [2, undefined]
      ])
      const waits = (yield* events).filter(({ _tag }) => _tag === "RetryScheduled")
      assert.lengthOf(waits, 5)
    }).pipe(Effect.provide(logged(Faults.untilLast(Faults.overloaded)))))

  it.effect("keeps its history if its error is copied", () =>
    Effect.gen(function*() {
      const { history = [] } = yield* failureOf(outer(inner(Claude.text("hi")).pipe(Effect.mapError(copied))))
      assert.lengthOf(history, 6)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.untilLast(Faults.overloaded)))))

  it.effect("multiplies the attempts for an application error that both policies retry", () =>
    Effect.gen(function*() {
      let runs = 0
      const failing = Effect.suspend(() => {
        runs++
        return Effect.fail(new Busy())
      })
      assert.instanceOf(yield* failureOf(outer(inner(failing))), Busy)
      assert.strictEqual(runs, 6)
    }))

  it.effect.each<readonly [string, Faults.Turn]>([
    ["a permanent failure", Faults.fails(400, "invalid_request_error", "No.")],
    ["a failure that neither policy retries", Faults.fails(403, "permission_error", "No.")]
  ])("makes one attempt for %s", ([, turn]) =>
    Effect.gen(function*() {
      const { history = [] } = yield* failureOf(outer(inner(Claude.text("hi"))))
      assert.strictEqual(yield* asked, 1)
      assert.lengthOf(history, 1)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.untilLast(turn)))))
})

describe("a combined schedule", () => {
  it("is described as custom, without being run", () => {
    const combined = Schedule.tap(Retry.byTag(Retry.standard), () => Effect.die("asked"))
    assert.match(Policy.describe({ retry: combined }), /retry +by a custom schedule/)
    assert.isTrue(Result.isSuccess(Result.try(() => Policy.apply({ retry: combined }))))
  })
})
