/** The limits of an attempt count each second of waiting for the wire once. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Pull, Result, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Claude, type ClaudeError, Current, type Message, Timeout } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"
import { runs } from "../support/effort.ts"
import { steppedBack } from "../support/steppedBack.ts"

// -----------------------------------------------------------------------------
// Timed answers
// -----------------------------------------------------------------------------

type Kind = "ping" | "content"

/** The script of a wire: each step is a wait in seconds and the event after it. */
type Script = ReadonlyArray<readonly [wait: number, kind: Kind]>

const [messageStart = "", blockStart = "", ping = "", delta = "", ...last] = Faults.events("word ")
const bytes = { ping, content: delta }

/** Sends headers after this many seconds, then plays a script, and then ends the answer or falls silent. */
const playing = (headers: number, script: Script, end: "end" | "silence" = "end") => {
  const turn = Faults.stream([], { end })
  let isBegun = false
  const body = script.map(([wait, kind]) => {
    const opening = kind === "content" && !isBegun ? blockStart : ""
    isBegun ||= kind === "content"
    return { after: wait * 1000, bytes: opening + bytes[kind] }
  })
  const [first, ...others] = body
  const begun = first === undefined ? [] : [{ ...first, bytes: messageStart + first.bytes }, ...others]
  const rest = end === "end" ? last.map((bytes) => ({ after: 0, bytes })) : []
  return Layer.fresh(FakeClaude.layer([Faults.delayed({ ...turn, body: [...begun, ...rest] }, headers * 1000)]))
}

const repeated = (times: number, script: Script): Script => Array.from({ length: times }, () => script).flat()
const words = (script: Script) => script.filter(([, kind]) => kind === "content").map(() => "word ").join("")

/** Runs a call. Returns its result, and its duration in seconds. */
const ended = <A, R>(call: Effect.Effect<A, ClaudeError.ClaudeError, R>) =>
  Effect.gen(function*() {
    const start = yield* Clock.currentTimeMillis
    const running = yield* Effect.forkChild(
      Effect.flatMap(Effect.result(call), (result) =>
        Effect.map(Clock.currentTimeMillis, (now) => ({ result, after: (now - start) / 1000 }))),
      { startImmediately: true }
    )
    yield* TestClock.adjust("2 hours")
    return yield* Fiber.join(running)
  })

/** The limit that ended the call, and its length in seconds. */
const limitOf = <A>(result: Result.Result<A, ClaudeError.ClaudeError>) => {
  if (Result.isSuccess(result)) return undefined
  const error = result.failure
  assert(error._tag === "TimedOut" && error.limit !== undefined, error._tag)
  return [error.scope, Duration.toSeconds(error.limit)]
}

const silences = { idle: "30 seconds", contentIdle: "60 seconds" } as const
// Does not use `Timeout`, which rejects a limit that can never be reached because another limit is shorter.
const asked = (limits: Current.Limits) => Effect.provideService(Claude.text("hi"), Current.Limits, limits)

// -----------------------------------------------------------------------------
// Tests
// -----------------------------------------------------------------------------

describe("the idle limits", () => {
  const talking: ReadonlyArray<readonly [name: string, script: Script]> = [
    ["content every 20 s for two minutes", repeated(6, [[20, "content"]])],
    ["content every 29 s for ten minutes", repeated(20, [[29, "content"]])],
    ["pings every 20 s, and content after 59 s", [
      [9, "content"],
      ...repeated(5, [[20, "ping"], [20, "ping"], [19, "content"]])
    ]],
    ["content after waits of 29 s and 1 s in turn", repeated(10, [[29, "content"], [1, "content"]])],
    ["content, and a ping that comes at the same moment", repeated(10, [[0, "ping"], [25, "content"], [0, "ping"]])],
    [
      "several pieces at once after a wait",
      repeated(5, [[28, "content"], [0, "content"], [0, "ping"], [0, "content"]])
    ]
  ]

  it.effect.each(talking)("allow %s", ([, script]) =>
    Effect.gen(function*() {
      const { after, result } = yield* ended(asked(silences))
      assert.deepStrictEqual(result, Result.succeed(words(script)))
      assert.strictEqual(after, script.reduce((sum, [wait]) => sum + wait, 0))
    }).pipe(Effect.provide(playing(0, script))))

  const silent: ReadonlyArray<readonly [name: string, script: Script, limit: number, after: number]> = [
    ["no byte for 30 s", [[20, "content"], [20, "content"]], 30, 70],
    ["no byte for 30 s after a ping", [[20, "content"], [20, "ping"]], 30, 70],
    ["pings every 10 s without content for 60 s", [[5, "content"], ...repeated(9, [[10, "ping"]])], 60, 65],
    [
      "pings without content for 60 s, after content with pings between",
      [...repeated(5, [[10, "ping"], [15, "content"]]), ...repeated(9, [[10, "ping"]])],
      60,
      185
    ]
  ]

  it.effect.each(silent)("end an answer with %s", ([, script, limit, after]) =>
    Effect.gen(function*() {
      const end = yield* ended(asked(silences))
      assert.deepStrictEqual(limitOf(end.result), [limit === 60 ? "contentIdle" : "idle", limit])
      assert.strictEqual(end.after, after)
    }).pipe(Effect.provide(playing(0, script, "silence"))))

  it.effect("count the waiting time of each interrupted read once, as a part of the wait of the next read", () =>
    Effect.gen(function*() {
      const { open } = yield* Claude.Claude
      const params: Message.Params = {
        model: "claude-sonnet-5-5",
        max_tokens: 99,
        messages: [{ role: "user", content: "hi" }]
      }
      const pulled = Effect.gen(function*() {
        const { pull } = yield* open({ params, limits: silences })
        yield* pull
        // 28 of the 30 seconds.
        for (let i = 0; i < 2; i++) yield* Effect.timeoutOption(pull, "14 seconds")
        yield* pull
      })
      const { after, result } = yield* ended(Pull.catchDone(Effect.scoped(pulled), () => Effect.void))
      assert.deepStrictEqual(limitOf(result), ["idle", 30])
      assert.strictEqual(after, 30)
    }).pipe(Effect.provide(playing(0, [[0, "content"]], "silence"))))
})

