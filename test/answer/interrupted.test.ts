/** Calls that are interrupted at their first step, at their second, and so on to their last. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, type Duration, Effect, Exit, Fiber, Layer, Schedule, Scheduler, Scope, Stream } from "effect"
import { CallLog, Claude, type Guard, Guards, Policy } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

/** What is open, and what was told. */
class Seen extends Context.Service<Seen, { sockets: number; attempts: number; early: number }>()("test/Seen") {}

/** Does something at one of the steps of all fibers together, and lets the others go first. */
class At extends Scheduler.MixedScheduler {
  steps = 0
  readonly step: number
  readonly act: () => void

  constructor(step: number, act: () => void) {
    super()
    this.step = step
    this.act = act
  }

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    this.steps++
    if (this.steps !== this.step) return super.shouldYield(fiber)
    this.act()
    return true
  }
}

/** A guard that takes a step for each thing it does. */
const slow: Guard.Guard = {
  gate: () => Effect.yieldNow,
  admit: () =>
    Effect.as(Effect.yieldNow, {
      opened: () => Effect.yieldNow,
      settle: () => Effect.yieldNow
    })
}

/** How many sleep, of those who ask this clock. */
const counting = (clock: Clock.Clock) => {
  const sleepers = { count: 0 }
  const counted: Clock.Clock = Object.assign(Object.create(clock), {
    sleep: (duration: Duration.Duration) =>
      Effect.acquireUseRelease(
        Effect.sync(() => void sleepers.count++),
        () => clock.sleep(duration),
        () => Effect.sync(() => void sleepers.count--)
      )
  })
  return { sleepers, counted }
}

const guards: Guards.Guards = {
  concurrency: { max: 1, queue: 0 },
  quota: { requests: 50, inputTokens: 10_000, outputTokens: 1e6 },
  circuit: {}
}

/** A service that is another, with an `open` of its own. */
const own = <A, E, R>(layer: Layer.Layer<A | Claude.Claude, E, R>) =>
  Layer.effect(
    Claude.Claude,
    Effect.map(Claude.Claude, (claude) => Claude.Claude.of({ ...claude, open: (request) => claude.open(request) }))
  ).pipe(Layer.provideMerge(layer))

/** Guarded, over a wire that counts what is open, with a log that counts attempts that began and have not ended. */
const guarded = (playable: Faults.Playable, isHeard: boolean, isNested: boolean) =>
  Layer.effectContext(Effect.gen(function*() {
    const seen = { sockets: 0, attempts: 0, early: 0 }
    const wire = yield* FakeClaude.wire(playable)
    const socket = Effect.acquireRelease(
      Effect.sync(() => void seen.sockets++),
      () => Effect.sync(() => void seen.sockets--)
    )
    const log: CallLog.CallLog = {
      emit: ({ _tag }) =>
        Effect.sync(() => {
          if (_tag === "AttemptStarted") seen.attempts++
          if (/^Attempt(Succeeded|Failed|Left)$/.test(_tag)) {
            seen.attempts--
            seen.early += seen.sockets
          }
        })
    }
    const claude = Claude.layer({ ...wire, open: (request) => Effect.andThen(socket, wire.open(request)) }).pipe(
      Layer.provide(isHeard ? Layer.succeed(CallLog.CallLog, log) : CallLog.layerNone)
    )
    const inner = isNested ? own(claude.pipe(Guards.apply({ extra: [slow], concurrency: { max: 1 } }))) : claude
    const outer = isHeard ? { ...guards, extra: [slow] } : guards
    return Context.add(yield* Layer.build(inner.pipe(Guards.apply(outer))), Seen, seen)
  }))

const standard = Policy.apply({ ...Policy.standard, retry: Schedule.recurs(1) })
const broken = Faults.breaks("one two")

const asked = Claude.text("hi")
const streamed = Stream.runDrain(Claude.stream("hi"))
const calls: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown, Claude.Claude>, Faults.Playable]> = [
  ["one that is collected", asked, [Faults.answer("one two three")]],
  ["one that is streamed", streamed, [Faults.answer("one two three")]],
  ["one under a policy", standard(asked), [Faults.answer("one two three")]],
  ["one that is tried again", standard(asked), [Faults.overloaded, Faults.answer("one two three")]],
  ["one that breaks off", standard(asked), [broken, Faults.answer("one two three")]],
  ["one whose answer is paused", standard(asked), [Faults.overloaded, Faults.paused("one"), Faults.answer("two")]],
  ["one that fails", standard(asked), Faults.cycle(Faults.overloaded)]
]

