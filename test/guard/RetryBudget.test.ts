/**
 * How much load failures may add, against a model that knows nothing but what happened and when.
 *
 * `SEED=anything vitest run test/guard/RetryBudget.test.ts` looks elsewhere.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Option, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { ClaudeError, Current, RetryBudget } from "../../src/index.ts"
import { steppedBack } from "../steppedBack.ts"

const seed = process.env["SEED"] ?? "resilient-claude"

/** A budget, with the settings that are usual, or others. */
const opened = (options: RetryBudget.Options = {}) =>
  Effect.map(Effect.scope, (scope) => RetryBudget.make(RetryBudget.settings(options), scope))

const fault = new ClaudeError.ServerFault({ status: 500 })
const told = new ClaudeError.RateLimited({ retryAfter: Duration.seconds(1) })
const untold = new ClaudeError.RateLimited({})

/** Why there is an extra attempt, and what it costs for that reason. */
const reasons = [
  [fault, 14],
  [told, 5],
  [untold, 14],
  [new ClaudeError.Truncated({}), 14],
  [new ClaudeError.MalformedOutput({}), 14]
] as const

/** How an attempt may end by itself, and whether it was load for nothing. */
const failures = [
  [Exit.fail(fault), true],
  [Exit.fail(untold), true],
  [Exit.fail(new ClaudeError.PartialAnswer({})), true],
  [Exit.fail(new ClaudeError.Refused({})), true],
  [Exit.fail(new ClaudeError.CircuitOpen({})), false],
  [Exit.fail(new ClaudeError.Saturated({})), false],
  [Exit.fail(new ClaudeError.Truncated({})), false],
  // What is not ours says nothing of Claude.
  [Exit.fail("an error that is not ours"), false],
  [Exit.die("a defect"), false]
] as const

/** The latest that one may still wait: just before its deadline, and never longer than five minutes. */
const latest = (arrived: number, deadline: number) => Math.min(arrived + 300_000, deadline - 1)

// -----------------------------------------------------------------------------
// The model: a list of what happened
// -----------------------------------------------------------------------------

/** What happened to an extra attempt: when it came, what it costs, when it began, and what became of it. */
interface Extra {
  readonly came: number
  readonly deadline: number
  readonly cost: number
  readonly end: Deferred.Deferred<void, unknown>
  fiber: Fiber.Fiber<void, unknown> | undefined
  start: number | undefined
  over: { readonly at: number; readonly how: "wasted" | "refunded" | "refused" | "cancelled" } | undefined
}

/** What changed the tokens, in order: up or down. */
type Change = number

const capacity = 140
const tokensAfter = (changes: ReadonlyArray<Change>) =>
  changes.reduce((tokens, change) => Math.min(capacity, tokens + change), capacity)

/** What a minute holds at `now`: calls after `from`, and extra attempts since `from` that are wasted or not over. */
const callsSince = (calls: ReadonlyArray<number>, from: number) => calls.filter((at) => at > from).length
const extrasSince = (extras: ReadonlyArray<Extra>, from: number) =>
  extras.filter(({ over, start }) =>
    start !== undefined && start >= from && (over === undefined || over.how === "wasted")
  ).length

const isRunning = ({ over, start }: Extra) => start !== undefined && over === undefined
const isWaiting = ({ over, start }: Extra) => start === undefined && over === undefined
const lastWaste = (extras: ReadonlyArray<Extra>) =>
  Math.max(-Infinity, ...extras.map(({ over }) => over?.how === "wasted" ? over.at : -Infinity))

/** Whether each began no sooner than those before it began, or left: that made room, at that moment. */
const areInOrder = (extras: ReadonlyArray<Extra>): boolean => {
  let earliest = -Infinity
  return extras.every(({ over, start }) => {
    const isInOrder = start === undefined || start >= earliest
    earliest = Math.max(earliest, start ?? over?.at ?? Infinity)
    return isInOrder
  })
}

/** When one that leaves so many tokens may go, below half of them: alone, and 1 s after the last failure, doubled with each 14. */
const paceEnd = (left: number, extras: ReadonlyArray<Extra>) => lastWaste(extras) + 1000 * 2 ** ((70 - left) / 14)

