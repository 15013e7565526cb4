/**
 * The contract of `Guard.apply`: what it calls on a guard, in which order, exactly once, and no later than the answer's
 * end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, Guard, Guards, type Message, Policy } from "../../src/index.ts"
import { Queued } from "../../src/queued.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const request: Message.Request = {
  params: { model: "claude-sonnet-5-5", max_tokens: 10, messages: [{ role: "user", content: "hi" }] },
  limits: {}
}

const verdict = (exit: Guard.Ending) =>
  Exit.isSuccess(exit)
    ? "success"
    : Guard.errorOf(exit)?._tag ?? (Cause.hasInterrupts(exit.cause) ? "neutral" : "defect")

class Notes extends Context.Service<Notes, Array<string>>()("test/Notes") {}

const notes = Effect.map(Notes, (all) => [...all])

/** A guard that records the calls it gets. */
type Spy = (note: (what: string) => Effect.Effect<void>) => Partial<Guard.Guard> & Partial<Guard.Lease>

const spied = (spies: { readonly [name: string]: Spy }, playable: Faults.Playable) =>
  Layer.effectContext(Effect.gen(function*() {
    const all: Array<string> = []
    const guards = Object.entries(spies).map(([name, spy]): Guard.Guard => {
      const note = (what: string) => Effect.sync(() => void all.push(`${name} ${what}`))
      const own = spy(note)
      return {
        gate: own.gate ?? (() => note("gate")),
        admit: own.admit ?? (() =>
          Effect.as(note("admit"), {
            opened: own.opened ?? (() => note("opened")),
            settle: own.settle ?? ((exit, usage) => note(`settle ${verdict(exit)} ${usage?.output_tokens ?? "-"}`))
          }))
      }
    })
    const claude = yield* Claude.Claude
    return Context.make(Notes, all).pipe(Context.add(Claude.Claude, Guard.apply(guards)(claude)))
  })).pipe(Layer.provideMerge(FakeClaude.layer(playable)))

const plain: Spy = () => ({})
const two = { a: plain, b: plain }
const admitted = ["a gate", "b gate", "a admit", "b admit"]
const opened = [...admitted, "a opened", "b opened"]
const settled = (how: string) => [`b settle ${how}`, `a settle ${how}`]

const drained = Effect.flatMap(Claude.open("hi"), ({ events }) => Stream.runDrain(events))

describe("Guard.apply calls all gates, then every admit in order, and settles leases in reverse", () => {
  it.effect("when a complete answer ends, before its scope closes", () =>
    Effect.gen(function*() {
      const { events } = yield* Claude.open("hi")
      assert.deepStrictEqual(yield* notes, opened)
      yield* Stream.runDrain(events)
      assert.deepStrictEqual(yield* notes, [...opened, ...settled("success 2")])
      assert.lengthOf(yield* FakeClaude.received, 1)
    }).pipe(
      Effect.scoped,
      Effect.andThen(Effect.map(notes, (all) => assert.lengthOf(all, 8, "once"))),
      Effect.provide(spied(two, [Faults.answer("a b c")]))
    ))

  it.effect("when an answer is collected", () =>
    Effect.gen(function*() {
      yield* Claude.text("hi")
      assert.deepStrictEqual(yield* notes, [...opened, ...settled("success 2")])
    }).pipe(Effect.provide(spied(two, [Faults.answer("a b c")]))))

  it.effect("when an answer breaks, even if its reader recovers inside the scope", () =>
    Effect.gen(function*() {
      yield* Effect.ignore(drained)
      assert.deepStrictEqual(yield* notes, [...opened, ...settled("PartialAnswer 1")])
    }).pipe(
      Effect.scoped,
      Effect.andThen(Effect.map(notes, (all) => assert.lengthOf(all, 8, "once"))),
      Effect.provide(spied(two, [Faults.breaks("half")]))
    ))

  it.effect("when the reader leaves early", () =>
    Effect.gen(function*() {
      const { events } = yield* Claude.open("hi")
      yield* Stream.runDrain(Stream.take(events, 2))
      assert.deepStrictEqual(yield* notes, [...opened, ...settled("success -")])
    }).pipe(Effect.scoped, Effect.provide(spied(two, [Faults.answer("a b c")]))))

  it.effect("when the scope of an unread answer closes", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Claude.open("hi"))
      assert.deepStrictEqual(yield* notes, [...opened, ...settled("neutral 1")])
    }).pipe(Effect.provide(spied(two, [Faults.answer("a b c")]))))

  it.effect("when Claude refuses", () =>
    Effect.gen(function*() {
      yield* Effect.flip(Claude.text("hi"))
      assert.deepStrictEqual((yield* notes).slice(6).map((note) => note.slice(0, 16)), [
        "b settle Refused",
        "a settle Refused"
      ])
    }).pipe(Effect.provide(spied(two, [Faults.refusal("no")]))))

  it.effect("when the request fails before an answer begins", () =>
    Effect.gen(function*() {
      yield* Effect.flip(Claude.open("hi"))
      assert.deepStrictEqual(yield* notes, [...admitted, ...settled("Overloaded -")])
    }).pipe(Effect.scoped, Effect.provide(spied(two, [Faults.overloaded]))))

  it.effect.each(
    [
      ["before its answer begins", Faults.pings(), admitted, "neutral -"],
      ["while its answer is read", Faults.pings("half"), opened, "neutral 1"]
    ] as const
  )("when a call is interrupted %s", ([, turn, before, how]) =>
    Effect.gen(function*() {
      const call = yield* Effect.scoped(drained).pipe(Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* notes, before)
      yield* Fiber.interrupt(call)
      assert.deepStrictEqual(yield* notes, [...before, ...settled(how)])
    }).pipe(Effect.provide(spied(two, [turn]))))
})

