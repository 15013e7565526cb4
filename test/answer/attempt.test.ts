/**
 * Interrupts a call at every step that a wire, guard, log or clock can observe, and at every turn of the scheduler.
 *
 * After each interrupt, no connection is open, every lease is settled once, every attempt that was logged as started is
 * also logged as ended, no further request is sent, and the guards admit the next call.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, type Duration, Effect, Exit, Fiber, Layer, Scheduler, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, Guard, Guards, Policy, Retry } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"
import { oneIn } from "../support/effort.ts"

// -----------------------------------------------------------------------------
// Counters
// -----------------------------------------------------------------------------

/** A lease of this test's guard. */
interface Given {
  settled: number
  openedAfterItWasSettled: boolean
}

/** What the wire, guards, log and clock of this test observe of one call. */
interface Seen {
  readonly logTakes: number
  /** Steps of the call so far, and the action to run at one of them. */
  steps: number
  act: { readonly at: number; readonly run: () => void } | undefined
  isActed: boolean
  connections: number
  /** Open connections of the other call, which takes the only slot first. */
  others: number
  reads: number
  sleeps: number
  /** Requests that reached the wire. */
  sent: number
  /** Requests that were sent, and attempts that were logged as started, after the interrupt. */
  late: number
  lateStarts: number
  readonly leases: Array<Given>
  /** Attempts that were logged as ended while their connection was open. */
  early: number
  /** Events of attempts, recorded when `emit` was called, and when it had returned. */
  readonly emitted: Array<string>
  readonly written: Array<string>
}

class World extends Context.Service<World, Seen>()("test/World") {}

/** Whether the steps of a fiber count. Set only for the call under test. */
const Watched = Context.Reference<boolean>("test/Watched", { defaultValue: () => false })

/** Whether each step yields to the scheduler. */
const Turns = Context.Reference<boolean>("test/Turns", { defaultValue: () => false })

const step = (seen: Seen) =>
  Effect.gen(function*() {
    if (!(yield* Watched)) return
    seen.steps++
    const { act } = seen
    if (seen.steps === act?.at) yield* elsewhere(act.run)
    if (yield* Turns) yield* Effect.yieldNow
  })

/** Runs an action while this fiber waits, as if another fiber ran it. */
const elsewhere = (act: () => void) =>
  Effect.callback<void>((resume) => {
    queueMicrotask(() => {
      act()
      resume(Effect.void)
    })
  })

const held = (seen: Seen, what: "connections" | "others" | "reads" | "sleeps") =>
  Effect.acquireRelease(
    Effect.sync(() => void seen[what]++),
    () => Effect.sync(() => void seen[what]--)
  )

// -----------------------------------------------------------------------------
// Watched wire, guard, log and clock
// -----------------------------------------------------------------------------

const watchedWire = (wire: Claude.Wire, seen: Seen): Claude.Wire => ({
  ...wire,
  open: (request) =>
    Effect.gen(function*() {
      const isWatched = yield* Watched
      if (isWatched) {
        seen.sent++
        if (seen.isActed) seen.late++
      }
      yield* held(seen, isWatched ? "connections" : "others")
      yield* step(seen)
      const connection = yield* wire.open(request)
      return {
        ...connection,
        read: Effect.scoped(Effect.andThen(Effect.andThen(held(seen, "reads"), step(seen)), connection.read))
      }
    })
})

const counting = (seen: Seen): Guard.Guard => ({
  gate: () => step(seen),
  admit: () =>
    Effect.gen(function*() {
      yield* step(seen)
      const given: Given = { settled: 0, openedAfterItWasSettled: false }
      seen.leases.push(given)
      yield* step(seen)
      return {
        opened: () =>
          Effect.suspend(() => {
            given.openedAfterItWasSettled = given.settled > 0
            return step(seen)
          }),
        settle: () => Effect.andThen(Effect.sync(() => void given.settled++), step(seen))
      }
    })
})

const watchedLog = (seen: Seen): CallLog.CallLog => ({
  emit: ({ _tag, call }) =>
    Effect.gen(function*() {
      // The call that holds the only slot has no policy, and so no id.
      const isOfAttempt = call !== undefined && _tag.startsWith("Attempt")
      if (isOfAttempt) {
        if (seen.isActed && _tag === "AttemptStarted") seen.lateStarts++
        if (_tag !== "AttemptStarted" && seen.connections > 0) seen.early++
        seen.emitted.push(_tag)
      }
      yield* step(seen)
      if (seen.logTakes > 0) yield* Effect.sleep(seen.logTakes)
      if (isOfAttempt) seen.written.push(_tag)
    })
})