describe("a slow reader", () => {
  /** Reads an answer with a pause after each event. Returns its result, and the seconds spent waiting for the wire. */
  const slowly = (limits: Current.Limits, pause: number) => {
    let paused = 0
    const read = Claude.events("hi").pipe(
      Stream.runForEach(() => {
        paused += pause
        return Effect.sleep(Duration.seconds(pause))
      }),
      Timeout.limits(limits)
    )
    return Effect.map(ended(read), ({ after, result }) => ({ result, paused, waited: after - paused }))
  }
  const twoMinutes = repeated(6, [[20, "content"]])

  it.effect("that pauses for a minute between two reads causes no time-out", () =>
    Effect.gen(function*() {
      const { paused, result, waited } = yield* slowly({ ...silences, attempt: "125 seconds" }, 60)
      assert.isTrue(Result.isSuccess(result))
      assert.isAbove(paused, 360)
      assert.strictEqual(waited, 120)
    }).pipe(Effect.provide(playing(0, twoMinutes))))

  it.effect("gets a TimedOut error for `attempt` when its waits for a slow model, without its own pauses, add up to that limit", () =>
    Effect.gen(function*() {
      const { result, waited } = yield* slowly({ ...silences, attempt: "115 seconds" }, 60)
      assert.deepStrictEqual(limitOf(result), ["attempt", 115])
      assert.strictEqual(waited, 115)
    }).pipe(Effect.provide(playing(0, twoMinutes))))

  it.effect("gets a TimedOut error for `idle` when it has waited that long for a model that fell silent", () =>
    Effect.gen(function*() {
      const { result, waited } = yield* slowly(silences, 600)
      assert.deepStrictEqual(limitOf(result), ["idle", 30])
      assert.strictEqual(waited, 70)
    }).pipe(Effect.provide(playing(0, [[20, "content"], [20, "content"]], "silence"))))
})

describe("the beginning of an answer", () => {
  const limits = { connect: "10 seconds", firstToken: "30 seconds", ...silences } as const
  const pinging = repeated(9, [[5, "ping"]])
  const cases: ReadonlyArray<
    readonly [name: string, headers: number, script: Script, attempt: number, end: readonly [string, number, number]]
  > = [
    ["late headers", 11, [[0, "content"]], 60, ["connect", 10, 10]],
    ["a late first token, after headers that were just in time", 9, pinging, 60, ["firstToken", 30, 30]],
    ["silence after the headers", 3, [], 60, ["firstToken", 30, 30]],
    ["many short waits", 9, repeated(9, [[9, "content"]]), 60, ["attempt", 60, 60]],
    ["only pings", 9, pinging, 30, ["attempt", 30, 30]]
  ]

  it.effect.each(cases)(
    "with %s ends with a TimedOut error that names the limit that expired",
    ([, headers, script, attempt, [scope, limit, after]]) =>
      Effect.gen(function*() {
        const end = yield* ended(asked({ ...limits, attempt: Duration.seconds(attempt) }))
        assert.deepStrictEqual(limitOf(end.result), [scope, limit])
        assert.strictEqual(end.after, after)
      }).pipe(Effect.provide(playing(headers, script, "silence")))
  )

  it.effect("that has its first token in time is not ended by firstToken later, however long the answer takes", () =>
    Effect.gen(function*() {
      const { result } = yield* ended(asked(limits))
      assert.isTrue(Result.isSuccess(result))
    }).pipe(Effect.provide(playing(9, [[10, "ping"], [10, "content"], ...repeated(9, [[29, "content"]])]))))
})