describe("a request", () => {
  const saturated = Effect.fail(new ClaudeError.Saturated({ by: "concurrency" }))

  it.effect("is admitted by no guard if a gate rejects it", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(Claude.text("hi")))._tag, "Saturated")
      assert.deepStrictEqual(yield* notes, ["a gate"])
      assert.lengthOf(yield* FakeClaude.received, 0)
    }).pipe(Effect.provide(spied({ a: plain, b: () => ({ gate: () => saturated }) }, []))))

  it.effect("causes no call of `admit` if a gate rejects it, so side effects outside the effect that `admit` returns do not happen", () =>
    Effect.gen(function*() {
      let running = 0
      const claude = yield* Claude.Claude
      const eager: Guard.Guard = {
        gate: () => saturated,
        admit: () => {
          running++
          return Effect.succeed({ settle: () => Effect.sync(() => void running--) })
        }
      }
      yield* Effect.flip(Claude.text("hi")).pipe(
        Effect.provideService(Claude.Claude, Guard.apply([eager])(claude))
      )
      assert.strictEqual(running, 0)
    }).pipe(Effect.provide(FakeClaude.layer([]))))

  it.effect("is not sent if a later guard rejects it, and the leases of the earlier guards are settled", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(Claude.text("hi")))._tag, "Saturated")
      assert.deepStrictEqual(yield* notes, [
        "a gate",
        "b gate",
        "c gate",
        "a admit",
        "b admit",
        ...settled("Saturated -")
      ])
      assert.lengthOf(yield* FakeClaude.received, 0)
    }).pipe(Effect.provide(spied({ ...two, c: () => ({ admit: () => saturated }) }, []))))

  it.effect("G1 G2: is not sent if it is interrupted while a later guard waits, and the leases of the earlier guards are settled", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Claude.text("hi"), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      yield* Fiber.interrupt(call)
      assert.deepStrictEqual((yield* notes).slice(3), ["a admit", "b admit", ...settled("neutral -")])
      assert.lengthOf(yield* FakeClaude.received, 0)
    }).pipe(Effect.provide(spied({ ...two, c: () => ({ admit: () => Effect.interruptible(Effect.never) }) }, []))))
})