const watchedClock = (clock: Clock.Clock, seen: Seen): Clock.Clock =>
  Object.create(clock, {
    sleep: {
      value: (duration: Duration.Duration) =>
        Effect.scoped(Effect.andThen(Effect.andThen(held(seen, "sleeps"), step(seen)), clock.sleep(duration)))
    }
  })

// -----------------------------------------------------------------------------
// Layers around a call
// -----------------------------------------------------------------------------

interface Place {
  readonly name: string
  /** How long the log takes to write an event, in milliseconds. */
  readonly logTakes: number
  readonly guards: Guards.Guards | undefined
}

/** Guards with one slot, which another call holds when the call under test starts. */
const guards: Guards.Guards = {
  concurrency: { max: 1, queue: 10 },
  quota: { requests: 50, inputTokens: 100_000, outputTokens: 1e6 },
  circuit: {},
  budget: {}
}

const own: Place = { name: "a custom guard", logTakes: 0, guards: undefined }
const slow: Place = { name: "a slow log", logTakes: 200, guards: undefined }
const queued: Place = { name: "a queue, a quota, a circuit and a budget", logTakes: 0, guards }
const places = [own, slow, queued]

const standIn = (claude: Claude.Claude["Service"]) =>
  Claude.Claude.of({ ...claude, open: (request) => claude.open(request) })

const layerOf = ({ guards, logTakes }: Place, playable: Faults.Playable) =>
  Layer.effectContext(Effect.gen(function*() {
    const seen: Seen = {
      logTakes,
      steps: 0,
      act: undefined,
      isActed: false,
      connections: 0,
      others: 0,
      reads: 0,
      sleeps: 0,
      sent: 0,
      late: 0,
      lateStarts: 0,
      early: 0,
      leases: [],
      emitted: [],
      written: []
    }
    const wire = watchedWire(yield* FakeClaude.wire(playable), seen)
    const claude = Layer.effect(
      Claude.Claude,
      Effect.map(Claude.make(wire), (claude) => standIn(Guard.apply([counting(seen), counting(seen)])(claude)))
    ).pipe(Layer.provide(Layer.succeed(CallLog.CallLog, watchedLog(seen))))
    const guarded = Guards.apply({ extra: [counting(seen)], ...guards })(claude)
    return Context.add(yield* Layer.build(guarded), World, seen)
  }))

// -----------------------------------------------------------------------------
// Calls to interrupt
// -----------------------------------------------------------------------------

const retry = {
  Overloaded: Retry.linear({ times: 1, base: "1 second" }),
  TimedOut: Retry.linear({ times: 1, base: "1 second" }),
  PartialAnswer: Retry.linear({ times: 2, base: "1 second" })
}
const policy = { retry, reask: 1, overall: "5 minutes" } as const satisfies Policy.Policy
const older = "claude-haiku-4-5"

const Point = Schema.Struct({ x: Schema.Number })
const malformed = Faults.answer(`{"x":"one"}`)
const asked = Claude.text("hi")
const read = Claude.open("hi", { model: older })

interface Watchable {
  readonly name: string
  readonly call: Effect.Effect<unknown, unknown, Claude.Claude>
  readonly turns: ReadonlyArray<Faults.Turn>
  /** How many requests the call sends if it is not interrupted. */
  readonly requests: number
}

const simple: Watchable = {
  name: "a text",
  call: Policy.apply(policy)(asked),
  turns: [Faults.answer("one two")],
  requests: 1
}