/** What a check throws. */
const broke = (check: () => void): unknown =>
  Result.getFailure(Result.try({ try: check, catch: (error) => error })).pipe(Option.getOrUndefined)

// -----------------------------------------------------------------------------
// What is done
// -----------------------------------------------------------------------------

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const Pick = int(0, 999)
const Call = Schema.Struct({
  do: Schema.Literal("call"),
  how: Schema.Literals(["succeeds", "fails", "leaves", "runs", "runs", "runs"])
})
const Ask = Schema.Struct({
  do: Schema.Literal("ask"),
  because: int(0, reasons.length - 1),
  // In seconds; the ones above 200 have none.
  deadline: int(0, 250)
})
const Pass = Schema.Struct({ do: Schema.Literal("pass"), millis: int(1, 8000) })
const Fail = Schema.Struct({ do: Schema.Literal("fail"), pick: Pick, how: int(0, failures.length - 1) })
const one = <const D extends string>(what: D) => Schema.Struct({ do: Schema.Literal(what), pick: Pick })

/** Each about as often as it is listed. */
const Step = Schema.Union([
  Call,
  Call,
  Ask,
  Ask,
  Ask,
  Ask,
  Ask,
  Pass,
  Pass,
  Fail,
  Fail,
  Fail,
  one("succeed"),
  one("succeed"),
  one("interrupt"),
  one("interrupt"),
  one("cancel"),
  one("cancel"),
  one("cancel"),
  one("end a call"),
  one("end a call")
])
const steps = 125
const Steps = Schema.Array(Step).check(Schema.isMinLength(steps), Schema.isMaxLength(steps))