describe("a clock that is set back", () => {
  /** Runs a call, and sets the clock back by an hour after each second that `isAfter` selects. */
  const setBack = (isAfter: (second: number) => boolean) =>
    steppedBack((back) =>
      Effect.gen(function*() {
        const call = yield* Effect.forkChild(Effect.result(asked(silences)), { startImmediately: true })
        let seconds = 0
        while (call.pollUnsafe() === undefined) {
          assert.isBelow(seconds, 1000, "it does not end")
          yield* TestClock.adjust("1 second")
          seconds++
          if (isAfter(seconds)) yield* back(3_600_000)
        }
        return { result: yield* Fiber.join(call), seconds }
      })
    )

  it.effect.each([1, 7, 13, 20, 29, 31])(
    "every %i s does not end an answer that makes progress",
    (every) =>
      Effect.gen(function*() {
        const { result, seconds } = yield* setBack((second) => second % every === 0)
        assert.isTrue(Result.isSuccess(result))
        assert.strictEqual(seconds, 120)
      }).pipe(Effect.provide(playing(0, repeated(6, [[20, "content"]]))))
  )

  it.effect.each([1, 20, 39, 40, 41, 55, 69])(
    "once, after %i s, delays a TimedOut error for `idle` by at most the time of `idle`",
    (moment) =>
      Effect.gen(function*() {
        const { result, seconds } = yield* setBack((second) => second === moment)
        assert.deepStrictEqual(limitOf(result), ["idle", 30])
        assert.isAtLeast(seconds, 70)
        assert.isAtMost(seconds, 100)
      }).pipe(Effect.provide(playing(0, repeated(2, [[20, "content"]]), "silence")))
  )
})

// -----------------------------------------------------------------------------
// Property
// -----------------------------------------------------------------------------

/** Never equal to a sum of whole seconds, so that two limits cannot expire at the same time. */
const odd = { connect: 10.1, firstToken: 45.2, idle: 30.3, contentIdle: 60.4, attempt: 200.5 }

/** Computes independently which limit ends a script, and after how many seconds of waiting. */
const expected = (headers: number, script: Script) => {
  let [total, silent, empty] = [0, 0, 0]
  let [isConnected, hasContent] = [false, false]
  for (const [wait, kind] of [[headers, "headers"] as const, ...script, [Infinity, "ping"] as const]) {
    const limits: ReadonlyArray<readonly [scope: string, limit: number, left: number]> = [
      ["attempt", odd.attempt, odd.attempt - total],
      isConnected ? ["idle", odd.idle, odd.idle - silent] : ["connect", odd.connect, odd.connect - total],
      hasContent
        ? ["contentIdle", odd.contentIdle, odd.contentIdle - empty]
        : ["firstToken", odd.firstToken, odd.firstToken - total]
    ]
    const [first] = limits.toSorted(([, , a], [, , b]) => a - b)
    assert(first !== undefined)
    const [scope, limit, left] = first
    if (wait > left) return { end: [scope, limit], after: total + left }
    total += wait
    silent = 0
    empty = kind === "content" ? 0 : empty + wait
    isConnected = true
    hasContent ||= kind === "content"
  }
  return assert.fail("silence ends every script")
}

const seed = process.env["SEED"] ?? "resilient-claude"

describe("each second of waiting counts once", () => {
  it.effect.prop(
    "for random answers and paces of the reader",
    {
      headers: Schema.Literals([0, 3, 9, 11]),
      script: Schema.Array(
        Schema.Tuple([Schema.Literals([0, 1, 7, 13, 20, 29, 31]), Schema.Literals(["ping", "content"])])
      ),
      pause: Schema.Literals([0, 0, 1, 29, 61])
    },
    ({ headers, pause, script }) =>
      Effect.gen(function*() {
        let paused = 0
        const { after, result } = yield* ended(
          Claude.events("hi").pipe(
            Stream.runForEach(() => {
              paused += pause
              return pause === 0 ? Effect.void : Effect.sleep(Duration.seconds(pause))
            }),
            Timeout.limits({
              connect: Duration.seconds(odd.connect),
              firstToken: Duration.seconds(odd.firstToken),
              idle: Duration.seconds(odd.idle),
              contentIdle: Duration.seconds(odd.contentIdle),
              attempt: Duration.seconds(odd.attempt)
            })
          )
        )
        const wanted = expected(headers, script)
        assert.deepStrictEqual(limitOf(result), wanted.end)
        assert.approximately(after - paused, wanted.after, 0.01)
      }).pipe(Effect.provide(playing(headers, script, "silence"))),
    { arbitrary: { runs: runs(300), seed }, timeout: 30_000 }
  )
})