const calls: ReadonlyArray<Watchable> = [
  {
    name: "a text with a retry and a fallback model",
    call: Policy.apply({ ...policy, models: [older] })(asked),
    turns: [Faults.overloaded, Faults.overloaded, Faults.answer("one two")],
    requests: 3
  },
  {
    name: "a text after a silence",
    call: Policy.apply({ ...policy, connect: "2 seconds" })(asked),
    turns: [Faults.silence, Faults.answer("one")],
    requests: 2
  },
  {
    name: "a paused, broken and continued text",
    call: Policy.apply(policy)(asked),
    turns: [Faults.paused("one"), Faults.breaks("two", "reset"), Faults.answer("three", { every: "100 millis" })],
    requests: 3
  },
  {
    name: "an object with a correction",
    call: Policy.apply(policy)(Claude.object(Point, "where?")),
    turns: [malformed, Faults.value({ x: 1 })],
    requests: 2
  },
  {
    name: "an opened answer that is restarted",
    call: Effect.scoped(Effect.flatMap(
      Policy.apply({ ...policy, onBreak: "restart" })(read),
      ({ events }) => Stream.runDrain(events)
    )),
    turns: [Faults.overloaded, Faults.breaks("one two"), Faults.answer("one two")],
    requests: 3
  },
  {
    name: "an opened answer that is resumed",
    call: Effect.scoped(Effect.flatMap(
      Policy.apply({ ...policy, onBreak: "resume" })(read),
      ({ events }) => Stream.runDrain(events)
    )),
    turns: [Faults.breaks("one two "), Faults.answer("three", { every: "100 millis" })],
    requests: 2
  },
  {
    name: "a reply awaited during a resumed text",
    call: Effect.scoped(Effect.flatMap(
      Policy.apply({ ...policy, onBreak: "resume" })(read),
      ({ reply, text }) => Effect.all([Stream.runDrain(text), reply], { concurrency: 2 })
    )),
    turns: [Faults.breaks("one two "), Faults.answer("three", { every: "100 millis" })],
    requests: 2
  },
  {
    name: "a reply without a reader of its text",
    call: Effect.scoped(Effect.flatMap(Policy.apply({ ...policy, onBreak: "restart" })(read), ({ reply }) => reply)),
    turns: [Faults.breaks("one two"), Faults.answer("one two", { every: "100 millis" })],
    requests: 2
  },
  {
    name: "a stream with streamOverall",
    call: Stream.runDrain(
      Policy.applyStream({ ...policy, onBreak: "restart", streamOverall: "10 minutes" })(
        Claude.events("hi")
      )
    ),
    turns: [Faults.breaks("one two"), Faults.answer("one two")],
    requests: 2
  }
]

// -----------------------------------------------------------------------------
// One interrupt
// -----------------------------------------------------------------------------

/**
 * When to interrupt the call or close its scope: during a step, after a number of turns of the scheduler, or before an
 * operation of the runtime. Each step takes one turn.
 */
type When = { readonly step: number } | { readonly turn: number } | { readonly operation: number } | undefined

const tick = TestClock.adjust("250 millis")

/** More turns than any call of this file needs. */
const mostTurns = 400

/** Counts the operations of all fibers. Runs the action before operation number `at`, and then yields to other fibers. */
class AtOperation extends Scheduler.MixedScheduler {
  operations = 0
  readonly at: number | undefined
  readonly act: () => void

  constructor(at: number | undefined, act: () => void) {
    super()
    this.at = at
    this.act = act
  }

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    this.operations++
    if (this.operations !== this.at) return super.shouldYield(fiber)
    queueMicrotask(this.act)
    return true
  }
}

/** Starts a call, runs `act` during the call, and waits for the end of the call. */
const during = Effect.fnUntraced(function*(
  seen: Seen,
  call: Effect.Effect<unknown, unknown, Claude.Claude>,
  when: When,
  act: (running: Fiber.Fiber<unknown, unknown>) => void,
  onTurn: (turn: number) => Effect.Effect<void>,
  endsAtOnce: boolean
) {
  const where = JSON.stringify(when)
  let running: Fiber.Fiber<unknown, unknown> | undefined
  const acting = () => {
    if (seen.isActed || running === undefined || running.pollUnsafe() !== undefined) return
    seen.isActed = true
    act(running)
  }
  const scheduler = new AtOperation(when !== undefined && "operation" in when ? when.operation : undefined, acting)
  if (when !== undefined && "step" in when) seen.act = { at: when.step, run: acting }
  running = yield* call.pipe(
    Effect.provideService(Watched, true),
    Effect.provideService(Turns, when !== undefined && "turn" in when),
    Effect.provideService(Clock.Clock, watchedClock(yield* Clock.Clock, seen)),
    Effect.provideService(Scheduler.Scheduler, scheduler),
    Effect.forkChild
  )
  let turn = 0
  for (; running.pollUnsafe() === undefined; turn++) {
    assert.isBelow(turn, mostTurns, `it does not end, ${where}`)
    yield* onTurn(turn)
    if (when !== undefined && "turn" in when && when.turn === turn) acting()
    if (seen.isActed && seen.logTakes === 0 && endsAtOnce) {
      // The call must end without any change of the clock.
      for (let i = 0; i < 100 && running.pollUnsafe() === undefined; i++) yield* Effect.yieldNow
      assert.isDefined(running.pollUnsafe(), `it goes on waiting, ${where}`)
    } else {
      yield* tick
    }
  }
  const exit = yield* Fiber.await(running)
  return { exit, steps: seen.steps, turns: turn, operations: scheduler.operations }
})