describe("a lease", () => {
  it.effect("G2: is settled even if the call is interrupted while the `admit` of its guard still runs", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Claude.text("hi"), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      call.interruptUnsafe()
      assert.deepStrictEqual((yield* notes).slice(2), ["a admit", "b begins"])
      yield* TestClock.adjust("10 seconds")
      assert.isDefined(call.pollUnsafe())
      assert.deepStrictEqual((yield* notes).slice(4), ["b admits", "b settle", "a settle neutral -"])
      assert.lengthOf(yield* FakeClaude.received, 0)
    }).pipe(Effect.provide(spied({
      a: plain,
      b: (note) => ({
        // `Guard.apply` runs `admit` uninterruptibly.
        admit: () =>
          note("begins").pipe(
            Effect.andThen(Effect.sleep("10 seconds")),
            Effect.andThen(note("admits")),
            Effect.as({ settle: () => note("settle") })
          )
      })
    }, []))))

  it.effect.each(
    [
      ["dies", () => Effect.die(new Error("mine"))],
      ["throws", () => {
        throw new Error("mine")
      }],
      ["is interrupted", () => Effect.interrupt]
    ] as const satisfies ReadonlyArray<readonly [string, () => Effect.Effect<void>]>
  )("G2: is settled even if the settle of another lease %s", ([how, settle]) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Claude.text("hi"))
      assert.isTrue(how === "is interrupted" ? Exit.hasInterrupts(exit) : Exit.hasDies(exit))
      assert.deepStrictEqual((yield* notes).filter((note) => note.includes("settle")), [
        "c settle success 2",
        "a settle success 2"
      ])
    }).pipe(Effect.provide(spied({ a: plain, b: () => ({ settle }), c: plain }, [Faults.answer("hello")]))))

  it.effect("G2: may be undefined, as from a guard written in JavaScript, and the leases of the other guards are settled", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Claude.text("hi"), "hello")
      assert.deepStrictEqual((yield* notes).filter((note) => note.includes("settle")), [
        "c settle success 2",
        "a settle success 2"
      ])
    }).pipe(Effect.provide(
      spied({
        a: plain,
        b: () => ({ admit: () => Effect.succeed(undefined as unknown as Guard.Lease) }),
        c: plain
      }, [Faults.answer("hello")])
    )))

  it.effect("makes the call fail with a defect if its settle throws", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const thrown: Guard.Guard = {
        gate: Guard.open,
        admit: () =>
          Effect.succeed({
            settle: () => {
              throw new Error("mine")
            }
          })
      }
      const asked = Effect.provideService(Claude.text("hi"), Claude.Claude, Guard.apply([thrown])(claude))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(asked)))
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("hello")]))))

  it.effect("G2: is settled even if reading the usage of the answer throws", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const settled: Array<string> = []
      let asked = 0
      const guard = (name: string): Guard.Guard => ({
        gate: Guard.open,
        admit: () => Effect.succeed({ settle: (_, usage) => Effect.sync(() => void settled.push(`${name} ${usage}`)) })
      })
      const broken = Claude.Claude.of({
        ...claude,
        open: (request) =>
          Effect.map(claude.open(request), (opened) => ({
            ...opened,
            usage: () => {
              asked++
              throw new Error("mine")
            }
          }))
      })
      const exit = yield* Claude.text("hi").pipe(
        Effect.provideService(Claude.Claude, Guard.apply([guard("a"), guard("b")])(broken)),
        Effect.exit
      )
      assert.isTrue(Exit.hasDies(exit))
      assert.deepStrictEqual(settled, ["b undefined", "a undefined"])
      assert.strictEqual(asked, 1)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("hello")]))))

  it.effect("is settled even if its `opened` dies", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Claude.text("hi"))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.deepStrictEqual((yield* notes).slice(4), ["a opened", ...settled("defect 1")])
    }).pipe(Effect.provide(spied({ a: plain, b: () => ({ opened: () => Effect.die("mine") }) }, [
      Faults.answer("hello")
    ]))))
})

