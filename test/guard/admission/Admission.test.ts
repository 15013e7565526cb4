/**
 * The queue for slots and quota: the order of its calls, what it returns when they end, and the concurrency limit.
 *
 * `SEED=anything vitest run test/guard/admission/Admission.test.ts` tries other sequences.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Scheduler, Schema } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import type * as Admission from "../../../src/guard/admission/Admission.ts"
import type * as AdmissionGuard from "../../../src/guard/admission/guard.ts"
import * as Settings from "../../../src/guard/admission/settings.ts"
import { type Claude, ClaudeError, Current, Quota } from "../../../src/index.ts"
import { type Call, caller, type End, failureOf, make, request, usage } from "../../support/admission.ts"

const seed = process.env["SEED"] ?? "resilient-claude"

const priorities = ["interactive", "default", "background"] as const
type Priority = (typeof priorities)[number]

const now = TestClock.testClockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))
const finish = (call: Call, end: End) => Effect.andThen(Deferred.succeed(call.end, end), TestClock.adjust(0))
const failed = (error: ClaudeError.ClaudeError): End => ({ exit: Exit.fail(error) })

/** An answer whose content is never read. */
const begun = {} as Claude.Opened

const success: End = { exit: Exit.void, usage: usage(10, 60) }
const overloaded = failed(new ClaudeError.Overloaded({ status: 529 }))

// -----------------------------------------------------------------------------
// Reference model: the list of all entries and calls
// -----------------------------------------------------------------------------

const dimensions = ["requests", "input", "output"] as const
type Amount = Record<(typeof dimensions)[number], number>

/** 0.8 of these is 60 requests, 6,000 input and 12,000 output tokens per minute. */
const stated: Amount = { requests: 75, input: 7500, output: 15_000 }
const perMinute: Amount = { requests: 60, input: 6000, output: 12_000 }
const slots = 3
const bound = 4
const maxWait = 20_000

/** What was taken, returned or reported as left, and when. */
type Entry = { readonly at: number; readonly moved: Partial<Amount> } | {
  readonly at: number
  readonly atMost: Partial<Amount>
}

const tenants = ["one", "two", "three"] as const

interface Asked {
  readonly id: number
  readonly rank: number
  readonly tenant: string
  readonly input: number
  readonly at: number
  state: "waiting" | "running" | "out"
  /** When the call was admitted, and the net amount taken by then. */
  let: { readonly at: number; readonly total: Amount }
}

/** The level of a bucket, computed from all entries. */
const level = (entries: ReadonlyArray<Entry>, of: keyof Amount, time: number): number => {
  const full = perMinute[of]
  let least = full
  let since = 0
  for (const entry of entries.toReversed()) {
    const refilled = (perMinute[of] / 60_000) * (time - entry.at)
    if ("atMost" in entry) least = Math.min(least, (entry.atMost[of] ?? Infinity) + refilled + since)
    else {
      least = Math.min(least, full + refilled + since)
      since += entry.moved[of] ?? 0
      least = Math.min(least, full + refilled + since)
    }
  }
  return least
}

class Model {
  readonly asked: Array<Asked> = []
  readonly entered: Array<number> = []
  readonly turnedAway: Array<number> = []
  readonly entries: Array<Entry> = []
  /** The tenants in turn, by rank. */
  readonly turns: ReadonlyArray<Array<string>> = [[], [], []]
  hasAnswered = false
  mostSeen = { requests: 0, input: 0 }
  time = 0

  /** The waiting calls of a rank and a tenant, in order. */
  of = (rank: number, tenant?: string) =>
    this.asked.filter((call) =>
      call.state === "waiting" && call.rank === rank && (tenant === undefined || call.tenant === tenant)
    )
  waiting = () => this.asked.filter(({ state }) => state === "waiting")
  running = () => this.asked.filter(({ state }) => state === "running")
  total = (): Amount => {
    const sum = (of: keyof Amount) =>
      this.entries.reduce((sum, entry) => sum - ("moved" in entry ? entry.moved[of] ?? 0 : 0), 0)
    return { requests: sum("requests"), input: sum("input"), output: sum("output") }
  }

  /** The next call: lowest rank first, then the next tenant. */
  first(): Asked | undefined {
    for (const [rank, turns] of this.turns.entries()) {
      // A tenant without waiting calls loses its turn.
      const left = turns.filter((tenant) => this.of(rank, tenant).length > 0)
      turns.splice(0, turns.length, ...left)
      const [tenant] = turns
      if (tenant !== undefined) return this.of(rank, tenant)[0]
    }
    return undefined
  }

  mayGo(first: Asked, time: number): boolean {
    const cost: Amount = { requests: 1, input: Math.min(first.input, perMinute.input), output: 100 }
    return dimensions.every((of) => level(this.entries, of, time) >= cost[of] - 1e-6)
  }

  letIn() {
    for (let first = this.first(); first !== undefined; first = this.first()) {
      if (this.running().length >= slots || !this.mayGo(first, this.time)) return
      const turns = this.turns[first.rank] ?? []
      turns.push(...turns.splice(0, 1))
      this.enter(first)
    }
  }

