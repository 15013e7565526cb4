/**
 * The retry budget against a reference model that knows only what happened and when.
 *
 * `SEED=anything vitest run test/guard/budget/RetryBudget.test.ts` tries other sequences.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Option, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Paid } from "../../../src/budget.ts"
import * as BudgetGuard from "../../../src/guard/budget/guard.ts"
import * as Settings from "../../../src/guard/budget/settings.ts"
import { type Claude, ClaudeError, Current, type Guard, type RetryBudget } from "../../../src/index.ts"
import { steppedBack } from "../../support/steppedBack.ts"

const seed = process.env["SEED"] ?? "resilient-claude"

const opened = (options: RetryBudget.Options = {}) =>
  Effect.map(Effect.scope, (scope) => BudgetGuard.make(Settings.settings(options), scope))

const fault = new ClaudeError.ServerFault({ status: 500 })
const broken = new ClaudeError.PartialAnswer({})
const model = "claude-sonnet-5-5"
const request = (model: string) => ({ params: { model, max_tokens: 1, messages: [] }, limits: {} })

/** The phases of a request as the guard sees them: sent, begun, ended. */
const sent = (budget: BudgetGuard.RetryBudget, name = model, charge?: Claude.Charge) =>
  Effect.provideService(budget.guard.admit(request(name)), Paid, charge)
const begin = (lease: Guard.Lease) =>
  Effect.suspend(() =>
    lease.opened?.({
      requestId: undefined,
      rateLimits: {},
      pull: Effect.never,
      reply: () => assert.fail("nobody asks"),
      usage: () => assert.fail("nobody asks"),
      isComplete: () => false
    }) ?? Effect.void
  )

/** All endings of an attempt, and whether each is a loss. */
const endings = [
  [Exit.fail(fault), true],
  [Exit.fail(new ClaudeError.RateLimited({})), true],
  [Exit.fail(broken), true],
  [Exit.fail(new ClaudeError.Refused({})), true],
  [Exit.fail(new ClaudeError.MalformedOutput({})), true],
  [Exit.fail(new ClaudeError.CircuitOpen({})), false],
  [Exit.fail(new ClaudeError.Saturated({})), false],
  [Exit.fail(new ClaudeError.Truncated({})), false],
  // Foreign errors say nothing about Claude.
  [Exit.fail("a foreign error"), false],
  [Exit.die("a defect"), false],
  [Exit.interrupt(), false],
  [Exit.succeed("well"), false]
] as const

// -----------------------------------------------------------------------------
// Reference model: what happened to each attempt
// -----------------------------------------------------------------------------

/** An extra attempt: when it came, started, began to answer, and how it ended. */
interface Extra {
  readonly came: number
  readonly deadline: number
  readonly end: Deferred.Deferred<Guard.Ending>
  readonly begins: Deferred.Deferred<void>
  fiber: Fiber.Fiber<void, unknown> | undefined
  start: number | undefined
  /** How many answers had begun when it started, and whether the bucket was empty then. */
  round: number
  isPaced: boolean
  hasBegun: boolean
  /** The credit that its answer earned by beginning. */
  gave: number
  over: "wasted" | "neutral" | "refused" | "cancelled" | undefined
}

/** The reference state of one model. */
interface Known {
  /** How many extra attempts may still fail, if no running one does. */
  left: number
  /** How many answers have begun. */
  rounds: number
  pacedAt: number
  lastFailure: number
  readonly extras: Array<Extra>
}

const isRunning = ({ over, start }: Extra) => start !== undefined && over === undefined
const isWaiting = ({ over, start }: Extra) => start === undefined && over === undefined

/** The latest time at which an attempt may start: a second before its deadline, and at most five minutes after it came. */
const latest = ({ came, deadline }: Extra) => Math.min(came + 300_000, deadline - 1000)