describe("a scope that is closed concurrently", () => {
  /** One call at a time, over a wire that counts its sockets. */
  const crowded = (playable: Faults.Playable) =>
    Effect.gen(function*() {
      const sockets = { open: 0, opened: 0 }
      const socket = Effect.acquireRelease(
        Effect.sync(() => {
          sockets.open++
          sockets.opened++
        }),
        () => Effect.sync(() => void sockets.open--)
      )
      const wire = yield* FakeClaude.wire(playable)
      const context = yield* Layer.build(
        Claude.layer({
          ...wire,
          countTokens: () => Effect.as(Effect.sleep("1 second"), 5),
          open: (request) => Effect.andThen(socket, wire.open(request))
        }).pipe(Guards.apply({ concurrency: { max: 1 } }))
      )
      const running = Effect.map(
        Context.get(context, Guards.Control).status,
        ({ admission }) => [admission["sonnet"]?.running ?? 0, admission["sonnet"]?.waiting ?? 0, sockets.open]
      )
      return { context, running, sockets }
    })

  /** Closes the scope while a call, under a policy if one is given, opens an answer in it. */
  const closing = (context: Context.Context<Claude.Claude>, policy: Policy.Policy = Policy.none) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const open = yield* Claude.open("hi").pipe(
        Policy.apply(policy),
        Scope.provide(scope),
        Effect.provide(context),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(open)))
    })

  it.effect("G1 G2: leaves no slot in use and opens no socket if it closes before the answer opens", () =>
    Effect.gen(function*() {
      const { context, running, sockets } = yield* crowded([Faults.lingers("hello")])
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      const claude = Context.get(context, Claude.Claude)
      assert.isTrue(Exit.hasInterrupts(yield* Effect.exit(Scope.provide(claude.open(request), scope))))
      assert.deepStrictEqual(yield* running, [0, 0, 0])
      assert.strictEqual(sockets.opened, 0)
    }).pipe(Effect.scoped))

  it.effect("G1 G2: leaves no slot in use and opens no socket if it closes while the log handles AttemptStarted", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const slow: CallLog.CallLog = {
        emit: ({ _tag }) =>
          Effect.andThen(
            Effect.sync(() => void told.push(_tag)),
            _tag === "AttemptStarted" ? Effect.sleep("1 second") : Effect.void
          )
      }
      const { context, running, sockets } = yield* crowded([Faults.lingers("hello")]).pipe(
        Effect.provideService(CallLog.CallLog, slow)
      )
      yield* closing(context)
      assert.deepStrictEqual(yield* running, [0, 0, 0])
      assert.strictEqual(sockets.opened, 0)
      assert.deepStrictEqual(told, ["AttemptStarted", "AttemptAbandoned"])
    }).pipe(Effect.scoped))

  it.effect("G1 G2: leaves no slot in use and opens no socket if it closes while the tokens of the prompt are counted", () =>
    Effect.gen(function*() {
      const { context, running, sockets } = yield* crowded([Faults.lingers("hello")])
      yield* closing(context, { precheck: "count" })
      assert.deepStrictEqual(yield* running, [0, 0, 0])
      assert.strictEqual(sockets.opened, 0)
    }).pipe(Effect.scoped))

  it.effect("G1 G2: leaves no slot in use and opens no socket if it closes while the call waits in the queue", () =>
    Effect.gen(function*() {
      const { context, running, sockets } = yield* crowded([
        Faults.delayed(Faults.answer("first"), "1 second"),
        Faults.lingers("hello")
      ])
      const first = yield* Claude.text("hi").pipe(Effect.provide(context), Effect.forkChild({ startImmediately: true }))
      yield* closing(context)
      assert.strictEqual(yield* Fiber.join(first), "first")
      assert.deepStrictEqual(yield* running, [0, 0, 0])
      assert.strictEqual(sockets.opened, 1)
    }).pipe(Effect.scoped))

  it.effect.each(["gate", "admit", "opened"] as const)(
    "G1 G2: interrupts the call if it closes while a guard waits in %s, and the lease is settled if the guard gave one",
    (where) =>
      Effect.gen(function*() {
        const told: Array<string> = []
        const note = (what: string) => Effect.sync(() => void told.push(what))
        const wait = (at: string) => Effect.andThen(note(at), at === where ? Effect.sleep("1 second") : Effect.void)
        const slow: Guard.Guard = {
          gate: () => wait("gate"),
          admit: () => Effect.as(wait("admit"), { opened: () => wait("opened"), settle: () => note("settle") })
        }
        const claude = yield* Claude.Claude
        const guarded = Guard.apply([slow])({
          ...claude,
          open: (request) => Effect.andThen(note("open"), claude.open(request))
        })
        const scope = yield* Scope.make()
        const open = yield* Effect.forkChild(Scope.provide(guarded.open(request), scope), { startImmediately: true })
        yield* Effect.yieldNow
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(open)))
        assert.deepStrictEqual(
          told,
          {
            gate: ["gate"],
            admit: ["gate", "admit", "settle"],
            opened: ["gate", "admit", "open", "opened", "settle"]
          }[where]
        )
      }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("hello")])))
  )

  it.effect("G2: settles slow leases in reverse order before it is closed, apart from a lease that is acquired after the close", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const note = (what: string) => Effect.sync(() => void told.push(what))
      const slow = (name: string, admitFor: number, settleFor: number): Guard.Guard => ({
        gate: Guard.open,
        admit: () =>
          Effect.as(Effect.sleep(admitFor), {
            settle: () =>
              note(`${name} settling`).pipe(
                Effect.andThen(Effect.sleep(settleFor)),
                Effect.andThen(note(`${name} settled`))
              )
          })
      })
      const guarded = Guard.apply([slow("a", 0, 100), slow("b", 0, 20), slow("c", 10, 0)])(yield* Claude.Claude)
      const scope = yield* Scope.make()
      const open = yield* Effect.forkChild(Scope.provide(guarded.open(request), scope), { startImmediately: true })
      yield* TestClock.adjust(1)
      const closing = Effect.andThen(Scope.close(scope, Exit.void), note("scope closed"))
      yield* Effect.forkChild(closing, { startImmediately: true })
      yield* TestClock.adjust(500)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(open)))
      assert.deepStrictEqual(told, [
        "b settling",
        "c settling",
        "c settled",
        "b settled",
        "a settling",
        "a settled",
        "scope closed"
      ])
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("hello")]))))
})