  enter(call: Asked) {
    call.state = "running"
    this.entered.push(call.id)
    this.entries.push({ at: this.time, moved: { requests: -1, input: -call.input, output: -100 } })
    call.let = { at: this.time, total: this.total() }
  }

  arrive(rank: number, tenant: string, input: number) {
    const call: Asked = {
      id: this.asked.length,
      rank,
      tenant,
      input,
      at: this.time,
      state: "out",
      let: { at: 0, total: this.total() }
    }
    this.asked.push(call)
    const first = this.first()
    if ((first === undefined || first.rank > rank) && this.running().length < slots && this.mayGo(call, this.time)) {
      return this.enter(call)
    }
    if (this.isHopeless(call) || this.isFull(call)) this.turnedAway.push(call.id)
    else {
      call.state = "waiting"
      const turns = this.turns[rank]
      if (turns?.includes(tenant) === false) turns.push(tenant)
    }
  }

  /** Each tenant has an equal share of the places, and in total at most twice the places are used. */
  isFull({ rank, tenant }: Asked): boolean {
    const before = this.waiting().filter((other) => other.rank <= rank)
    const own = before.filter((other) => other.tenant === tenant).length
    const all = new Set([tenant, ...this.waiting().map((other) => other.tenant)])
    return own >= Math.max(1, Math.floor(bound / all.size)) || before.length >= 2 * bound
  }

  /** Whether the minimum need of this call, and of all that go before it, is not available in time. */
  isHopeless(call: Asked): boolean {
    const output = this.hasAnswered ? 100 : 0
    const sum = (calls: ReadonlyArray<Asked>): Amount => ({
      requests: calls.length,
      input: calls.reduce((sum, { input }) => sum + input, 0),
      output: calls.length * output
    })
    const lower = sum(this.waiting().filter(({ rank }) => rank < call.rank))
    const same = this.of(call.rank)
    const lanes = new Set(same.map(({ tenant }) => tenant))
    const own = this.of(call.rank, call.tenant).length
    const turns = Math.min(same.length, own * lanes.size + lanes.size - (own > 0 ? 1 : 0))
    const beside = sum(same)
    return dimensions.some((of) => {
      const needed = lower[of] + (same.length === 0 ? 0 : beside[of] * turns / same.length) + sum([call])[of]
      const wait = (needed - level(this.entries, of, this.time)) / (perMinute[of] / 60_000)
      return Math.ceil(wait - 1e-6) > maxWait
    })
  }

  leave(call: Asked) {
    if (call.state === "waiting") this.turnedAway.push(call.id)
    call.state = "out"
  }

  end(call: Asked, back: Partial<Amount>) {
    this.leave(call)
    this.entries.push({ at: this.time, moved: back })
  }

  /** An answer reports what is left. A fifth of the highest value stays free. */
  told(call: Asked, remaining: { readonly requests: number; readonly input: number }) {
    const total = this.total()
    const atMost = (of: "requests" | "input") => {
      this.mostSeen[of] = Math.max(this.mostSeen[of], remaining[of])
      const back = perMinute[of] / 60_000 * (this.time - call.let.at)
      const left = remaining[of] + back - Math.max(0, total[of] - call.let.total[of])
      return Math.max(-1, left) - 0.2 * this.mostSeen[of]
    }
    this.entries.push({ at: this.time, atMost: { requests: atMost("requests"), input: atMost("input") } })
  }

  /** Time passes. At each moment, first the calls whose wait is over leave, then the next calls are admitted. */
  pass(ms: number) {
    const end = this.time + ms
    while (this.time < end) {
      const first = this.first()
      let next = Math.min(end, ...this.waiting().map(({ at }) => at + maxWait))
      if (first !== undefined && this.running().length < slots && this.mayGo(first, next)) {
        let [early, late] = [this.time, next]
        while (late - early > 1) {
          const middle = Math.floor((early + late) / 2)
          if (this.mayGo(first, middle)) late = middle
          else early = middle
        }
        next = late
      }
      this.time = next
      for (const call of this.waiting()) if (call.at + maxWait <= this.time) this.leave(call)
      this.letIn()
    }
  }
}

// -----------------------------------------------------------------------------
// Operations
// -----------------------------------------------------------------------------

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const Arrive = (largest: number) =>
  Schema.Struct({
    do: Schema.Literals(["arrive"]),
    priority: Schema.Literals(priorities),
    tenant: Schema.Literals(tenants),
    input: int(1, largest)
  })
const Op = Schema.Union([
  Arrive(200),
  Arrive(4000),
  Schema.Struct({ do: Schema.Literals(["pass"]), ms: int(0, 9000) }),
  // Answers take from a second to ten minutes, while other calls come and wait.
  Schema.Struct({ do: Schema.Literals(["pass"]), ms: Schema.Literals([1000, 60_000, 600_000]) }),
  Schema.Struct({ do: Schema.Literals(["succeed"]), pick: int(0, 99), input: int(1, 5000), output: int(100, 200) }),
  Schema.Struct({
    do: Schema.Literals(["fail"]),
    pick: int(0, 99),
    kind: Schema.Literals(["fault", "refused", "unsent", "gone", "partial"])
  }),
  Schema.Struct({ do: Schema.Literals(["limit"]), pick: int(0, 99), left: int(0, 7500) }),
  Schema.Struct({ do: Schema.Literals(["interrupt", "cancel"]), pick: int(0, 99) })
])
type Op = typeof Op.Type
const script = Schema.Array(Op).check(Schema.isMinLength(100), Schema.isMaxLength(100))