const nothing = () => Effect.void

/** Whether the events come in pairs: the start of an attempt, then its end. */
const paired = (events: ReadonlyArray<string>) =>
  events.length % 2 === 0 && events.every((tag, i) => (tag === "AttemptStarted") === (i % 2 === 0))

const check = Effect.fnUntraced(function*(seen: Seen, where: string) {
  const { connections, emitted, late, leases, others, reads } = seen
  assert.deepStrictEqual(
    { connections, others, reads, late },
    { connections: 0, others: 0, reads: 0, late: 0 },
    `open, or sent after the interrupt, ${where}`
  )
  assert.isTrue(paired(emitted), `${emitted.join(", ")}, ${where}`)
  for (const { openedAfterItWasSettled, settled } of leases) {
    assert.strictEqual(settled, 1, `a lease is settled once, ${where}`)
    assert.isFalse(openedAfterItWasSettled, where)
  }
  const { admission, budget, circuits } = yield* Guards.status
  for (const line of Object.values(admission)) {
    assert.deepStrictEqual([line.running, line.waiting], [0, 0], `a slot is taken, ${where}`)
  }
  for (const { waiting } of [...Object.values(circuits), ...Object.values(budget ?? {})]) {
    assert.strictEqual(waiting, 0, where)
  }
})

/** The turn in which the only slot becomes free. */
const released = 4

/** A call that takes the only slot, and releases it when its scope closes. */
const holding = Effect.gen(function*() {
  const scope = yield* Scope.make()
  yield* Effect.forkIn(Scope.provide(Claude.open("wait"), scope), scope, { startImmediately: true })
  return scope
})

/** Makes another call, to check that the interrupted call holds no slot, no probe and no place in a queue. */
const next = Effect.fnUntraced(function*(seen: Seen, where: string) {
  seen.isActed = false
  const again = Policy.apply({ retry: Retry.linear({ times: 5, base: "1 second" }) })(asked)
  const { exit } = yield* during(seen, again, undefined, () => {}, nothing, true)
  assert.isTrue(Exit.isSuccess(exit), `the next call, ${where}`)
  yield* check(seen, where)
})

const interrupted = (place: Place, { call, requests, turns }: Watchable, when: When) =>
  Effect.gen(function*() {
    const seen = yield* World
    const where = JSON.stringify(when)
    const holder = place.guards === undefined ? undefined : yield* holding
    const made = yield* during(
      seen,
      call,
      when,
      (running) => running.interruptUnsafe(),
      (turn) => turn === released && holder !== undefined ? Scope.close(holder, Exit.void) : Effect.void,
      true
    )
    if (holder !== undefined) yield* Scope.close(holder, Exit.void)
    const { sent } = seen
    // A cancelled timer is removed after a turn of the scheduler.
    yield* Effect.replicateEffect(Effect.yieldNow, 5, { discard: true })
    yield* check(seen, where)
    assert.strictEqual(seen.early, 0, `an attempt was logged as ended before its connection was closed, ${where}`)
    // The budget does not charge the first attempt, or an attempt that was interrupted.
    for (const { remaining } of Object.values((yield* Guards.status).budget ?? {})) {
      assert.isAtLeast(remaining, 10 - Math.max(0, requests - 2), `the tokens left in the retry budget, ${where}`)
    }
    if (when === undefined && holder !== undefined) assert.isAbove(made.turns, released, "it waits for its slot")
    // Between two operations, an attempt may already have begun to log its start. Its request is not sent.
    if (when === undefined || !("operation" in when)) {
      assert.strictEqual(seen.lateStarts, 0, `an attempt starts after the interrupt, ${where}`)
    }
    if (place.guards === undefined) assert.strictEqual(seen.sleeps, 0, `a timer is left, ${where}`)
    else yield* next(seen, where)
    return { ...made, sent, written: seen.written }
  }).pipe(
    Effect.provide(layerOf(place, [
      ...place.guards === undefined ? [] : [Faults.lingers("wait")],
      ...turns,
      ...Array.from({ length: 5 }, () => Faults.answer("next"))
    ]))
  )

