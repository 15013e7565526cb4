import { assert, describe, it } from "@effect/vitest"
import { Data, Duration, Effect, Fiber, Random, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { ClaudeError, Current, Retry } from "../../src/index.ts"

const { Overloaded, RateLimited, ServerFault, Unreachable } = ClaudeError
const Millis = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 }))

/** The waits of a schedule for a sequence of errors, in milliseconds. The list ends early if the schedule gives up. */
const waits = (schedule: Schedule.Schedule<unknown, unknown>, errors: ReadonlyArray<unknown>, share = 0.5) =>
  Effect.gen(function*() {
    const step = yield* Schedule.toStep(schedule)
    const found: Array<number> = []
    for (const error of errors) {
      const next = yield* Effect.option(step(0, error))
      if (next._tag === "None") break
      found.push(Duration.toMillis(next.value[1]))
    }
    return found
  }).pipe(Effect.provideService(Random.Random, { nextDoubleUnsafe: () => share, nextIntUnsafe: () => 0 }))

const times = <A>(n: number, error: A) => Array.from({ length: n }, () => error)
const plain = new Overloaded({})
const standard = Retry.byTag(Retry.standard)

describe("the waits of a schedule", () => {
  it.effect.each(
    [
      ["none", 0.5, [1000, 2000, 4000, 8000, 10_000]],
      ["full", 0, [0, 0, 0, 0, 0]],
      ["full", 0.5, [500, 1000, 2000, 4000, 5000]],
      ["additive", 0, [1000, 2000, 4000, 8000, 10_000]],
      ["additive", 0.5, [1500, 2500, 4500, 8500, 10_000]],
      ["proportional", 0, [800, 1600, 3200, 6400, 8000]],
      ["proportional", 0.5, [1000, 2000, 4000, 8000, 10_000]],
      ["proportional", 1, [1200, 2400, 4800, 9600, 10_000]]
    ] as const
  )("depend on the jitter \"%s\" and the random number %s", ([jitter, share, expected]) =>
    Effect.gen(function*() {
      const schedule = Retry.backoff({ times: 5, base: "1 second", cap: "10 seconds", jitter })
      assert.deepStrictEqual(yield* waits(schedule, times(9, plain), share), [...expected])
    }))

  it.effect("grow by the factor of backoff, or by the base of linear", () =>
    Effect.gen(function*() {
      const tripled = Retry.backoff({ times: 3, base: "1 second", factor: 3, jitter: "none" })
      assert.deepStrictEqual(yield* waits(tripled, times(9, plain)), [1000, 3000, 9000])
      const line = Retry.linear({ times: 4, base: "2 seconds", cap: "5 seconds" })
      assert.deepStrictEqual(yield* waits(line, times(9, plain)), [2000, 4000, 5000, 5000])
    }))

  it.effect.prop("are at least as long as `retry-after`; without `retry-after`, at most as long as the cap", {
    hint: Millis,
    base: Millis,
    jitter: Schema.Literals(["none", "full", "additive", "proportional"]),
    seed: Schema.String
  }, ({ base, hint, jitter, seed }) =>
    Effect.gen(function*() {
      const cap = Math.max(base, 30_000)
      const step = yield* Schedule.toStep(Retry.backoff({ times: 2, base, cap, jitter }))
      const [, asked] = yield* step(0, new RateLimited({ retryAfter: Duration.millis(hint) }))
      const [, own] = yield* step(0, plain)
      assert.isAtLeast(Duration.toMillis(asked), hint)
      assert.isAtMost(Duration.toMillis(own), cap)
    }).pipe(Random.withSeed(seed)))

  it.effect("G10: are the same for the same seed", () =>
    Effect.gen(function*() {
      const run = (seed: string) =>
        Effect.gen(function*() {
          const step = yield* Schedule.toStep(standard)
          return yield* Effect.forEach(
            [plain, plain, plain],
            (error) => Effect.map(step(0, error), ([, wait]) => Duration.toMillis(wait))
          )
        }).pipe(Random.withSeed(seed))
      assert.deepStrictEqual(yield* run("a"), yield* run("a"))
      assert.notDeepEqual(yield* run("a"), yield* run("b"))
    }))

  it.effect("are drawn at random from the first half of the time until the deadline if they would be longer than that half", () =>
    Effect.gen(function*() {
      const schedule = Retry.backoff({ times: 9, base: "1 second", jitter: "none" })
      const found = yield* Effect.provideService(waits(schedule, times(5, plain)), Current.Deadline, 5000)
      // The random number is 0.5.
      assert.deepStrictEqual(found, [1000, 2000, 1250, 1250, 1250])
    }))

  it.effect("are never shorter than `retry-after`, and do not begin if `retry-after` ends after the deadline", () =>
    Effect.gen(function*() {
      const schedule = Retry.backoff({ times: 9, base: "2 seconds" })
      const asked = (seconds: number) => new RateLimited({ retryAfter: Duration.seconds(seconds) })
      const before = (deadline: number, error: ClaudeError.ClaudeError) =>
        Effect.provideService(waits(schedule, [error]), Current.Deadline, deadline)
      assert.deepStrictEqual(yield* before(5000, asked(5)), [])
      assert.deepStrictEqual(yield* before(5000, asked(6)), [])
      // Before 5 s, the extra wait is drawn from half of the remaining second; before 50 s, it is not shortened.
      assert.deepStrictEqual(yield* before(5000, asked(4)), [4250])
      assert.deepStrictEqual(yield* before(50_000, asked(4)), [5000])
    }))

  it.effect("do not begin after a permanent failure", () =>
    Effect.gen(function*() {
      const schedule = Retry.backoff({ times: 9 })
      for (
        const error of [
          new ServerFault({ status: 501 }),
          new ServerFault({ status: 505 }),
          new Unreachable({ code: "CERT_HAS_EXPIRED" }),
          new Unreachable({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" })
        ]
      ) {
        assert.deepStrictEqual(yield* waits(schedule, [error]), [])
        const forever = Retry.byTag({ ServerFault: Schedule.forever, Unreachable: Schedule.forever })
        assert.deepStrictEqual(yield* waits(forever, [error]), [])
      }
      assert.lengthOf(
        yield* waits(schedule, [new ServerFault({ status: 503 }), new Unreachable({ code: "ECONNRESET" })]),
        2
      )
    }))

  it.effect("also apply when the schedule is passed to `Effect.retry`, even for an error that is a string", () =>
    Effect.gen(function*() {
      let runs = 0
      const failing = Effect.suspend(() => {
        runs++
        return Effect.fail("mine")
      })
      const fiber = yield* Effect.forkChild(Effect.flip(Effect.retry(failing, Retry.linear({ times: 2 }))))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "mine")
      assert.strictEqual(runs, 3)
    }))
})

class Busy extends Data.TaggedError("Busy")<{}> {}
class Mine extends Data.TaggedError("Overloaded")<{}> {}

describe("Retry.byTag", () => {
  it.effect("counts the retries of each kind of error separately", () =>
    Effect.gen(function*() {
      const each = (base: Duration.Input, n: number) => Retry.backoff({ times: n, base, jitter: "none" })
      const schedule = Retry.byTag({ RateLimited: each("1 second", 3), Overloaded: each("5 seconds", 2) })
      const [N, O] = [new RateLimited({}), plain]
      assert.deepStrictEqual(yield* waits(schedule, [N, O, N, N, O]), [1000, 5000, 2000, 4000, 10_000])
      assert.deepStrictEqual(yield* waits(schedule, [O, O, O, N]), [5000, 10_000])
    }))

  it.effect("never retries an application error whose class is not given, even if it has the tag of an error of this library", () =>
    Effect.gen(function*() {
      const schedule = Retry.byTag({ Overloaded: Schedule.forever })
      assert.deepStrictEqual(yield* waits(schedule, [new Mine()]), [])
      assert.deepStrictEqual(yield* waits(schedule, ["a string", null, undefined].slice(0, 1)), [])
    }))

  it.effect("retries an application error whose class is given", () =>
    Effect.gen(function*() {
      const schedule = Retry.byTag({ Busy: Retry.linear({ times: 2 }), Overloaded: Retry.never }, Busy)
      assert.deepStrictEqual(yield* waits(schedule, times(5, new Busy())), [1000, 2000])
    }))

  const forMalformed = Schedule.recurs(1).pipe(Schedule.setInputType<ClaudeError.MalformedOutput>())

  it("rejects a misspelt tag, in a literal or in a variable, both with a type error and with a RangeError at run time", () => {
    // @ts-expect-error
    assert.throws(() => Retry.byTag({ OverLoaded: Schedule.recurs(1) }), RangeError)
    const table = { Overloaded: Schedule.recurs(1), RateLimitted: Schedule.recurs(1) }
    // @ts-expect-error
    assert.throws(() => Retry.byTag(table), RangeError)
    // @effect-diagnostics missingEffectError:off
    // @ts-expect-error
    Retry.byTag({ Overloaded: forMalformed })
    // @ts-expect-error
    Retry.byTag({ Bussy: Schedule.recurs(1) }, Busy)
  })
})

describe("Retry.standard", () => {
  const retried: ClaudeError.Table<number> = {
    InvalidRequest: 0,
    AuthenticationFailed: 0,
    PermissionDenied: 0,
    ResourceNotFound: 0,
    RequestTooLarge: 0,
    ContextWindowExceeded: 0,
    SpendLimitReached: 0,
    RateLimited: 8,
    Overloaded: 8,
    ServerFault: 8,
    Unreachable: 8,
    PartialAnswer: 8,
    UnexpectedResponse: 3,
    Refused: 0,
    Truncated: 0,
    EmptyAnswer: 1,
    MalformedOutput: 0,
    TimedOut: 3,
    DeadlineExceeded: 0,
    // These may be retried 30 times, but the test fails only nine times.
    CircuitOpen: 9,
    Saturated: 9
  }
  for (const member of ClaudeError.ClaudeError.members) {
    const tag = member.identifier.replace(/.*\//, "") as ClaudeError.Tag
    it.effect(`retries ${tag} after ${retried[tag]} of nine failures`, () =>
      Effect.gen(function*() {
        const fields = { scope: "idle", retryAfter: Duration.seconds(1) }
        const error = new (member as new(fields: object) => ClaudeError.ClaudeError)(fields)
        assert.lengthOf(yield* waits(standard, times(9, error)), retried[error._tag])
      }))
  }
})

describe("Retry.standard at an open circuit", () => {
  const fault = new ClaudeError.ServerFault({})
  const open = new ClaudeError.CircuitOpen({ retryAfter: Duration.seconds(20) })

  it.effect("waits at least as long as the circuit says, without using up the retries of other kinds", () =>
    Effect.gen(function*() {
      const seen = yield* waits(standard, [fault, open, open, open, open, ...times(9, fault)])
      assert.lengthOf(seen, 12)
      for (const wait of seen.slice(1, 5)) assert.isAtLeast(Duration.toMillis(wait), 20_000)
    }))

  it.effect("does not wait for a circuit that was isolated by hand, because its error has no `retryAfter`", () =>
    Effect.gen(function*() {
      assert.lengthOf(yield* waits(standard, [new ClaudeError.CircuitOpen({})]), 0)
    }))

  it.effect("fails at once if CircuitOpen is overridden with undefined or never", () =>
    Effect.gen(function*() {
      for (const CircuitOpen of [undefined, Retry.never]) {
        const failsFast = Retry.byTag({ ...Retry.standard, CircuitOpen })
        assert.lengthOf(yield* waits(failsFast, [open]), 0)
        assert.lengthOf(yield* waits(failsFast, [fault]), 1)
      }
    }))
})

describe("Retry.standard at a full queue", () => {
  it.effect("waits at least as long as the queue says, without using up the retries of other kinds", () =>
    Effect.gen(function*() {
      const saturated = new ClaudeError.Saturated({ retryAfter: Duration.seconds(3) })
      const seen = yield* waits(standard, [...times(5, saturated), ...times(9, plain)])
      assert.lengthOf(seen, 13)
      for (const wait of seen.slice(0, 5)) assert.isAtLeast(Duration.toMillis(wait), 3000)
    }))

  it.effect("does not wait if the error of the queue has no `retryAfter`", () =>
    Effect.gen(function*() {
      assert.lengthOf(yield* waits(standard, [new ClaudeError.Saturated({})]), 0)
    }))
})

describe("x-should-retry", () => {
  it.effect("stops retries of every error if it is false", () =>
    Effect.gen(function*() {
      for (const member of ClaudeError.ClaudeError.members) {
        const fields = { scope: "idle", retryAfter: Duration.seconds(1), shouldRetry: false }
        const error = new (member as new(fields: object) => ClaudeError.ClaudeError)(fields)
        assert.lengthOf(yield* waits(standard, [error]), 0, error._tag)
      }
    }))

  it.effect("does not cause a retry of a permanent error if it is true", () =>
    Effect.gen(function*() {
      assert.lengthOf(
        yield* waits(Retry.backoff({ times: 3 }), [new ClaudeError.InvalidRequest({ status: 409, shouldRetry: true })]),
        0
      )
      assert.lengthOf(yield* waits(standard, [new Overloaded({ shouldRetry: true })]), 1)
    }))
})

describe("an invalid schedule", () => {
  it.each([
    [() => Retry.backoff({ times: -1 }), /times is -1/],
    [() => Retry.backoff({ times: 1.5 }), /times is 1.5/],
    [() => Retry.backoff({ times: NaN }), /times is NaN/],
    [() => Retry.backoff({ times: 1, base: "soon" as "1 second" }), /base is "soon".*"10 seconds"/],
    [() => Retry.backoff({ times: 1, base: -5 }), /base is -5/],
    [
      () => Retry.backoff({ times: 1, base: "1 minute", cap: "1 second" }),
      /base \(1m\) is longer than cap \(1s\).*raise cap/
    ],
    [() => Retry.backoff({ times: 1, factor: 0.5 }), /factor is 0.5/],
    [() => Retry.linear({ times: 1, cap: 0 }), /cap is 0/],
    [
      () => Retry.backoff({ times: 1, jitter: "ful" as "full" }),
      /Retry\.backoff: jitter is "ful": it must be "none", "full", "additive" or "proportional"/
    ],
    [() => Retry.linear({ times: 1, jitter: "toString" as "none" }), /Retry\.linear: jitter is "toString"/],
    [() => Retry.byTag({ Overloaded: 3 as never }), /byTag: Overloaded is 3: it must be a Schedule, .*Retry.backoff/],
    [() => Retry.byTag({ Busy: {} as never }, Busy), /byTag: Busy is \{\}: it must be a Schedule/],
    [() => Retry.byTag({ OverLoaded: Retry.never } as {}), /byTag: OverLoaded is not a kind of error of this library/],
    [() => Retry.byTag([Retry.never] as {}), /byTag takes an object, like .*, not a list$/],
    [() => Retry.byTag(undefined as never), /byTag takes an object, like .*, not undefined$/]
  ])("is refused with an error that matches $1", (build, sentence) => assert.throws(build, sentence))
})