/** How a call may fail, and what it returns of 1 request, its input and 100 output tokens. */
const failures = {
  fault: { end: failed(new ClaudeError.ServerFault({ status: 500 })), back: () => ({ output: 100 }) },
  refused: {
    end: failed(new ClaudeError.InvalidRequest({ status: 400, sent: true })),
    back: (input: number) => ({ input, output: 100 })
  },
  unsent: {
    end: failed(new ClaudeError.InvalidRequest({ sent: false })),
    back: (input: number) => ({ requests: 1, input, output: 100 })
  },
  gone: {
    end: failed(new ClaudeError.Unreachable({ code: "ECONNREFUSED" })),
    back: (input: number) => ({ requests: 1, input, output: 100 })
  },
  partial: {
    end: { ...failed(new ClaudeError.PartialAnswer({})), usage: usage(7, 3) },
    back: (input: number) => ({ input: input - 7, output: 97 })
  }
} as const

const limited = (left: number): End =>
  failed(
    new ClaudeError.RateLimited({
      status: 429,
      limits: {
        requests: { limit: 75, remaining: 0, reset: undefined },
        inputTokens: { limit: 7500, remaining: left, reset: undefined }
      }
    })
  )

const settings = {
  concurrency: { max: slots, queue: bound, maxWait },
  quota: {
    requests: stated.requests,
    inputTokens: stated.input,
    outputTokens: stated.output,
    headroom: 0.8,
    estimate: "count"
  }
} as const

/** Applies the operation to the guard. Returns the id of the call, if there was one. */
const act = Effect.fnUntraced(function*(op: Op, { call, calls, running }: ReturnType<typeof caller>) {
  switch (op.do) {
    case "arrive":
      return (yield* call(request(op.input), op.priority, Infinity, op.tenant)).id
    case "pass":
      yield* TestClock.adjust(op.ms)
      return undefined
    default: {
      const isWaiting = op.do === "cancel"
      const among = calls.filter(({ fiber, id }) => fiber.pollUnsafe() === undefined && running.has(id) !== isWaiting)
      const one = among[op.pick % Math.max(1, among.length)]
      if (one === undefined) return undefined
      switch (op.do) {
        case "cancel":
        case "interrupt":
          one.fiber.interruptUnsafe()
          break
        case "succeed":
          yield* Deferred.succeed(one.end, { exit: Exit.void, usage: usage(op.input, op.output) })
          break
        case "fail":
          yield* Deferred.succeed(one.end, failures[op.kind].end)
          break
        case "limit":
          yield* Deferred.succeed(one.end, limited(op.left))
          break
      }
      return one.id
    }
  }
})

/** Applies the operation to the reference model. */
const follow = (op: Op, model: Model, id: number | undefined): void => {
  if (op.do === "arrive") return model.arrive(priorities.indexOf(op.priority), op.tenant, op.input)
  if (op.do === "pass") return model.pass(op.ms)
  const call = id === undefined ? undefined : model.asked[id]
  if (call === undefined) return
  switch (op.do) {
    case "cancel":
      call.state = "out"
      break
    case "interrupt":
      model.end(call, { output: 100 })
      break
    case "succeed":
      model.hasAnswered = true
      model.end(call, { input: call.input - op.input, output: 100 - op.output })
      break
    case "fail":
      model.end(call, failures[op.kind].back(call.input))
      break
    case "limit":
      model.end(call, { input: call.input, output: 100 })
      model.told(call, { requests: 0, input: op.left })
      break
  }
  model.letIn()
}

describe("the queue for slots and quota", () => {
  const seen: Record<string, number> = {}

  it.effect.prop(
    "G2, G6: agrees with the reference model after every step of random calls, and has all slots and quota back at the end",
    { ops: script },
    ({ ops }) =>
      Effect.gen(function*() {
        const { admission, failures } = yield* make(settings)
        const calls = caller(admission)
        const model = new Model()
        for (const op of ops) {
          seen[op.do] = (seen[op.do] ?? 0) + 1
          const id = yield* act(op, calls)
          yield* TestClock.adjust(0)
          follow(op, model, id)
          // No two calls come in the same millisecond: the order in which their waits end would be random.
          yield* TestClock.adjust(1)
          model.pass(1)

          assert.strictEqual(yield* now, model.time)
          assert.deepStrictEqual(calls.entered, model.entered)
          assert.deepStrictEqual([...calls.running].toSorted((a, b) => a - b), model.running().map(({ id }) => id))
          assert.deepStrictEqual(
            calls.calls.flatMap((call) => failureOf(call)?._tag === "Saturated" ? [call.id] : []),
            model.turnedAway.toSorted((a, b) => a - b)
          )
          const status = yield* admission.status
          assert.strictEqual(status.running, model.running().length)
          assert.strictEqual(status.waiting, model.waiting().length)
          for (const of of dimensions) {
            assert.approximately(status.remaining?.[of] ?? NaN, level(model.entries, of, model.time), 1e-4, of)
          }
        }
        yield* Effect.forEach(calls.calls, ({ fiber }) => Fiber.interrupt(fiber))
        yield* TestClock.adjust("3 minutes")
        assert.deepStrictEqual(yield* admission.status, { running: 0, waiting: 0, limit: slots, remaining: perMinute })
        assert.deepStrictEqual(failures, [])
      }).pipe(Effect.scoped, Effect.provide(TestClock.layer())),
    { arbitrary: { runs: 101, seed, size: 100 }, timeout: 60_000 }
  )

  it("was compared with the reference model in at least 10,000 steps, with each operation in at least 5 % of them", () => {
    const total = Object.values(seen).reduce((sum, count) => sum + count, 0)
    assert.isAtLeast(total, 10_000)
    assert.hasAllKeys(seen, ["arrive", "pass", "succeed", "fail", "limit", "interrupt", "cancel"])
    for (const count of Object.values(seen)) assert.isAtLeast(count, total * 0.05)
  })
})