describe("RetryBudget", () => {
  /** How often each step was possible. */
  const seen = new Map<string, number>()

  it.effect.prop(
    "G2 G7: no interleaving breaks the bound, the order or the waits, and nothing leaks",
    { ops: Steps },
    ({ ops }) =>
      Effect.gen(function*() {
        const budget = yield* opened()
        const changes: Array<Change> = []
        const calls: Array<number> = []
        const running: Array<{ readonly settle: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void> }> = []
        const extras: Array<Extra> = []
        /** Since when the first that waits could go, as far as the log tells. */
        let mayGo: { readonly extra: Extra; readonly since: number } | undefined
        /** What was seen to be wrong in the fiber of an extra attempt. */
        let broken: unknown

        const done = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1)
        const clock = Clock.currentTimeMillis

        /** Everything that the guarantee says of the moment in which an extra attempt begins. */
        const begins = (extra: Extra, at: number) => {
          assert.isAtMost(at, Math.max(extra.came, latest(extra.came, extra.deadline)), "it begins in its time")
          const others = extras.filter(isRunning).length
          extra.start = at
          changes.push(-extra.cost)
          const left = tokensAfter(changes)
          assert.isAtLeast(left, 0)
          assert.isAtMost(
            extrasSince(extras, at - 60_000),
            0.25 * callsSince(calls, at - 60_000) + 3,
            "a quarter of the calls of the minute, and three"
          )
          if (left < capacity / 2) {
            assert.strictEqual(others, 0, "below half it goes alone")
            assert.isAtLeast(at, Math.floor(paceEnd(left, extras)), "below half it goes later after each failure")
          }
        }
        const ends = (extra: Extra, how: "wasted" | "refunded", at: number) => {
          extra.over = { at, how }
          if (how === "refunded") changes.push(extra.cost)
        }
        const ask = Effect.fnUntraced(
          function*(because: ClaudeError.ClaudeError, cost: number, came: number, deadline: number) {
            const end = Deferred.makeUnsafe<void, unknown>()
            const extra: Extra = { came, deadline, cost, end, fiber: undefined, start: undefined, over: undefined }
            extras.push(extra)
            extra.fiber = yield* Effect.acquireUseRelease(
              Effect.provideService(budget.charge(because), Current.Deadline, deadline),
              (charge) =>
                Effect.flatMap(clock, (at) => {
                  if (charge !== undefined) {
                    broken ??= broke(() => begins(extra, at))
                    return Deferred.await(end)
                  }
                  extra.over = { at, how: "refused" }
                  // Nobody is refused before that, as so many never wait here.
                  broken ??= broke(() => assert.strictEqual(at, Math.max(came, latest(came, deadline))))
                  return Effect.void
                }),
              (charge, exit) => charge === undefined ? Effect.void : charge.settle(exit)
            ).pipe(Effect.forkChild)
          }
        )

        /** What can be seen after every step. */
        const look = Effect.gen(function*() {
          if (broken !== undefined) throw broken
          const now = yield* clock
          const status = yield* budget.status
          assert.strictEqual(status.left, tokensAfter(changes))
          assert.strictEqual(status.waiting, extras.filter(isWaiting).length)
          // Slices of five seconds: it counts the calls of no more than a minute, and the extra attempts of no less.
          assert.isAtMost(status.calls, callsSince(calls, now - 60_000))
          assert.isAtLeast(status.calls, callsSince(calls, now - 55_000))
          assert.isAtLeast(status.extra, extrasSince(extras, now - 60_000))
          assert.isAtMost(status.extra, extrasSince(extras, now - 65_000))
          assert.isTrue(areInOrder(extras), "first come, first served")
          const late = extras.filter((extra) => isWaiting(extra) && now >= latest(extra.came, extra.deadline))
          assert.lengthOf(late, 0, "nobody waits longer than it may")
          const head = extras.find(isWaiting)
          const left = tokensAfter(changes) - (head?.cost ?? 0)
          const could = head !== undefined && left >= 0
            && extrasSince(extras, now - 65_000) + 1 <= 0.25 * callsSince(calls, now - 55_000) + 3
            && (left >= capacity / 2 || !extras.some(isRunning) && now >= paceEnd(left, extras))
          if (head === undefined || !could) mayGo = undefined
          else if (mayGo?.extra !== head) mayGo = { extra: head, since: now }
          else assert.isAtMost(now - mayGo.since, 10_000, "who may go goes")
        })
        const pass = (millis: number): Effect.Effect<void> =>
          millis <= 0
            ? Effect.void
            : Effect.andThen(
              Effect.andThen(TestClock.adjust(Math.min(millis, 4000)), look),
              Effect.suspend(() => pass(millis - 4000))
            )

        for (const op of ops) {
          const now = yield* clock
          switch (op.do) {
            case "call": {
              calls.push(now)
              const charge = yield* budget.first(now)
              if (op.how === "runs") running.push(charge)
              else {
                if (op.how === "succeeds") changes.push(1)
                yield* charge.settle(
                  op.how === "succeeds" ? Exit.void : op.how === "fails" ? Exit.fail(fault) : Exit.interrupt()
                )
              }
              done(op.do)
              break
            }
            case "end a call": {
              const [charge] = running.splice(op.pick % Math.max(1, running.length), 1)
              if (charge === undefined) break
              if (op.pick % 2 === 0) changes.push(1)
              yield* charge.settle(op.pick % 2 === 0 ? Exit.void : Exit.fail(fault))
              done(op.do)
              break
            }
            case "ask": {
              const [because, cost] = reasons[op.because] ?? reasons[0]
              yield* ask(because, cost, now, op.deadline > 200 ? Infinity : now + op.deadline * 1000)
              done(op.do)
              break
            }
            case "pass":
              yield* pass(op.millis)
              done(op.do)
              break
            case "cancel":
            case "fail":
            case "interrupt":
            case "succeed": {
              const among = extras.filter(op.do === "cancel" ? isWaiting : isRunning)
              const extra = among[op.pick % Math.max(1, among.length)]
              if (extra === undefined) break
              if (op.do === "cancel") {
                extra.over = { at: now, how: "cancelled" }
                if (extra.fiber !== undefined) yield* Fiber.interrupt(extra.fiber)
              } else if (op.do === "interrupt") {
                ends(extra, "refunded", now)
                if (extra.fiber !== undefined) yield* Fiber.interrupt(extra.fiber)
              } else if (op.do === "succeed") {
                ends(extra, "refunded", now)
                changes.push(1)
                yield* Deferred.done(extra.end, Exit.void)
              } else {
                const [exit, isWasted] = failures[op.how] ?? failures[0]
                ends(extra, isWasted ? "wasted" : "refunded", now)
                yield* Deferred.done(extra.end, exit)
              }
              done(op.do)
            }
          }
          yield* TestClock.adjust(0)
          yield* look
        }
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 125, seed }, timeout: 60_000 }
  )

  it("went 10,000 steps, each kind of them at least one in twenty times", () => {
    const total = [...seen.values()].reduce((a, b) => a + b, 0)
    assert.isAtLeast(total, 10_000, JSON.stringify([...seen]))
    assert.lengthOf([...seen], 8)
    for (const [step, count] of seen) assert.isAtLeast(count, total * 0.05, `${step} ${JSON.stringify([...seen])}`)
  })

  // ---------------------------------------------------------------------------
  // One by one
  // ---------------------------------------------------------------------------

  /** Counts a call. */
  const counted = (budget: RetryBudget.RetryBudget) => Effect.flatMap(Clock.currentTimeMillis, budget.first)
  /** Counts calls whose first attempt fails. */
  const fail = (budget: RetryBudget.RetryBudget, calls = 1) =>
    Effect.replicateEffect(
      Effect.flatMap(counted(budget), (charge) => charge.settle(Exit.fail(fault))),
      calls,
      { discard: true }
    )
  const left = (budget: RetryBudget.RetryBudget) => Effect.map(budget.status, ({ left }) => left)
  /** An extra attempt that starts at once. */
  const start = (budget: RetryBudget.RetryBudget, because: ClaudeError.ClaudeError = fault) =>
    Effect.map(budget.charge(because), (charge) => charge ?? assert.fail("it may start"))
  const since = (start: number) => Effect.map(Clock.currentTimeMillis, (now) => now - start)

  it.effect("G7: an extra attempt takes 14, or 5 after a rate limit that said when to come back", () =>
    Effect.gen(function*() {
      for (const [because, cost] of reasons) {
        const budget = yield* opened()
        yield* start(budget, because)
        assert.strictEqual(yield* left(budget), 140 - cost, because._tag)
      }
    }).pipe(Effect.scoped))

  it.effect("G2 G7: what it took is given back when it succeeds, is interrupted, or is no load for nothing", () =>
    Effect.gen(function*() {
      const endings = [...failures, [Exit.succeed("well"), false], [Exit.interrupt(), false]] as const
      for (const [because, cost] of reasons) {
        for (const [exit, isWasted] of endings) {
          const budget = yield* opened()
          const charge = yield* start(budget, because)
          assert.strictEqual((yield* budget.status).extra, 1)
          yield* charge.settle(exit)
          const { extra, left } = yield* budget.status
          assert.deepStrictEqual([left, extra], isWasted ? [140 - cost, 1] : [140, 0], `${exit}`)
        }
      }
    }).pipe(Effect.scoped))

  it.effect("G7: a call whose first attempt succeeds gives 1, and there are never more than 140", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      const charge = yield* start(budget)
      yield* charge.settle(Exit.fail(fault))
      for (const exit of [Exit.fail(fault), Exit.interrupt(), Exit.die("a defect")]) {
        yield* Effect.flatMap(counted(budget), (charge) => charge.settle(exit))
        assert.strictEqual(yield* left(budget), 126)
      }
      for (let i = 1; i <= 20; i++) {
        yield* Effect.flatMap(counted(budget), (charge) => charge.settle(Exit.void))
        assert.strictEqual(yield* left(budget), Math.min(140, 126 + i))
      }
    }).pipe(Effect.scoped))

  it.effect("G7: three failed ones in a minute are free, and each further one needs four calls", () =>
    Effect.gen(function*() {
      const budget = yield* opened({ quota: 1e9 })
      const started = yield* Effect.forkChild(Effect.replicateEffect(start(budget), 100))
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* budget.status).extra, 3)
      for (let calls = 1; calls <= 12; calls++) {
        yield* fail(budget)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* budget.status).extra, 3 + Math.floor(Math.min(calls, 11) / 4), `${calls} calls`)
      }
      yield* Fiber.interrupt(started)
    }).pipe(Effect.scoped))

  it.effect("G7: who waits for the quota goes when a call has given what it takes, and not later", () =>
    Effect.gen(function*() {
      const budget = yield* opened({ quota: 14 })
      yield* Effect.flatMap(start(budget), (charge) => charge.settle(Exit.fail(fault)))
      const waiting = yield* Effect.forkChild(start(budget))
      yield* TestClock.adjust("30 seconds")
      for (let calls = 1; calls <= 14; calls++) {
        assert.isUndefined(waiting.pollUnsafe(), `after ${calls - 1} calls`)
        yield* Effect.flatMap(counted(budget), (charge) => charge.settle(Exit.void))
        yield* Effect.replicateEffect(Effect.yieldNow, 10, { discard: true })
      }
      assert.isDefined(waiting.pollUnsafe(), "after 14 calls")
    }).pipe(Effect.scoped))

  it.effect("G7: what failed more than a minute ago is forgotten, and not before", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      const began = yield* Clock.currentTimeMillis
      for (let i = 0; i < 3; i++) yield* Effect.flatMap(start(budget), ({ settle }) => settle(Exit.fail(fault)))
      const fourth = yield* Effect.forkChild(Effect.andThen(start(budget), since(began)))
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* Fiber.join(fourth), 65_000)
    }).pipe(Effect.scoped))

  it.effect("G7: below half of the quota they go one at a time, later after each failure", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget, 100)
      const began = yield* Clock.currentTimeMillis
      const starts: Array<number> = []
      // Each takes 100 ms and fails.
      const extra = Effect.gen(function*() {
        const charge = yield* start(budget)
        starts.push(yield* since(began))
        yield* Effect.sleep(100)
        yield* charge.settle(Exit.fail(fault))
      })
      yield* Effect.forkChild(Effect.all(Array.from({ length: 12 }, () => extra), { concurrency: "unbounded" }))
      for (let i = 0; i < 300; i++) {
        yield* TestClock.adjust("1 second")
        // So that only the pace is what they wait for.
        yield* fail(budget, 10)
      }
      // Five at once. Then 2, 4, 8, 16 and 32 seconds after the last failure; and no more, as nothing succeeds.
      assert.deepStrictEqual(starts, [0, 0, 0, 0, 0, 2100, 6200, 14_300, 30_400, 62_500])
    }).pipe(Effect.scoped))

  it.effect("G7: an answer that breaks off is a failure from then on, and not since it was opened", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget, 100)
      for (let i = 0; i < 5; i++) yield* Effect.flatMap(start(budget), ({ settle }) => settle(Exit.fail(fault)))
      yield* TestClock.adjust("2 seconds")
      const charge = yield* start(budget)
      yield* charge.settle(Exit.void)
      yield* TestClock.adjust("10 seconds")
      yield* charge.ended?.(Exit.fail(new ClaudeError.PartialAnswer({}))) ?? assert.fail("answers are read")
      const next = yield* Effect.forkChild(start(budget))
      yield* TestClock.adjust(3999)
      assert.isUndefined(next.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(next.pollUnsafe())
    }).pipe(Effect.scoped))

  it.effect("G7: below half of the quota nobody goes while another runs, and the next goes when that has succeeded", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget, 100)
      const running = yield* Effect.replicateEffect(start(budget), 5)
      const sixth = yield* Effect.forkChild(start(budget))
      const seventh = yield* Effect.forkChild(start(budget))
      yield* TestClock.adjust("50 seconds")
      assert.isUndefined(sixth.pollUnsafe())
      const [one, ...others] = running
      yield* one?.settle(Exit.void) ?? assert.fail("five run")
      yield* TestClock.adjust(0)
      assert.isDefined(sixth.pollUnsafe(), "with the tokens of one, it is not below half")
      for (const { settle } of others) yield* settle(Exit.fail(fault))
      assert.isUndefined(seventh.pollUnsafe())
      yield* Effect.flatMap(Fiber.join(sixth), ({ settle }) => settle(Exit.void))
      yield* TestClock.adjust(0)
      assert.isDefined(seventh.pollUnsafe(), "nobody runs, and it is not below half")
    }).pipe(Effect.scoped))

  it.effect("G7: 256 wait, the next is refused at once, and those that wait are not", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* Effect.replicateEffect(start(budget), 3)
      const waiting = yield* Effect.replicateEffect(Effect.forkChild(budget.charge(fault)), 256)
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* budget.status).waiting, 256)
      assert.isUndefined(yield* budget.charge(fault))
      yield* TestClock.adjust("1 minute")
      assert.isTrue(waiting.every((fiber) => fiber.pollUnsafe() === undefined))
      yield* Fiber.interruptAll(waiting.slice(100, 101))
      const instead = yield* Effect.forkChild(budget.charge(fault))
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* budget.status).waiting, 256)
      yield* Fiber.interrupt(instead)
      yield* Fiber.interruptAll(waiting)
      assert.deepStrictEqual(yield* budget.status, { left: 98, waiting: 0, calls: 0, extra: 3 })
    }).pipe(Effect.scoped))

  it.effect("G7: one that may not start waits until just before its deadline, and no longer than five minutes", () =>
    Effect.gen(function*() {
      for (
        const [deadline, waits] of [
          [10_000, 9999],
          [2, 1],
          [1, 0],
          [0, 0],
          [-5, 0],
          [300_001, 300_000],
          [3_600_000, 300_000],
          [Infinity, 300_000]
        ] as const
      ) {
        const budget = yield* opened({ quota: 14, burst: 0 })
        const began = yield* Clock.currentTimeMillis
        const refused = yield* budget.charge(fault).pipe(
          Effect.provideService(Current.Deadline, began + deadline),
          Effect.flatMap((charge) => charge === undefined ? since(began) : assert.fail("it may not start")),
          Effect.forkChild
        )
        yield* TestClock.adjust(waits === 0 ? 0 : waits - 1)
        assert.strictEqual(refused.pollUnsafe() === undefined, waits > 0, `${deadline}`)
        yield* TestClock.adjust(1)
        assert.isDefined(refused.pollUnsafe(), `${deadline}`)
        assert.strictEqual(yield* Fiber.join(refused), waits)
      }
    }).pipe(Effect.scoped))

  it.effect("one whose turn comes when its time is over leaves nothing behind", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* Effect.replicateEffect(start(budget), 3)
      const now = yield* Clock.currentTimeMillis
      // The slice of five seconds in which it could go begins in that moment.
      const waiting = yield* budget.charge(fault).pipe(
        Effect.provideService(Current.Deadline, now + 65_001),
        Effect.tap((charge) => charge?.settle(Exit.void) ?? Effect.void),
        Effect.forkChild
      )
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(yield* budget.status, { left: 98, waiting: 0, calls: 0, extra: 0 })
    }).pipe(Effect.scoped))

  it.effect("G2: one that is interrupted in the moment in which its turn comes leaves nothing behind", () =>
    Effect.gen(function*() {
      for (let ticks = 0; ticks < 12; ticks++) {
        const budget = yield* opened({ quota: 14 })
        const running = yield* start(budget)
        const waiting = yield* Effect.acquireUseRelease(
          budget.charge(fault),
          () => Effect.never,
          (charge, exit) => charge?.settle(exit) ?? Effect.void
        ).pipe(Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* budget.status).waiting, 1)
        yield* running.settle(Exit.void)
        for (let i = 0; i < ticks; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(waiting)
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(yield* budget.status, { left: 14, waiting: 0, calls: 0, extra: 0 }, `${ticks}`)
        // Nor is it thought to be running.
        yield* start(budget)
      }
    }).pipe(Effect.scoped))

  it.effect("G9: an idle hour gives nothing back, and takes nothing", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* Effect.flatMap(start(budget), ({ settle }) => settle(Exit.fail(fault)))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* budget.status, { left: 126, waiting: 0, calls: 0, extra: 0 })
    }).pipe(Effect.scoped))

  it.effect("G7: who waits for its share waits for a minute, also where the clock is set back meanwhile", () =>
    steppedBack((back) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("10 hours")
        const budget = yield* opened()
        for (let i = 0; i < 3; i++) yield* Effect.flatMap(start(budget), ({ settle }) => settle(Exit.fail(fault)))
        const waiting = yield* Effect.forkChild(start(budget), { startImmediately: true })
        yield* TestClock.adjust("10 seconds")
        yield* back(3_600_000)
        yield* TestClock.adjust("49 seconds")
        assert.isUndefined(waiting.pollUnsafe())
        assert.include(yield* budget.status, { extra: 3, waiting: 1 })
        // What passed before is not known to have passed, and slices are of five seconds.
        yield* TestClock.adjust("16 seconds")
        assert.isDefined(waiting.pollUnsafe())
        // Calls are counted where they are.
        yield* fail(budget, 4)
        yield* back(3_600_000)
        yield* fail(budget, 4)
        assert.include(yield* budget.status, { extra: 1, calls: 8 })
        yield* TestClock.adjust("65 seconds")
        assert.include(yield* budget.status, { extra: 0, calls: 0 })
      })
    ).pipe(Effect.scoped))

  it.effect("G7: below half, who waits for the last failure waits as long as ever where the clock is set back", () =>
    steppedBack((back) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("10 hours")
        const budget = yield* opened({ quota: 28 })
        yield* Effect.flatMap(start(budget), ({ settle }) => settle(Exit.fail(fault)))
        yield* back(3_600_000)
        const waiting = yield* Effect.forkChild(start(budget), { startImmediately: true })
        yield* TestClock.adjust(1999)
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.isDefined(waiting.pollUnsafe())
      })
    ).pipe(Effect.scoped))

  it.effect("G7: an hour of full outage costs ten extra attempts, at any rate", () =>
    Effect.gen(function*() {
      for (const [calls, every] of [[180, "20 seconds"], [3600, "1 second"]] as const) {
        const budget = yield* opened()
        let extra = 0
        for (let i = 0; i < calls; i++) {
          yield* fail(budget)
          yield* budget.charge(fault).pipe(
            Effect.flatMap((charge) => {
              if (charge === undefined) return Effect.void
              extra++
              return charge.settle(Exit.fail(fault))
            }),
            Effect.forkChild
          )
          yield* TestClock.adjust(every)
        }
        assert.strictEqual(extra, 10)
      }
    }).pipe(Effect.scoped))
})