/** The error that a check throws, if any. */
const broke = (check: () => void): unknown =>
  Result.getFailure(Result.try({ try: check, catch: (error) => error })).pipe(Option.getOrUndefined)

/** Whether each attempt started no earlier than the older ones started or left. */
const areInOrder = (extras: ReadonlyArray<Extra>): boolean => {
  let earliest = -Infinity
  return extras.every(({ over, start }) => {
    const isInOrder = start === undefined || start >= earliest
    if (over === undefined || start !== undefined) earliest = Math.max(earliest, start ?? Infinity)
    return isInOrder
  })
}

// -----------------------------------------------------------------------------
// Operations
// -----------------------------------------------------------------------------

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const names = ["claude-sonnet-5-5", "claude-haiku-5-5"] as const
const of = { model: int(0, names.length - 1), pick: int(0, 999) }
const one = <const D extends string>(what: D) => Schema.Struct({ do: Schema.Literal(what), ...of })
/** In seconds; above 200 there is no deadline. */
const Ask = Schema.Struct({ do: Schema.Literal("ask"), deadline: int(0, 250), ...of })
/** In milliseconds. Answers take from one to ten minutes. */
const Pass = Schema.Struct({ do: Schema.Literal("pass"), millis: int(1, 8000) })
const Wait = Schema.Struct({ do: Schema.Literal("wait"), minutes: int(1, 10) })

/** The operations, with their weights. */
const Step = Schema.Union([
  Ask,
  Ask,
  Ask,
  Ask,
  Ask,
  one("call"),
  one("call"),
  one("begin a call"),
  one("break a call"),
  one("begin"),
  one("begin"),
  one("fail"),
  one("fail"),
  one("fail"),
  one("fail"),
  one("end well"),
  one("interrupt"),
  one("cancel"),
  Pass,
  Pass,
  Pass,
  Wait
])
const steps = 125
/** Small, so that the budget is often empty. */
const size = 2
const Steps = Schema.Array(Step).check(Schema.isMinLength(steps), Schema.isMaxLength(steps))