// -----------------------------------------------------------------------------
// Cancelled calls
// -----------------------------------------------------------------------------

describe("a cancelled waiting call", () => {
  const Ghost = Schema.Struct({ priority: Schema.Literals(priorities), input: int(1, 4000), steps: int(0, 12) })

  /**
   * The visible state after each operation. With ghosts, a call comes before each operation and is cancelled some steps
   * after it.
   */
  const trace = (ops: ReadonlyArray<Op>, ghosts: ReadonlyArray<typeof Ghost.Type> | undefined) =>
    Effect.gen(function*() {
      const { admission } = yield* make({ ...settings, concurrency: { min: 1, max: 4, initial: 3, queue: bound } })
      const calls = caller(admission)
      const states: Array<unknown> = []
      for (const [at, op] of ops.entries()) {
        // No ghost before an arrival: the arriving call would have to wait behind it.
        const ghost = op.do === "arrive" ? undefined : ghosts?.[at]
        let isIn = false
        const fiber = ghost && (yield* Effect.acquireUseRelease(
          admission.admit(request(ghost.input)),
          () => {
            isIn = true
            return Effect.never
          },
          // The ending of a request that was never sent.
          (lease) => lease.settle(Exit.fail(new ClaudeError.CircuitOpen({})))
        ).pipe(
          Effect.provideService(Current.Priority, ghost.priority),
          Effect.forkChild({ startImmediately: true })
        ))
        // Cancels a ghost at once if it was admitted, or if time is about to pass.
        if (fiber && (isIn || op.do === "pass")) yield* Fiber.interrupt(fiber)
        yield* act(op, calls)
        if (fiber) {
          for (let i = 0; i < ghost.steps; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }
        yield* TestClock.adjust(0)
        const { remaining, ...status } = yield* admission.status
        states.push({
          ...status,
          entered: [...calls.entered],
          remaining: dimensions.map((of) => Math.round((remaining?.[of] ?? NaN) * 1e4))
        })
      }
      return states
    }).pipe(Effect.scoped, Effect.provide(TestClock.layer()))

  it.effect("G2: returns its tokens and its slot if it is cancelled 0 to 59 steps after the preceding call released the slot", () =>
    Effect.gen(function*() {
      // Yields after every few steps, so that a cancellation can fall between any two of them.
      const stepwise = Effect.provideService(Scheduler.MaxOpsBeforeYield, 4)
      const quota = { requests: 100, inputTokens: 10_000 }
      for (let steps = 0; steps < 60; steps++) {
        const { admission } = yield* make({ concurrency: { max: 1, queue: 5 }, quota })
        const nothing = Exit.fail(new ClaudeError.CircuitOpen({}))
        const held = yield* admission.admit(request(100))
        const waiter = yield* Effect.acquireUseRelease(
          admission.admit(request(100)),
          () => Effect.never,
          (lease) => lease.settle(nothing)
        ).pipe(Effect.forkChild({ startImmediately: true }), stepwise)
        yield* held.settle(nothing)
        for (let i = 0; i < steps; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(waiter)
        yield* Effect.repeat(Effect.yieldNow, { times: 100 })
        const { remaining, running, waiting } = yield* admission.status
        assert.deepStrictEqual(
          { remaining, running, waiting },
          { remaining: { requests: 83, input: 8300, output: Infinity }, running: 0, waiting: 0 },
          `${steps} steps`
        )
      }
    }))

  it.effect.prop(
    "G2: leaves slots, tokens, limits and queue as if it had never come, whenever it is cancelled",
    {
      ops: Schema.Array(Op).check(Schema.isMinLength(40), Schema.isMaxLength(40)),
      ghosts: Schema.Array(Ghost).check(Schema.isMinLength(40), Schema.isMaxLength(40))
    },
    ({ ghosts, ops }) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* trace(ops, ghosts), yield* trace(ops, undefined))
      }),
    { arbitrary: { runs: 60, seed, size: 100 }, timeout: 60_000 }
  )

  it.effect.each([0, 50, 100, 150, 199])(
    "G2: returns its slot and its tokens if it is cancelled %d ms after a slow store was asked for the tokens",
    (ms) =>
      Effect.gen(function*() {
        const memory = Quota.memory()
        const store: Quota.Store = {
          ...memory,
          take: (key, buckets, cost, now) => Effect.delay(memory.take(key, buckets, cost, now), 100),
          add: (key, buckets, amount, now) => Effect.delay(memory.add(key, buckets, amount, now), 100)
        }
        const { admission } = yield* make({ concurrency: { max: 1 }, quota: { requests: 60, headroom: 1 }, store })
        const calls = caller(admission)
        const [running] = yield* many(calls, 1)
        yield* TestClock.adjust(100)
        const [waiter] = yield* many(calls, 1)
        if (running) yield* finish(running, { ...success, usage: usage(1, 1) })
        yield* TestClock.adjust(ms)
        waiter?.fiber.interruptUnsafe()
        yield* TestClock.adjust(200)
        yield* TestClock.adjust(200)
        const { remaining, ...status } = yield* admission.status
        assert.deepStrictEqual(status, { running: 0, waiting: 0, limit: 1 })
        assert.approximately(remaining?.requests ?? NaN, calls.entered.length === 1 ? 60 : 59, 0.5)
      })
  )
})