/** Opens and reads an answer in a scope that another fiber closes. */
const closed = (place: Place, turns: ReadonlyArray<Faults.Turn>, when: When) =>
  Effect.gen(function*() {
    const seen = yield* World
    const where = JSON.stringify(when)
    const scope = yield* Scope.make()
    const closing = Effect.provideService(Scope.close(scope, Exit.void), Clock.Clock, yield* Clock.Clock)
    const reading = Effect.flatMap(Policy.apply(policy)(read), ({ events }) => Stream.runDrain(events))
    // A wait before a retry continues after the scope has closed, and then sends no request.
    const close = () => void Effect.runFork(closing)
    const made = yield* during(seen, Scope.provide(reading, scope), when, close, nothing, false)
    yield* Scope.close(scope, Exit.void)
    // Time for the log to write the events of the closing.
    yield* TestClock.adjust("5 seconds")
    yield* check(seen, where)
    assert.strictEqual(seen.sleeps, 0, `a timer is left, ${where}`)
    return { ...made, written: seen.written }
  }).pipe(Effect.provide(layerOf(place, turns)))

const once = [Faults.answer("one two")]
const twice = [Faults.overloaded, Faults.answer("one two", { every: "100 millis" })]

interface Made {
  readonly steps: number
  readonly turns: number
  readonly written: ReadonlyArray<string>
}

/** Interrupts or closes at every step and after every turn. Checks the events that a slow log has written. */
const everywhere = Effect.fnUntraced(function*<E, R>(
  { logTakes }: Place,
  attempt: (when: When) => Effect.Effect<Made, E, R>
) {
  const { steps, turns } = yield* attempt(undefined)
  assert.isAbove(steps, 15)
  const whens: ReadonlyArray<When> = [
    ...Array.from({ length: steps }, (_, i) => ({ step: i + 1 })),
    ...Array.from({ length: turns + 1 }, (_, turn) => ({ turn }))
  ]
  const all = yield* Effect.forEach(oneIn(6, whens), (when) => Effect.map(attempt(when), (made) => ({ ...made, when })))
  // If the write of a start was interrupted, the log must not write the end either.
  for (const { when, written } of logTakes > 0 ? all : []) {
    assert.isTrue(paired(written), `written: ${written.join(", ")}, ${JSON.stringify(when)}`)
  }
})

// -----------------------------------------------------------------------------
// Tests
// -----------------------------------------------------------------------------

describe("G1 G2: an interrupt leaves no connection, lease or slot in use, and the log gets a start and an end of each attempt,", () => {
  for (const place of places) {
    // The test log records only attempts, and half of the calls have enough attempts.
    const some = place === slow ? calls.filter((_, i) => i % 2 === 0) : calls
    it.effect.each(some)(`at any point of a call for $name, with ${place.name}`, (call) =>
      Effect.gen(function*() {
        const { exit, sent } = yield* interrupted(place, call, undefined)
        assert.isTrue(Exit.isSuccess(exit), String(exit))
        assert.strictEqual(sent, call.requests)
        yield* everywhere(place, (when) => interrupted(place, call, when))
      }), 30_000)
  }

  it.effect.each([simple, ...calls])(
    "at every operation of the runtime, during a call for $name",
    (call) =>
      Effect.gen(function*() {
        const { operations } = yield* interrupted(own, call, undefined)
        const all = Array.from({ length: operations }, (_, i) => i + 1)
        for (const operation of oneIn(61, all)) yield* interrupted(own, call, { operation })
      }),
    60_000
  )
})

describe("G1 G2: closing the scope from another fiber leaves no connection, lease or slot in use,", () => {
  it.effect.each([own, slow, queued])(
    "with $name",
    (place) => everywhere(place, (when) => closed(place, twice, when)),
    30_000
  )

  it.effect("at every operation of the runtime", () =>
    Effect.gen(function*() {
      const { operations } = yield* closed(slow, once, undefined)
      const all = Array.from({ length: operations }, (_, i) => i + 1)
      for (const operation of oneIn(7, all)) yield* closed(slow, once, { operation })
    }), 30_000)
})
