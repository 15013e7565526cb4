/** Produces every kind of error twice: with FakeClaude, and over a socket with FakeServer. */
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Claude, ClaudeError, Guards, Policy } from "../src/index.ts"
import * as NodeAnthropic from "../src/NodeAnthropic.ts"
import { FakeClaude, FakeServer, Faults } from "../src/testing/index.ts"

interface Case {
  readonly turn?: Faults.Turn
  readonly call?: Effect.Effect<unknown, ClaudeError.ClaudeError, Claude.Claude>
  /** Fields that the error must have. */
  readonly has?: ReadonlyArray<string>
  readonly guards?: Guards.Guards
}

const limited = (limit: Duration.Input) => Claude.text("hi").pipe(Policy.apply({ attempt: limit }))

const cases: { readonly [T in ClaudeError.Tag]: Case } = {
  InvalidRequest: {
    turn: Faults.fails(400, "invalid_request_error", "messages: Input should be a valid list"),
    has: ["status", "requestId", "detail"]
  },
  AuthenticationFailed: { turn: Faults.unauthorized, has: ["status", "requestId"] },
  PermissionDenied: { turn: Faults.forbidden, has: ["status", "requestId"] },
  ResourceNotFound: { turn: Faults.notFound, has: ["status", "requestId"] },
  RequestTooLarge: { turn: Faults.tooLarge, has: ["status"] },
  ContextWindowExceeded: { turn: Faults.promptTooLong, has: ["status", "requestId"] },
  SpendLimitReached: { turn: Faults.spendLimited, has: ["status", "requestId", "errorCode", "regainsAt"] },
  RateLimited: { turn: Faults.rateLimited("17 seconds"), has: ["status", "requestId", "retryAfter", "limits"] },
  Overloaded: { turn: Faults.overloaded, has: ["status", "requestId"] },
  ServerFault: { turn: Faults.serverError, has: ["status", "requestId"] },
  Unreachable: { turn: Faults.reset, has: ["code", "model"] },
  PartialAnswer: { turn: Faults.breaks("half"), has: ["text", "blocks", "usage", "requestId", "cause"] },
  UnexpectedResponse: { turn: Faults.html(200), has: ["status", "detail"] },
  Refused: { turn: Faults.refusal("I would rather", "cyber"), has: ["text", "category", "requestId", "usage"] },
  Truncated: { turn: Faults.maxTokens("and so"), has: ["text", "reason", "requestId", "usage"] },
  EmptyAnswer: { turn: Faults.emptyAnswer, has: ["requestId", "usage"] },
  MalformedOutput: {
    turn: Faults.value({ n: "one" }),
    call: Claude.object(Schema.Struct({ n: Schema.Int }), "hi"),
    has: ["text", "issues", "requestId", "usage"]
  },
  TimedOut: {
    turn: Faults.pings("half", "50 millis"),
    call: limited("300 millis"),
    has: ["scope", "limit", "text", "requestId"]
  },
  DeadlineExceeded: {
    turn: Faults.silence,
    call: Claude.text("hi").pipe(Policy.apply({ overall: "300 millis" })),
    has: ["limit", "gaveUp"]
  },
  CircuitOpen: {
    // After one failure, the circuit refuses the next call.
    turn: Faults.overloaded,
    call: Effect.andThen(Effect.ignore(Claude.text("hi")), Claude.text("hi")),
    guards: { circuit: { minimumCalls: 1 } },
    has: ["model", "retryAfter"]
  },
  Saturated: {
    // While one call runs, the queue refuses the next.
    turn: Faults.silence,
    call: Effect.raceFirst(limited("10 seconds"), Effect.andThen(Effect.sleep("50 millis"), Claude.text("hi"))),
    guards: { concurrency: { max: 1, queue: 0 } },
    has: ["model", "by"]
  }
}

const tags = ClaudeError.ClaudeError.members.map((member) =>
  new (member as new(fields: object) => ClaudeError.ClaudeError)({ scope: "idle" })._tag
)

it("the table of this file has a case for every kind of error", () => {
  assert.deepStrictEqual(Object.keys(cases).toSorted(), tags.toSorted())
  assert.lengthOf(tags, 21)
})

const guarded = <A, E, R>({ guards }: Case, claude: Layer.Layer<A | Claude.Claude, E, R>) =>
  guards === undefined ? claude : Guards.apply(guards)(claude)

const check = (tag: string, { has = [] }: Case, error: ClaudeError.ClaudeError) => {
  assert.strictEqual(error._tag, tag)
  for (const name of has) assert.isDefined(Reflect.get(error, name), name)
}

describe("FakeClaude produces", () => {
  for (const [tag, one] of Object.entries(cases)) {
    it.effect(tag, () =>
      Effect.gen(function*() {
        const call = yield* (one.call ?? Claude.text("hi")).pipe(Effect.flip, Effect.forkChild)
        yield* TestClock.adjust("1 minute")
        check(tag, one, yield* Fiber.join(call))
        assert.lengthOf(yield* FakeClaude.received, 1)
      }).pipe(Effect.provide(guarded(one, FakeClaude.layer([one.turn ?? Faults.silence])))))
  }
})

describe("FakeServer produces", () => {
  const claude = Layer.unwrap(
    Effect.map(FakeServer.FakeServer, ({ url }) => NodeAnthropic.layer({ apiKey: "key", baseUrl: url }))
  )
  for (const [tag, one] of Object.entries(cases)) {
    it.live(tag, () =>
      Effect.gen(function*() {
        check(tag, one, yield* Effect.flip(one.call ?? Claude.text("hi")))
        assert.lengthOf(yield* Effect.flatMap(FakeServer.FakeServer, ({ received }) => received), 1)
      }).pipe(Effect.provide(Layer.provideMerge(guarded(one, claude), FakeServer.layer([one.turn ?? Faults.silence])))))
  }
})