/** Interrupts a call at a step, unless it is over by then. */
const interrupted = (
  step: number,
  [, call, playable]: typeof calls[number],
  isHeard: boolean,
  isNested: boolean
) =>
  Effect.gen(function*() {
    let running: Fiber.Fiber<unknown, unknown> | undefined
    const at = new At(step, () => running?.interruptUnsafe())
    const { counted, sleepers } = counting(yield* Clock.Clock)
    running = yield* call.pipe(
      Effect.provideService(Scheduler.Scheduler, at),
      Effect.provideService(Clock.Clock, counted),
      Effect.forkChild
    )
    yield* Fiber.await(running)
    // A timer that was let go is gone when it had its turn.
    yield* Effect.replicateEffect(Effect.yieldNow, 10, { discard: true })
    assert.strictEqual(sleepers.count, 0, `a timer is left, at step ${step}`)
    const { admission, budget } = yield* Guards.status
    const { attempts, early, sockets } = yield* Seen
    const where = `at step ${step}`
    assert.strictEqual(sockets, 0, `a socket is open, ${where}`)
    assert.strictEqual(early, 0, `an attempt was told to have ended before its socket was closed, ${where}`)
    // One that is interrupted before it is told that it began is told to have ended all the same.
    assert.isAtMost(attempts, 0, `an attempt has no end, ${where}`)
    for (const line of Object.values(admission)) {
      assert.deepStrictEqual([line.running, line.waiting], [0, 0], `a slot is taken, ${where}`)
    }
    const { left, waiting } = budget?.["claude-sonnet-5-5"] ?? { left: 10, waiting: 0 }
    assert.strictEqual(waiting, 0, where)
    return { isOver: at.steps < step, failed: 10 - left }
  }).pipe(Effect.provide(guarded(playable, isHeard, isNested)))

describe("G1 G2: wherever it is interrupted, everything is given back by", () => {
  const setUps = [
    ["", false, false],
    [", heard by a log, with a guard that takes its time", true, false],
    [", with guards around an `open` of one's own around guards", true, true]
  ] as const
  for (const [name, isHeard, isNested] of setUps) {
    it.effect.each(calls)(`%s${name}`, (call) =>
      Effect.gen(function*() {
        let step = 1
        let end = yield* interrupted(step, call, isHeard, isNested)
        while (!end.isOver) {
          step++
          end = yield* interrupted(step, call, isHeard, isNested)
          // What failed before the interrupt is load for nothing; what was interrupted is none.
          assert.isAtMost(end.failed, call[0] === "one that fails" ? 1 : 0, `at step ${step}`)
        }
        assert.isAbove(step, 30)
      }), 30_000)
  }
})

/** Closes the scope of an answer at a step, or when it is opened. */
const closed = (step: number, isSlow: boolean) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const at = new At(step, () => void Effect.runFork(Scope.close(scope, Exit.void)))
    const { counted, sleepers } = counting(yield* Clock.Clock)
    const opening = yield* Claude.open("hi").pipe(
      Scope.provide(scope),
      Effect.provideService(Scheduler.Scheduler, at),
      Effect.provideService(Clock.Clock, counted),
      Effect.forkChild
    )
    yield* Fiber.await(opening)
    yield* Scope.close(scope, Exit.void)
    yield* Effect.replicateEffect(Effect.yieldNow, 20, { discard: true })
    const { admission } = yield* Guards.status
    const { attempts, sockets } = yield* Seen
    const line = admission["sonnet"]
    assert.deepStrictEqual(
      [sockets, attempts, line?.running ?? 0, line?.waiting ?? 0, sleepers.count],
      [0, 0, 0, 0, 0],
      `sockets, attempts, running, waiting and timers, at step ${step}`
    )
    return at.steps < step
  }).pipe(Effect.provide(guarded([Faults.lingers("hello")], isSlow, false)))

describe("G1 G2: wherever its scope is closed by somebody else, an answer gives everything back", () => {
  it.effect.each([["", false], ["with a log and a guard that take their time", true]] as const)(
    "%s",
    ([, isSlow]) =>
      Effect.gen(function*() {
        let step = 1
        while (!(yield* closed(step, isSlow))) step++
        assert.isAbove(step, 30)
      }),
    30_000
  )
})