// -----------------------------------------------------------------------------
// The queue
// -----------------------------------------------------------------------------

/** Makes a number of calls. */
const many = (calls: ReturnType<typeof caller>, count: number, priority: Priority = "default") =>
  Effect.forEach(Array.from({ length: count }), () => calls.call(request(10), priority))

describe("the queue", () => {
  it.effect("G6: rejects an arriving call if calls of the same or a higher priority take all places of the queue, and never rejects a call that already waits", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({ concurrency: { max: 1, queue: 2 } })
      const calls = caller(admission)
      const [running] = yield* many(calls, 1)
      const background = yield* many(calls, 3, "background")
      const others = yield* many(calls, 3)
      const interactive = yield* many(calls, 3, "interactive")
      const late = yield* many(calls, 1)
      const away = [...background, ...others, ...interactive, ...late].flatMap((call) => {
        const error = failureOf(call)
        return error === undefined ? [] : [[call.id, error._tag, "by" in error && error.by]]
      })
      assert.deepStrictEqual(away, [
        [background[2]?.id, "Saturated", "concurrency"],
        [others[2]?.id, "Saturated", "concurrency"],
        [interactive[2]?.id, "Saturated", "concurrency"],
        [late[0]?.id, "Saturated", "concurrency"]
      ])
      assert.strictEqual((yield* admission.status).waiting, 6)
      // None of the six calls is rejected later, although more than two calls wait before the last of them.
      let next = running
      while (next !== undefined) {
        yield* finish(next, success)
        next = calls.calls.find(({ id }) => calls.running.has(id))
      }
      assert.deepStrictEqual(
        calls.entered,
        [running, ...interactive.slice(0, 2), ...others.slice(0, 2), ...background.slice(0, 2)].map((call) => call?.id)
      )
    }))

  it.effect("gives the next free slot to an interactive call, although 64 background calls have waited longer", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({ concurrency: { max: 3 } })
      const calls = caller(admission)
      const [running] = yield* many(calls, 3)
      yield* many(calls, 64, "background")
      const urgent = yield* calls.call(request(10), "interactive")
      yield* TestClock.adjust(1)
      assert.lengthOf(calls.entered, 3)
      if (running) yield* finish(running, success)
      assert.deepStrictEqual(calls.entered.slice(3), [urgent.id])
    }))

  it.effect("admits a small interactive call as soon as there is quota for its own size, although 64 large background calls wait for quota", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({
        quota: { inputTokens: 6000, headroom: 1, estimate: "count" },
        concurrency: { maxWait: "1 hour" }
      })
      const calls = caller(admission)
      yield* calls.call(request(5900))
      for (let i = 0; i < 64; i++) yield* calls.call(request(6000), "background")
      const small = yield* calls.call(request(100), "interactive")
      assert.deepStrictEqual(calls.entered, [0, small.id])
      const next = yield* calls.call(request(200), "interactive")
      yield* TestClock.adjust(1999)
      assert.lengthOf(calls.entered, 2)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(calls.entered.slice(2), [next.id])
    }))

  it.effect("lets no call wait if the option queue is 0", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({ concurrency: { max: 1, queue: 0 } })
      const calls = caller(admission)
      const [running, other] = yield* many(calls, 2)
      assert.include(other && failureOf(other), { _tag: "Saturated", by: "concurrency" })
      if (running) yield* finish(running, success)
      yield* many(calls, 1)
      assert.deepStrictEqual(calls.entered, [0, 2])
    }))

  it.effect.each([
    { maxWait: 5000, deadline: Infinity, waits: 5000 },
    { maxWait: 5000, deadline: 3000, waits: 3000 },
    { maxWait: 5000, deadline: 8000, waits: 5000 },
    { maxWait: undefined, deadline: Infinity, waits: 60_000 },
    { maxWait: "2 minutes" as const, deadline: Infinity, waits: 120_000 }
  ])(
    "G8: rejects a waiting call after $waits ms if maxWait is $maxWait and its deadline is at $deadline ms",
    ({ deadline, maxWait, waits }) =>
      Effect.gen(function*() {
        const { admission } = yield* make({ concurrency: { max: 1, maxWait } })
        const calls = caller(admission)
        yield* many(calls, 1)
        const waiter = yield* calls.call(request(10), "default", deadline)
        yield* TestClock.adjust(waits - 1)
        assert.isUndefined(failureOf(waiter))
        yield* TestClock.adjust(1)
        assert.include(failureOf(waiter), { _tag: "Saturated", by: "concurrency" })
        assert.strictEqual((yield* admission.status).waiting, 0)
      })
  )

  it.effect("G8: rejects a call at once if its quota cannot be available within maxWait and before its deadline, and gives the necessary wait as retryAfter", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({
        quota: { inputTokens: 6000, headroom: 1, estimate: "count" },
        concurrency: { maxWait: "30 seconds" }
      })
      const calls = caller(admission)
      yield* calls.call(request(6000))
      const tooLong = yield* calls.call(request(3001))
      assert.include(failureOf(tooLong), { _tag: "Saturated", by: "quota" })
      assert.deepInclude(failureOf(tooLong), { retryAfter: Duration.millis(30_010) })
      const tooLate = yield* calls.call(request(1000), "default", 9_999)
      assert.deepInclude(failureOf(tooLate), { by: "quota", retryAfter: Duration.millis(10_000) })
      const inTime = yield* calls.call(request(1000), "default", 10_000)
      assert.isUndefined(failureOf(inTime))
      // Even if a call waits that would go after it.
      const urgent = yield* calls.call(request(1001), "interactive", 10_000)
      assert.deepInclude(failureOf(urgent), { by: "quota", retryAfter: Duration.millis(10_010) })
    }))

  it.effect("G8: after a 429, rejects calls that cannot wait until its retry-after ends or that find the queue full, and gives the rest of that time as retryAfter", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({
        quota: { requests: 60, headroom: 1 },
        concurrency: { maxWait: "30 seconds", queue: 1 }
      })
      const calls = caller(admission)
      const first = yield* calls.call(request(10))
      yield* finish(first, failed(new ClaudeError.RateLimited({ retryAfter: Duration.seconds(40) })))
      const cannot = yield* calls.call(request(10))
      assert.deepInclude(failureOf(cannot), { _tag: "Saturated", by: "pause", retryAfter: Duration.seconds(40) })
      yield* TestClock.adjust("20 seconds")
      yield* calls.call(request(10))
      const full = yield* calls.call(request(10))
      assert.deepInclude(failureOf(full), { _tag: "Saturated", by: "pause", retryAfter: Duration.seconds(20) })
      yield* TestClock.adjust("20 seconds")
      assert.lengthOf(calls.entered, 2)
    }))

  it.effect.prop(
    "G8: gives a rejected call a retryAfter of at least 1 ms, and of at least the time until its quota is available",
    { sizes: Schema.Array(int(1, 6000)).check(Schema.isMinLength(2), Schema.isMaxLength(12)), wait: int(1, 20_000) },
    ({ sizes, wait }) =>
      Effect.gen(function*() {
        const { admission } = yield* make({
          quota: { requests: 30, inputTokens: 6000, headroom: 1, estimate: "count" },
          concurrency: { maxWait: wait, queue: 2 }
        })
        const calls = caller(admission)
        for (const size of sizes) {
          const error = failureOf(yield* calls.call(request(size)))
          if (error === undefined) continue
          if (error._tag !== "Saturated") return assert.fail(error._tag)
          const retryAfter = Duration.toMillis(error.retryAfter ?? Duration.zero)
          assert.isAtLeast(retryAfter, 1)
          // One call waits before it, for up to a minute more.
          assert.isAtMost(retryAfter, 130_000)
          const { remaining } = yield* admission.status
          assert.isAtLeast(retryAfter, Math.floor((size - (remaining?.input ?? 0)) / 0.1))
        }
      }).pipe(Effect.scoped, Effect.provide(TestClock.layer())),
    { arbitrary: { runs: 100, seed, size: 40 } }
  )
})