describe("a custom guard", () => {
  it.effect("in `extra` admits a request after the queue, and its lease is settled before the lease of the queue", () =>
    Effect.gen(function*() {
      const all: Array<string> = []
      const note = (what: string) => Effect.sync(() => void all.push(what))
      const own = (name: string): Guard.Guard => ({
        gate: () => note(`${name} gate`),
        admit: () =>
          Effect.gen(function*() {
            // The queue has admitted the request before this guard is asked.
            const { admission } = yield* control.status
            yield* note(`${name} admit, ${admission["sonnet"]?.running} running`)
            return {
              settle: () =>
                Effect.flatMap(control.status, ({ admission, circuits }) =>
                  note(
                    `${name} settle, ${admission["sonnet"]?.running} running, ${
                      circuits["claude-sonnet-5-5"]?.calls
                    } counted`
                  ))
            }
          })
      })
      const context = yield* Layer.build(
        FakeClaude.layer([Faults.answer("hello")]).pipe(
          Guards.apply({ circuit: {}, concurrency: { max: 2 }, extra: [own("a"), own("b")] })
        )
      )
      const control = Context.get(context, Guards.Control)
      yield* Effect.provide(Claude.text("hi"), context)
      assert.deepStrictEqual(all, [
        "a gate",
        "b gate",
        "a admit, 1 running",
        "b admit, 1 running",
        "b settle, 1 running, 1 counted",
        "a settle, 1 running, 1 counted"
      ])
      assert.deepInclude((yield* control.status).admission["sonnet"], { running: 0 })
    }).pipe(Effect.scoped))

  it.effect("may be an object whose methods use `this`", () =>
    Effect.gen(function*() {
      class Mine implements Guard.Guard, Guard.Lease {
        readonly seen: Array<string> = []
        gate() {
          return this.note("gate")
        }
        admit() {
          return Effect.as(this.note("admit"), this)
        }
        opened() {
          return this.note("opened")
        }
        settle() {
          return this.note("settle")
        }
        note(what: string) {
          return Effect.sync(() => void this.seen.push(what))
        }
      }
      const mine = new Mine()
      const context = yield* Layer.build(
        FakeClaude.layer([Faults.answer("hello")]).pipe(Guards.apply({ extra: [mine] }))
      )
      yield* Effect.provide(Claude.text("hi"), context)
      assert.deepStrictEqual(mine.seen, ["gate", "admit", "opened", "settle"])
    }).pipe(Effect.scoped))

  it.effect("may destructure the answer that `opened` gets", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const mine: Guard.Guard = {
        gate: Guard.open,
        admit: () =>
          Effect.succeed({
            opened: ({ isComplete, reply, requestId, usage }) =>
              Effect.sync(() => void seen.push(requestId, isComplete(), reply().text, usage().output_tokens)),
            settle: () => Effect.void
          })
      }
      const context = yield* Layer.build(
        FakeClaude.layer([Faults.answer("hello")]).pipe(Guards.apply({ extra: [mine] }))
      )
      yield* Effect.provide(Claude.text("hi"), context)
      assert.deepStrictEqual(seen.slice(1), [false, "", 1])
      assert.isString(seen[0])
    }).pipe(Effect.scoped))

  it.effect("adds its waiting time to the queued time of the request", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const slow = (gate: number, admit: number): Guard.Guard => ({
        gate: () => Effect.sleep(gate),
        admit: () => Effect.as(Effect.sleep(admit), Guard.nothing)
      })
      const claude = yield* Claude.Claude
      const looking = Claude.Claude.of({
        ...claude,
        open: (request) =>
          Effect.flatMap(Queued, (queued) => {
            seen.push(queued)
            return claude.open(request)
          })
      })
      const guarded = Guard.apply([slow(1000, 200), slow(30, 4)])(Guard.apply([slow(0, 50_000)])(looking))
      const call = yield* Claude.text("hi").pipe(
        Effect.provideService(Claude.Claude, guarded),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* Fiber.join(call), "hello")
      yield* Effect.scoped(looking.open(request))
      assert.deepStrictEqual(seen, [51_234, 0])
    }).pipe(Effect.provide(FakeClaude.layer(Faults.by(() => Faults.answer("hello"))))))

  it.effect("leaves circuit and quota unchanged if it rejects a request as invalid", () =>
    Effect.gen(function*() {
      const invalid = Effect.fail(new ClaudeError.InvalidRequest({ sent: false, detail: "this prompt is not allowed" }))
      const context = yield* Layer.build(
        FakeClaude.layer(Faults.cycle(Faults.overloaded)).pipe(
          Guards.apply({
            circuit: { minimumCalls: 1, openFor: "1 second" },
            quota: { requests: 60, inputTokens: 60_000 },
            extra: [{
              gate: Guard.open,
              admit: ({ params }) => params.max_tokens === 7 ? invalid : Effect.succeed({ settle: () => Effect.void })
            }]
          })
        )
      )
      const status = Effect.map(
        Context.get(context, Guards.Control).status,
        ({ admission, circuits }) => [circuits["claude-sonnet-5-5"]?.state, admission["sonnet"]?.quota] as const
      )
      yield* Effect.flip(Claude.text("hi")).pipe(Effect.provide(context))
      yield* TestClock.adjust("5 minutes")
      const before = yield* status
      assert.strictEqual(before[0], "half-open")
      yield* Effect.flip(Claude.text("hi", { max_tokens: 7 })).pipe(Effect.provide(context))
      assert.deepStrictEqual(yield* status, before, "the probe and the quota are given back")
    }).pipe(Effect.scoped))
})