describe("the retry budget", () => {
  /** How often each step applied. */
  const seen = new Map<string, number>()

  it.effect.prop(
    "G2 G7: keeps its credits in bounds, starts waiting calls oldest first, and lets no call wait too long, for two models and random calls",
    { ops: Steps },
    ({ ops }) =>
      Effect.gen(function*() {
        const budget = yield* opened({ size })
        const known = new Map<string, Known>(names.map((name) => [name, {
          left: size,
          rounds: 0,
          pacedAt: -Infinity,
          lastFailure: -Infinity,
          extras: []
        }]))
        const calls: Array<{ readonly name: string; readonly lease: Guard.Lease; hasBegun: boolean; gave: number }> = []
        /** By model: since when the same number of calls wait although a call may start. */
        const stood = new Map<string, { readonly waiting: number; readonly at: number }>()
        let wrong: unknown
        const done = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1)
        const knownOf = (name: string) => known.get(name) ?? assert.fail(name)
        const check = (test: () => void) => {
          wrong ??= broke(test)
        }

        /** An answer begins: it earns credit, up to a full bucket. */
        const begins = (name: string): number => {
          const it = knownOf(name)
          const gave = Math.min(1, size - it.left)
          it.left += gave
          it.rounds++
          return gave
        }
        /** An extra attempt fails. */
        const fails = (it: Known, extra: Extra, now: number) => {
          it.left -= extra.gave + (extra.isPaced ? 0 : 1)
          it.lastFailure = now
        }

        const ask = Effect.fnUntraced(function*(name: string, deadline: number) {
          const came = yield* Clock.currentTimeMillis
          const model = knownOf(name)
          const extra: Extra = {
            came,
            deadline,
            end: Deferred.makeUnsafe(),
            begins: Deferred.makeUnsafe(),
            fiber: undefined,
            start: undefined,
            round: -1,
            isPaced: false,
            hasBegun: false,
            gave: 0,
            over: undefined
          }
          model.extras.push(extra)
          extra.fiber = yield* Effect.acquireUseRelease(
            budget.charge(fault, name),
            Effect.fnUntraced(function*(charge) {
              const at = yield* Clock.currentTimeMillis
              if (charge === undefined) {
                extra.over = "refused"
                check(() =>
                  assert.isTrue(at === came || at >= latest(extra), "it is rejected at once, or at its limit")
                )
                return
              }
              extra.start = at
              check(() => assert.isAtMost(at, Math.max(came, latest(extra)), "it starts in time"))
              extra.round = model.rounds
              const others = model.extras.filter((other) =>
                other !== extra && isRunning(other) && other.round === model.rounds
              )
              if (model.left - others.filter(({ isPaced }) => !isPaced).length < 1) {
                extra.isPaced = true
                const from = Math.max(model.pacedAt, model.lastFailure)
                model.pacedAt = at
                check(() => {
                  assert.isAtLeast(at - from, 10_000, "attempts of an empty bucket are at least 10 s apart")
                  assert.lengthOf(others, 0, "and only one runs at a time")
                })
              }
              const lease = yield* sent(budget, name, charge)
              yield* Effect.onExit(
                Effect.andThen(
                  Effect.raceFirst(
                    Effect.andThen(Deferred.await(extra.begins), Effect.andThen(begin(lease), Effect.never)),
                    Effect.flatMap(Deferred.await(extra.end), (exit) => exit)
                  ),
                  Effect.void
                ),
                (exit) => lease.settle(exit)
              )
            }),
            (charge, exit) => charge?.settle(exit) ?? Effect.void
          ).pipe(Effect.provideService(Current.Deadline, deadline), Effect.ignore, Effect.forkChild)
        })

        const look = Effect.gen(function*() {
          if (wrong !== undefined) throw wrong
          const now = yield* Clock.currentTimeMillis
          const status = yield* budget.status
          for (const [name, { extras }] of known) {
            const { remaining, waiting } = status[name] ?? { remaining: size, waiting: 0 }
            assert.isTrue(remaining >= 0 && remaining <= size, `${remaining}`)
            assert.strictEqual(waiting, extras.filter(isWaiting).length)
            assert.isTrue(areInOrder(extras), "oldest first")
            const late = extras.filter((extra) => isWaiting(extra) && now >= latest(extra))
            assert.lengthOf(late, 0, "no call waits longer than it may")
            // After an outage at least one call per second leaves, because few new calls come here; otherwise all leave
            // at once.
            const before = stood.get(name)
            const isStanding = remaining >= 1 && waiting > 0
            if (!isStanding) stood.delete(name)
            else if (before?.waiting !== waiting) stood.set(name, { waiting, at: now })
            else assert.isAtMost(now - before.at, 1000, "a call that may start does")
          }
        })
        const pass = (millis: number): Effect.Effect<void> =>
          millis <= 0
            ? Effect.void
            : Effect.andThen(
              Effect.andThen(TestClock.adjust(Math.min(millis, 10_000)), look),
              Effect.suspend(() => pass(millis - 10_000))
            )

        for (const op of ops) {
          const now = yield* Clock.currentTimeMillis
          if (op.do === "pass" || op.do === "wait") {
            yield* pass(op.do === "pass" ? op.millis : op.minutes * 60_000)
            done(op.do)
            continue
          }
          const name = names[op.model] ?? model
          const it = knownOf(name)
          const pick = <A>(among: ReadonlyArray<A>): A | undefined => among[op.pick % Math.max(1, among.length)]
          switch (op.do) {
            case "ask":
              yield* ask(name, op.deadline > 200 ? Infinity : now + op.deadline * 1000)
              done(op.do)
              break
            case "call":
              calls.push({ name, lease: yield* sent(budget, name), hasBegun: false, gave: 0 })
              done(op.do)
              break
            case "begin a call": {
              const call = pick(calls.filter(({ hasBegun }) => !hasBegun))
              if (call === undefined) break
              call.hasBegun = true
              call.gave = begins(call.name)
              yield* begin(call.lease)
              done(op.do)
              break
            }
            case "break a call": {
              const call = pick(calls)
              if (call === undefined) break
              calls.splice(calls.indexOf(call), 1)
              knownOf(call.name).left -= call.gave
              yield* call.lease.settle(Exit.fail(call.hasBegun ? broken : fault))
              done(op.do)
              break
            }
            default: {
              const extra = pick(
                op.do === "cancel"
                  ? it.extras.filter(isWaiting)
                  : it.extras.filter((extra) => isRunning(extra) && (op.do !== "begin" || !extra.hasBegun))
              )
              if (extra === undefined) break
              done(op.do)
              if (op.do === "begin") {
                extra.hasBegun = true
                extra.gave = begins(name)
                yield* Deferred.succeed(extra.begins, undefined)
              } else if (op.do === "cancel" || op.do === "interrupt") {
                // An interrupt after the deadline counts as if the deadline had caused it.
                const isCut = extra.start !== undefined && now >= extra.deadline
                extra.over = op.do === "cancel" ? "cancelled" : isCut ? "wasted" : "neutral"
                if (isCut) fails(it, extra, now)
                if (extra.fiber !== undefined) yield* Fiber.interrupt(extra.fiber)
              } else if (op.do === "fail") {
                extra.over = "wasted"
                fails(it, extra, now)
                yield* Deferred.succeed(extra.end, Exit.fail(extra.hasBegun ? broken : fault))
              } else {
                extra.over = "neutral"
                yield* Deferred.succeed(extra.end, Exit.void)
              }
            }
          }
          yield* TestClock.adjust(0)
          yield* look
        }
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 130, seed }, timeout: 60_000 }
  )

  it("was tested in 10,000 steps, with each kind of step in at least 1 % of them", () => {
    const total = [...seen.values()].reduce((a, b) => a + b, 0)
    assert.isAtLeast(total, 10_000, JSON.stringify([...seen]))
    assert.lengthOf([...seen], 11)
    for (const [step, count] of seen) assert.isAtLeast(count, total * 0.01, `${step} ${JSON.stringify([...seen])}`)
  })

  // ---------------------------------------------------------------------------
  // Examples
  // ---------------------------------------------------------------------------

  const left = (budget: BudgetGuard.RetryBudget, name = model) =>
    Effect.map(budget.status, (status) => status[name]?.remaining ?? 10)
  const waiting = (budget: BudgetGuard.RetryBudget) =>
    Effect.map(budget.status, (status) => status[model]?.waiting ?? 0)
  /** An extra attempt that starts at once, or later. */
  const start = (budget: BudgetGuard.RetryBudget, name = model) =>
    Effect.map(budget.charge(fault, name), (charge) => charge ?? assert.fail("it may start"))
  /** Extra attempts that fail. */
  const fail = (budget: BudgetGuard.RetryBudget, times = 1, name = model) =>
    Effect.replicateEffect(
      Effect.flatMap(start(budget, name), ({ settle }) => settle(Exit.fail(fault))),
      times,
      { discard: true }
    )
  /** A request whose answer begins. */
  const succeed = (budget: BudgetGuard.RetryBudget, charge?: Claude.Charge) =>
    Effect.tap(sent(budget, model, charge), begin)
  const since = (start: number) => Effect.map(Clock.currentTimeMillis, (now) => now - start)

  it.effect("G7: the budget charges one of ten credits for an extra attempt, and returns the credit unless the attempt ends with ServerFault, RateLimited, PartialAnswer, Refused or MalformedOutput", () =>
    Effect.gen(function*() {
      for (const [exit, isWasted] of endings) {
        const budget = yield* opened()
        const charge = yield* start(budget)
        assert.strictEqual(yield* left(budget), 9)
        yield* charge.settle(exit)
        assert.strictEqual(yield* left(budget), isWasted ? 9 : 10, `${exit}`)
      }
    }).pipe(Effect.scoped))

  it.effect("G7: the budget earns one credit for each answer that begins, up to a full bucket", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget, 3)
      for (const expected of [8, 9, 10, 10]) {
        yield* succeed(budget)
        assert.strictEqual(yield* left(budget), expected)
      }
    }).pipe(Effect.scoped))

  it.effect("G7: the budget takes back the credit of an answer that breaks off, not of an answer whose reader leaves", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget, 3)
      const lease = yield* succeed(budget)
      assert.strictEqual(yield* left(budget), 8)
      yield* lease.settle(Exit.fail(broken))
      assert.strictEqual(yield* left(budget), 7)
      const other = yield* succeed(budget)
      yield* other.settle(Exit.interrupt())
      assert.strictEqual(yield* left(budget), 8)
    }).pipe(Effect.scoped))

  it.effect("G7: the budget counts an extra attempt as one failure if its answer begins and then breaks off", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget, 5)
      const charge = yield* start(budget)
      assert.strictEqual(yield* left(budget), 4)
      const lease = yield* succeed(budget, charge)
      assert.strictEqual(yield* left(budget), 6)
      yield* lease.settle(Exit.fail(broken))
      assert.strictEqual(yield* left(budget), 4)
      yield* charge.settle(Exit.fail(broken))
      assert.strictEqual(yield* left(budget), 4)
    }).pipe(Effect.scoped))

  it.effect("G7: the budget counts an extra attempt as failed if its answer is unusable", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget, 5)
      const charge = yield* start(budget)
      const lease = yield* succeed(budget, charge)
      yield* lease.settle(Exit.void)
      yield* charge.settle(Exit.fail(new ClaudeError.MalformedOutput({})))
      assert.strictEqual(yield* left(budget), 4)
    }).pipe(Effect.scoped))

  it.effect("G7: the budget counts an extra attempt as failed if the deadline of its call interrupts it", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      const now = yield* Clock.currentTimeMillis
      const charge = yield* start(budget)
      yield* TestClock.adjust("5 seconds")
      yield* Effect.provideService(charge.settle(Exit.interrupt()), Current.Deadline, now + 5000)
      assert.strictEqual(yield* left(budget), 9)
    }).pipe(Effect.scoped))

  it.effect("G7: the budget lets only ten extra attempts run at the same time until the model answers a call, and twenty after that", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* Effect.replicateEffect(start(budget), 10)
      const eleventh = yield* Effect.forkChild(Effect.replicateEffect(start(budget), 10))
      yield* TestClock.adjust("2 minutes")
      assert.isUndefined(eleventh.pollUnsafe())
      yield* succeed(budget)
      yield* TestClock.adjust(0)
      assert.isDefined(eleventh.pollUnsafe(), "while 20 run")
    }).pipe(Effect.scoped))

  it.effect("G7: the budget has one bucket per model", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget, 10)
      assert.strictEqual(yield* left(budget), 0)
      yield* fail(budget, 1, "claude-haiku-5-5")
      assert.deepStrictEqual(yield* budget.status, {
        "claude-haiku-5-5": { remaining: 9, size: 10, waiting: 0 },
        "claude-sonnet-5-5": { remaining: 0, size: 10, waiting: 0 }
      })
    }).pipe(Effect.scoped))

  it.effect("G7: an empty budget starts one attempt after 10 s, and doubles the wait after each failure, up to 5 minutes", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget, 10)
      const began = yield* Clock.currentTimeMillis
      const starts: Array<number> = []
      const extra = Effect.gen(function*() {
        const charge = yield* budget.charge(fault, model)
        if (charge === undefined) return
        starts.push(yield* since(began))
        yield* Effect.sleep(1000)
        yield* charge.settle(Exit.fail(fault))
      })
      // Each call waits for at most five minutes.
      yield* Effect.forkChild(Effect.replicateEffect(Effect.andThen(Effect.forkChild(extra), Effect.sleep(1000)), 1500))
      yield* TestClock.adjust("1500 seconds")
      const gaps = starts.map((at, i) => at - (starts[i - 1] ?? 0))
      assert.deepStrictEqual(gaps.slice(0, 6), [10_000, 21_000, 41_000, 81_000, 161_000, 301_000])
      assert.isTrue(gaps.slice(6).every((gap) => gap === 301_000))
    }).pipe(Effect.scoped))

  it.effect("G7: after an outage, the budget releases waiting calls oldest first, and one per second if no new calls come", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget, 10)
      const order: Array<number> = []
      const extra = (i: number) =>
        Effect.gen(function*() {
          const charge = yield* start(budget)
          order.push(i)
          yield* Effect.sleep(1000)
          yield* succeed(budget, charge)
        })
      for (let i = 0; i < 31; i++) yield* Effect.forkChild(extra(i), { startImmediately: true })
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* waiting(budget), 31)
      yield* succeed(budget)
      for (const started of [1, 2, 3]) {
        yield* TestClock.adjust(0)
        assert.lengthOf(order, started)
        yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(order, Array.from({ length: 31 }, (_, i) => i))
    }).pipe(Effect.scoped))

  it.effect("G7: the budget shortens the wait for the next paced attempt to 10 s again when an answer begins, unless that answer breaks off", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget, 10)
      /** One attempt starts after its wait, and fails. */
      const paced = (seconds: number) =>
        Effect.gen(function*() {
          const next = yield* Effect.forkChild(start(budget), { startImmediately: true })
          yield* TestClock.adjust(seconds * 1000 - 1)
          assert.isUndefined(next.pollUnsafe(), `${seconds}`)
          yield* TestClock.adjust(1)
          const charge = yield* Fiber.join(next)
          yield* charge.settle(Exit.fail(fault))
        })
      yield* paced(10)
      yield* paced(20)
      const lease = yield* succeed(budget)
      yield* lease.settle(Exit.fail(broken))
      yield* paced(40)
      yield* succeed(budget)
      yield* fail(budget)
      yield* paced(10)
    }).pipe(Effect.scoped))

  it.effect("G7: the budget rejects a call at once only if even the next paced attempt comes too late for it", () =>
    Effect.gen(function*() {
      for (
        const [deadline, isRefused] of [[10_999, true], [11_000, false], [11_001, false], [Infinity, false]] as const
      ) {
        const budget = yield* opened()
        yield* fail(budget, 10)
        const now = yield* Clock.currentTimeMillis
        const asked = yield* budget.charge(fault, model).pipe(
          Effect.provideService(Current.Deadline, now + deadline),
          Effect.forkChild({ startImmediately: true })
        )
        assert.strictEqual(asked.pollUnsafe() !== undefined, isRefused, `${deadline}`)
        yield* Fiber.interrupt(asked)
      }
    }).pipe(Effect.scoped))

  it.effect("G7: the budget lets a call wait until a second before its deadline, and at most five minutes", () =>
    Effect.gen(function*() {
      for (
        const [deadline, waits] of [
          [10_000, 9000],
          [1001, 1],
          [1000, 0],
          [0, 0],
          [-5, 0],
          [301_001, 300_000],
          [3_600_000, 300_000],
          [Infinity, 300_000]
        ] as const
      ) {
        const budget = yield* opened()
        yield* Effect.replicateEffect(start(budget), 10)
        const began = yield* Clock.currentTimeMillis
        const refused = yield* budget.charge(fault, model).pipe(
          Effect.provideService(Current.Deadline, began + deadline),
          Effect.flatMap((charge) => charge === undefined ? since(began) : assert.fail("it has to wait")),
          Effect.forkChild
        )
        yield* TestClock.adjust(waits === 0 ? 0 : waits - 1)
        assert.strictEqual(refused.pollUnsafe() === undefined, waits > 0, `${deadline}`)
        yield* TestClock.adjust(1)
        assert.isDefined(refused.pollUnsafe(), `${deadline}`)
        assert.strictEqual(yield* Fiber.join(refused), waits)
      }
    }).pipe(Effect.scoped))

  it.effect("G2: the budget is unchanged by a call that is interrupted the moment its turn comes", () =>
    Effect.gen(function*() {
      for (let ticks = 0; ticks < 12; ticks++) {
        const budget = yield* opened({ size: 1 })
        const running = yield* start(budget)
        const waits = yield* Effect.acquireUseRelease(
          budget.charge(fault, model),
          () => Effect.never,
          (charge, exit) => charge?.settle(exit) ?? Effect.void
        ).pipe(Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* waiting(budget), 1)
        yield* running.settle(Exit.void)
        for (let i = 0; i < ticks; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(waits)
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(yield* budget.status, { [model]: { remaining: 1, size: 1, waiting: 0 } }, `${ticks}`)
        // The budget does not count the interrupted call as running either.
        yield* start(budget)
      }
    }).pipe(Effect.scoped))

  it.effect("G9: the budget neither gains nor loses credit in an idle hour", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      yield* fail(budget)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* budget.status, { [model]: { remaining: 9, size: 10, waiting: 0 } })
    }).pipe(Effect.scoped))

  it.effect("G9: the budget forgets a model after an idle hour, unless failed attempts have left its bucket below its full size", () =>
    Effect.gen(function*() {
      const budget = yield* opened()
      const full = { remaining: 10, size: 10, waiting: 0 }
      yield* fail(budget)
      yield* (yield* start(budget, "full")).settle(Exit.void)

      yield* TestClock.adjust("59 minutes")
      yield* fail(budget, 1, "a new model")
      assert.deepStrictEqual((yield* budget.status)["full"], full)

      yield* TestClock.adjust("1 minute")
      yield* fail(budget, 1, "another")
      const one = { remaining: 9, size: 10, waiting: 0 }
      assert.deepStrictEqual(yield* budget.status, { [model]: one, "a new model": one, another: one })
    }).pipe(Effect.scoped))

  it.effect("G7: an empty budget starts an attempt after 10 s, even if the clock is set back by an hour", () =>
    steppedBack((back) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("10 hours")
        const budget = yield* opened({ size: 1 })
        yield* fail(budget)
        yield* back(3_600_000)
        const waits = yield* Effect.forkChild(start(budget), { startImmediately: true })
        yield* TestClock.adjust(9999)
        assert.isUndefined(waits.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.isDefined(waits.pollUnsafe())
      })
    ).pipe(Effect.scoped))
})

// -----------------------------------------------------------------------------
// Settings
// -----------------------------------------------------------------------------

describe("G12: invalid settings fail with the message", () => {
  const cases: ReadonlyArray<readonly [RetryBudget.Options, sentence: string]> = [
    [{ size: 0 }, "Guards: budget: size is 0: it must be a whole number, 1 or more; for no limit, write budget: false"],
    [
      { size: Infinity },
      "Guards: budget: size is Infinity: it must be a whole number, 1 or more; for no limit, write budget: false"
    ],
    [
      { size: 1.5 },
      "Guards: budget: size is 1.5: it must be a whole number, 1 or more; for no limit, write budget: false"
    ],
    [
      { size: -1 },
      "Guards: budget: size is -1: it must be a whole number, 1 or more; for no limit, write budget: false"
    ]
  ]
  for (const [options, sentence] of cases) {
    it(sentence, () => assert.throws(() => Settings.settings(options), RangeError, sentence))
  }
})