// -----------------------------------------------------------------------------
// The concurrency limit
// -----------------------------------------------------------------------------

describe("the concurrency limit", () => {
  /** Ends all running calls, and returns how many there were. */
  const round = (calls: ReturnType<typeof caller>, end: End) =>
    Effect.gen(function*() {
      const running = calls.calls.filter(({ id }) => calls.running.has(id))
      yield* Effect.forEach(running, (call) => Deferred.succeed(call.end, end))
      yield* TestClock.adjust(0)
      return running.length
    })

  it.effect("stays the same if only max is set, after successes and after Overloaded errors", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({ concurrency: { max: 5 } })
      const calls = caller(admission)
      yield* many(calls, 40)
      for (const end of [overloaded, overloaded, success, overloaded]) assert.strictEqual(yield* round(calls, end), 5)
      assert.strictEqual((yield* admission.status).limit, 5)
    }))

  it.effect("is infinite if it is not set", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({ quota: { requests: 10_000 } })
      const calls = caller(admission)
      yield* many(calls, 500)
      assert.include(yield* admission.status, { running: 500, waiting: 0, limit: Infinity })
    }))

  /** Ends one running call. */
  const one = (calls: ReturnType<typeof caller>, exit: End) =>
    Effect.suspend(() => {
      const call = calls.calls.find(({ id }) => calls.running.has(id))
      return call === undefined ? Effect.void : finish(call, exit)
    })

  it.effect("if adaptive, starts at 20, grows by one with each success, and is cut by a tenth after Overloaded", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({ concurrency: { min: 1, max: 100 } })
      const calls = caller(admission)
      yield* many(calls, 30)
      const limits = []
      for (const end of [success, success, overloaded, success]) {
        yield* one(calls, end)
        limits.push((yield* admission.status).limit)
      }
      // No answer is under way at the loss, so that the limit grows back as fast as before.
      assert.deepStrictEqual(limits, [21, 22, 19, 20])
    }))

  it.effect("if adaptive, is cut only once when all requests that were sent before the cut fail, and again when a later request fails", () =>
    Effect.gen(function*() {
      for (
        const lost of [
          overloaded,
          failed(new ClaudeError.RateLimited({})),
          failed(new ClaudeError.TimedOut({ scope: "idle" }))
        ]
      ) {
        const { admission } = yield* make({ concurrency: { min: 1, max: 100, queue: 500 } })
        const calls = caller(admission)
        yield* many(calls, 100)
        assert.strictEqual(yield* round(calls, lost), 20)
        assert.include(yield* admission.status, { limit: 18, running: 18 })
        // These requests were sent after the cut.
        assert.strictEqual(yield* round(calls, lost), 18)
        assert.include(yield* admission.status, { limit: 16 })
      }
    }))

  it.effect("if adaptive, is never cut below the number of answers under way, and then grows by at most one while these answers end", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({ concurrency: { min: 1, max: 100, initial: 20, queue: 500 } })
      const calls = caller(admission)
      const leases = []
      for (let i = 0; i < 19; i++) leases.push(yield* admission.admit(request(1)))
      yield* many(calls, 200)
      for (const { opened } of leases) yield* opened?.(begun) ?? Effect.void
      yield* TestClock.adjust(0)
      assert.include(yield* admission.status, { limit: 39, running: 39 })
      for (let i = 0; i < 9; i++) yield* round(calls, overloaded)
      assert.include(yield* admission.status, { limit: 19, running: 19 })
      // One round of answers, then another.
      const limits = []
      for (const { settle } of leases) {
        yield* settle(Exit.void)
        yield* one(calls, success)
        limits.push((yield* admission.status).limit)
      }
      assert.isAtMost(limits.at(-1) ?? NaN, 20)
      assert.isAtLeast(limits.at(-1) ?? NaN, 19)
    }))

  it.effect("grows with a success only if at least half of the limit is in use", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({ concurrency: { min: 1, max: 100, initial: 10 } })
      const calls = caller(admission)
      yield* many(calls, 4)
      yield* round(calls, success)
      assert.include(yield* admission.status, { limit: 10, running: 0 })
      yield* many(calls, 5)
      const [first] = calls.calls.slice(-5)
      if (first) yield* finish(first, success)
      assert.include(yield* admission.status, { limit: 11 })
    }))

  it.effect("stays between min and max", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({ concurrency: { min: 3, max: 6, initial: 5, queue: 1000 } })
      const calls = caller(admission)
      yield* many(calls, 400)
      for (let i = 0; i < 10; i++) yield* round(calls, overloaded)
      assert.include(yield* admission.status, { limit: 3, running: 3 })
      for (let i = 0; i < 10; i++) yield* round(calls, success)
      assert.include(yield* admission.status, { limit: 6, running: 6 })
    }))

  const neutral: ReadonlyArray<readonly [string, End]> = [
    ["an interrupt", { exit: Exit.interrupt() }],
    ["a defect", { exit: Exit.die("a bug") }],
    ...[
      new ClaudeError.InvalidRequest({}),
      new ClaudeError.AuthenticationFailed({}),
      new ClaudeError.ServerFault({}),
      new ClaudeError.Unreachable({}),
      new ClaudeError.PartialAnswer({}),
      new ClaudeError.UnexpectedResponse({}),
      new ClaudeError.CircuitOpen({}),
      new ClaudeError.SpendLimitReached({}),
      new ClaudeError.DeadlineExceeded({})
    ].map((error) => [error._tag, failed(error)] as const)
  ]
  it.effect.each(neutral)("is unchanged by %s", ([, end]) =>
    Effect.gen(function*() {
      const { admission } = yield* make({ concurrency: { min: 1, max: 100, initial: 10 } })
      const calls = caller(admission)
      yield* many(calls, 20)
      yield* round(calls, end)
      assert.deepStrictEqual(yield* admission.status, { limit: 10, running: 10, waiting: 0, remaining: undefined })
    }))

  /** A 429 because traffic grew too fast. */
  const grewTooFast = (admission: AdmissionGuard.Admission) =>
    Effect.flatMap(
      admission.admit(request(1)),
      (lease) => lease.settle(failed(new ClaudeError.RateLimited({ ramp: true })).exit)
    )

  it.effect("is unchanged by a 429 for traffic that grew too fast, which instead halves the rate at which calls begin, and then this rate grows again", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({})
      const calls = caller(admission)
      const inASecond = Effect.gen(function*() {
        const before = calls.entered.length
        yield* TestClock.adjust("1 second")
        return calls.entered.length - before
      })
      // 20 calls per second, for 5 seconds.
      for (let i = 0; i < 100; i++) {
        yield* calls.call(request(1))
        yield* TestClock.adjust(50)
      }
      assert.lengthOf(calls.entered, 100)
      yield* grewTooFast(admission)
      yield* many(calls, 1000)
      const rates = []
      for (let i = 0; i < 6; i++) rates.push(yield* inASecond)
      assert.isAtMost(rates[0] ?? Infinity, 20)
      assert.isAtLeast(rates[0] ?? 0, 8)
      assert.isAtLeast(rates[5] ?? 0, 30)
      assert.isAtMost(rates[5] ?? Infinity, 45)
      // Another such 429 cuts the rate again, however many answers still run.
      const last = calls.calls.find(({ id }) => id === calls.entered.at(-1))
      if (last === undefined) return assert.fail("a call was admitted")
      yield* finish(last, failed(new ClaudeError.RateLimited({ ramp: true })))
      assert.isAtMost(yield* inASecond, 30)
      assert.include(yield* admission.status, { limit: Infinity })
    }))
})