describe("Guard", () => {
  it.effect("`apply` without guards returns the same service", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      assert.strictEqual(Guard.apply([])(claude), claude)
    }).pipe(Effect.provide(FakeClaude.layer([]))))

  it("`judge` distinguishes successes, errors of this library and neutral endings", () => {
    const judge = (exit: Guard.Ending) =>
      Guard.judge(exit, {
        success: "success",
        neutral: "neutral",
        // A table in which the value of each kind of error is its name.
        failure: new Proxy({} as ClaudeError.Table<string>, { get: (_, tag) => String(tag) })
      })
    assert.strictEqual(judge(Exit.void), "success")
    assert.strictEqual(judge(Exit.fail(new ClaudeError.Overloaded({}))), "Overloaded")
    assert.strictEqual(judge(Exit.fail({ _tag: "Overloaded" })), "neutral", "not ours")
    assert.strictEqual(judge(Exit.interrupt()), "neutral")
    assert.strictEqual(judge(Exit.die(new ClaudeError.Overloaded({}))), "neutral")
    assert.strictEqual(judge(Exit.fail(new ClaudeError.InvalidRequest({}))), "InvalidRequest")
    assert.strictEqual(
      judge(Exit.fail(new ClaudeError.InvalidRequest({ sent: false }))),
      "neutral",
      "a local rejection"
    )
  })
})