// -----------------------------------------------------------------------------
// Settings
// -----------------------------------------------------------------------------

describe("G12: settings that cannot be meant", () => {
  const cases: ReadonlyArray<readonly [RetryBudget.Options, sentence: string]> = [
    [{ quota: -1 }, "budget: quota is -1: it must be a number, 0 or more"],
    [{ quota: NaN }, "budget: quota is NaN: it must be a number, 0 or more"],
    [{ quota: Infinity }, "budget: quota is Infinity: it must be a number, 0 or more"],
    [{ cost: 0 }, "budget: cost is 0, so that the quota limits nothing: leave the budget out, or raise cost"],
    [{ ratio: -0.1 }, "budget: ratio is -0.1: it must be a number, 0 or more"],
    [
      { ratio: 0, burst: 0 },
      "budget: ratio is 0 and burst (0) is below 1, so that nothing is ever tried again: raise one of them"
    ],
    [
      { cost: 200 },
      "budget: cost (200) is more than quota (140), so that nothing is ever tried again: raise quota or lower cost"
    ],
    [
      { costRateLimited: 141 },
      "budget: costRateLimited (141) is more than quota (140), so that nothing is ever tried again: raise quota or lower "
      + "costRateLimited"
    ],
    [{ queue: 1.5 }, "budget: queue is 1.5: it must be a whole number, 0 or more"],
    [{ burst: -1 }, "budget: burst is -1: it must be a number, 0 or more"],
    [{ queue: -1 }, "budget: queue is -1: it must be a number, 0 or more"]
  ]
  for (const [options, sentence] of cases) {
    it(sentence, () => assert.throws(() => RetryBudget.settings(options), RangeError, sentence))
  }
})