// -----------------------------------------------------------------------------
// Settings
// -----------------------------------------------------------------------------

describe("the settings of concurrency", () => {
  const slip = { maxwait: "1 second" }
  const refused: ReadonlyArray<readonly [Admission.Concurrency, RegExp]> = [
    [{ max: 0 }, /^Guards: concurrency: max is 0: it must be a whole number, 1 or more$/],
    [{ max: 1.5 }, /^Guards: concurrency: max is 1\.5: it must be a whole number/],
    [{ max: NaN }, /^Guards: concurrency: max is NaN: it must be a whole number/],
    [{ max: -3 }, /^Guards: concurrency: max is -3: it must be a whole number/],
    [{ max: 4, min: 0 }, /^Guards: concurrency: min is 0: it must be a whole number, 1 or more$/],
    [{ max: 4, min: 5 }, /^Guards: concurrency: min \(5\) is more than max \(4\): raise max or lower min$/],
    [{ max: 4, initial: 2 }, /^Guards: concurrency: initial has no effect without min.*: add min or remove initial$/],
    [{ initial: 2 }, /^Guards: concurrency: initial has no effect without min.*: add min or remove initial$/],
    [
      { max: 8, min: 4, initial: 3 },
      /^Guards: concurrency: initial \(3\) is not between min \(4\) and max \(8\): choose a number between them$/
    ],
    [
      { max: 8, min: 4, initial: 9 },
      /^Guards: concurrency: initial \(9\) is not between min \(4\) and max \(8\): choose a number between them$/
    ],
    [{ max: 8, min: 4, initial: 4.5 }, /^Guards: concurrency: initial is 4\.5: it must be a whole number/],
    [{ max: 8, queue: -1 }, /^Guards: concurrency: queue is -1: it must be a whole number, 0 or more$/],
    [{ max: 8, queue: 0.5 }, /^Guards: concurrency: queue is 0\.5: it must be a whole number, 0 or more$/],
    [{ max: 8, queue: NaN }, /^Guards: concurrency: queue is NaN: it must be a whole number, 0 or more$/],
    [
      { max: 8, queue: 0, maxWait: "1 second" },
      /^Guards: concurrency: maxWait has no effect because queue is 0: remove maxWait or raise queue$/
    ],
    [{ max: 8, maxWait: 0 }, /^Guards: concurrency: maxWait is 0: it must be a duration above 0/],
    [{ max: 8, maxWait: -1 }, /^Guards: concurrency: maxWait is -1: it must be a duration above 0/],
    [{ max: 8, maxWait: NaN }, /^Guards: concurrency: maxWait is NaN: it must be a duration above 0/],
    [{ max: 8, ...slip }, /^Guards: concurrency has no field maxwait: it has max, min, initial, queue, maxWait$/]
  ]

  for (const [options, sentence] of refused) {
    it(`G12: reject ${inspect(options)} with a message that names the field and the remedy`, () => {
      assert.throws(() => Settings.settings(options), RangeError, sentence)
    })
  }

  it("give every option its default", () => {
    const usual = { queue: 200, maxWait: undefined }
    assert.deepStrictEqual(Settings.settings({}), { max: Infinity, min: Infinity, initial: Infinity, ...usual })
    assert.deepStrictEqual(Settings.settings({ max: 8 }), { max: 8, min: 8, initial: 8, ...usual })
    assert.deepStrictEqual(Settings.settings({ min: 2 }), { max: Infinity, min: 2, initial: 20, ...usual })
    assert.deepStrictEqual(Settings.settings({ min: 2, max: 8 }), { max: 8, min: 2, initial: 8, ...usual })
    assert.deepStrictEqual(Settings.settings({ min: 30, max: 80 }), { max: 80, min: 30, initial: 30, ...usual })
    assert.strictEqual(Settings.settings({ maxWait: Infinity }).maxWait, Infinity)
  })
})
