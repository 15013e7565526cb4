/**
 * Incidents in virtual time: probes that hang or are never read, late answers, and which calls are served first
 * afterwards.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Random, Scope, Stream } from "effect"
import { CallLog, Claude, ClaudeError, Current, Guards, Policy } from "../../../src/index.ts"
import * as VirtualClock from "../../../src/testing/simulator/virtualClock.ts"
import { type Answer, every, quantile, type Serve, wire } from "../../support/provider.ts"

/** Events of circuits, with their times. */
type Told = Array<readonly [tag: string, at: number]>

/** A guarded `Claude` that records the events of its circuits. */
const told = (told: Told, serve: Serve, guards: Guards.Guards) =>
  Claude.layer(wire(serve)).pipe(
    Guards.apply(guards),
    Layer.provide(Layer.succeed(CallLog.CallLog, {
      emit: ({ _tag, at }) =>
        Effect.sync(() => {
          if (_tag.startsWith("Circuit")) told.push([_tag, at])
        })
    }))
  )

const circuit = { window: "10 seconds", openFor: "10 seconds", maxOpenFor: "20 seconds" } as const

/**
 * Two calls per second. From second 60 to 100, no request is answered. Of the requests in the ten seconds before, half
 * are answered late, while the circuit is open, and half break off after it has closed.
 */
const hanging = (seed: string) =>
  Effect.gen(function*() {
    const events: Told = []
    const arrivals: Array<number> = []
    const serve = (now: number): Effect.Effect<Answer> => {
      if (now < 50_000) return Effect.succeed({ first: 500 })
      if (now < 60_000) {
        return Effect.succeed(
          arrivals.length % 2 === 0
            ? { first: 500, rest: 25_000 + (now - 50_000) * 3 }
            : { first: 500, rest: 78_000, broken: new ClaudeError.Unreachable({ code: "ECONNRESET" }) }
        )
      }
      if (now >= 100_000) return Effect.succeed({ first: 500 })
      return Effect.never
    }
    const ends: Array<readonly [at: number, tag: string]> = []
    const ask = Claude.text("hi").pipe(
      Effect.match({ onFailure: ({ _tag }) => _tag, onSuccess: () => "Success" }),
      Effect.flatMap((tag) => Effect.map(Clock.currentTimeMillis, (at) => ends.push([at, tag])))
    )
    yield* every(500, 400, () => ask).pipe(Effect.provide(told(events, () =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        arrivals.push(now)
        return serve(now)
      }), { circuit })))
    return { events, arrivals, ends }
  }).pipe(Random.withSeed(seed), VirtualClock.run)

describe("the circuit in an outage", () => {
  it.effect(
    "G5: closes at most 31 seconds after the model recovers, even if all probes before were never answered",
    () =>
      Effect.gen(function*() {
        for (const seed of ["a", "b", "c"]) {
          const { arrivals, events } = yield* hanging(seed)
          const tags = events.map(([tag]) => tag)
          const at = (tag: string) => events.find(([other]) => other === tag)?.[1] ?? NaN
          // The circuit opens once, each failed probe reopens it, and the last probe closes it for good.
          assert.strictEqual(tags[0], "CircuitOpened")
          assert.deepStrictEqual(tags.slice(-2), ["CircuitProbing", "CircuitClosed"])
          assert.deepStrictEqual(
            tags.slice(0, -2),
            tags.slice(0, -2).map((_, i) => i % 2 === 0 ? "CircuitOpened" : "CircuitProbing")
          )
          assert.isAtLeast(tags.length, 5)
          // The longest open time, plus the time-out of the running probe, plus half a second for a request and its
          // answer.
          assert.isAtMost(at("CircuitClosed"), 100_000 + 10_000 + 20_000 + 1000)
          // Meanwhile only probes are sent, each after the 10 seconds that the one before may take to connect.
          const [opened, closed] = [at("CircuitOpened"), at("CircuitClosed")]
          const sent = arrivals.filter((now) => now > opened && now < closed)
          assert.lengthOf(sent, tags.filter((tag) => tag === "CircuitProbing").length)
          sent.reduce((before, now) => {
            assert.isAtLeast(now - before, 10_000)
            return now
          })
        }
      }),
    60_000
  )

  it.effect(
    "G3: is neither closed by late successes of earlier calls nor opened again by their late failures",
    () =>
      Effect.gen(function*() {
        const { ends, events } = yield* hanging("a")
        const closed = events.at(-1)
        const opened = events[0]
        assert.strictEqual(closed?.[0], "CircuitClosed")
        // There were enough late answers of both kinds to close the circuit, and to open it again.
        const within = (from: number, to: number, tag: string) =>
          ends.filter(([at, other]) => at > from && at < to && other === tag).length
        assert.isAtLeast(within(opened?.[1] ?? 0, closed?.[1] ?? 0, "Success"), 5)
        assert.isAtLeast(within(closed?.[1] ?? 0, Infinity, "PartialAnswer"), 10)
      }),
    60_000
  )

  it.effect(
    "G5: closes when the answer to a probe begins, even if nobody reads this answer, and stays closed when the answer ends late",
    () =>
      Effect.gen(function*() {
        const events: Told = []
        let well = false
        const serve: Serve = () =>
          Effect.suspend((): Effect.Effect<Answer, ClaudeError.ClaudeError> =>
            well
              ? Effect.succeed({ first: 500, rest: 500 })
              : Effect.fail(new ClaudeError.Overloaded({}))
          )
        yield* Effect.gen(function*() {
          for (let i = 0; i < 20; i++) yield* Effect.ignore(Claude.text("hi"))
          well = true
          yield* Effect.sleep("20 seconds")
          const scope = yield* Scope.make()
          const forgotten = yield* Scope.provide(Claude.open("hi"), scope)
          yield* Claude.text("hi")
          yield* Effect.sleep("10 minutes")
          yield* Effect.ignore(Stream.runDrain(forgotten.events))
          yield* Scope.close(scope, Exit.fail(new ClaudeError.Overloaded({})))
          yield* Claude.text("hi")
        }).pipe(Effect.provide(told(events, serve, { circuit })))
        assert.deepStrictEqual(events.map(([tag]) => tag), ["CircuitOpened", "CircuitProbing", "CircuitClosed"])
      }).pipe(Random.withSeed("forgotten"), VirtualClock.run),
    60_000
  )
})

const priorities = ["background", "interactive", "background", "default"] as const

/** Ten calls per second with all priorities, into half a minute of outage. Afterwards one call in ten fails. */
const mixed = (seed: string) =>
  Effect.gen(function*() {
    /** The durations of calls from before the end of the outage. */
    const took: { readonly [P in (typeof priorities)[number]]: Array<number> } = {
      background: [],
      default: [],
      interactive: []
    }
    const answered = { background: 0, default: 0, interactive: 0 }
    const serve: Serve = () =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        yield* Effect.sleep(500)
        if (now < 30_000 || (yield* Random.next) < 0.1) return yield* new ClaudeError.Overloaded({})
        return { first: 500 }
      })
    const policy = Policy.apply({ ...Policy.standard, overall: "2 minutes" })
    const ask = (index: number) => {
      const priority = priorities[index % priorities.length] ?? "default"
      return Effect.flatMap(Clock.currentTimeMillis, (start) =>
        policy(Claude.text(`${index}`)).pipe(
          Effect.andThen(Clock.currentTimeMillis),
          Effect.match({
            onFailure: () => {},
            onSuccess: (now) => {
              answered[priority]++
              if (start < 30_000) took[priority].push(now - start)
            }
          }),
          Effect.provideService(Current.Priority, priority)
        ))
    }
    yield* every(100, 1200, ask).pipe(Effect.provide(told([], serve, Guards.standard)))
    return { answered, took }
  }).pipe(Random.withSeed(seed), VirtualClock.run)

describe("Guards.standard, after an outage", () => {
  it.effect(
    "answers all calls; of those that began in the outage, interactive calls have the shortest median duration and background calls the longest",
    () =>
      Effect.gen(function*() {
        const { answered, took } = yield* mixed("a")
        // No call is rejected for lack of a place, because no limit was set.
        assert.deepStrictEqual(answered, { interactive: 300, default: 300, background: 600 })
        const median = (priority: keyof typeof took) => quantile(took[priority], 0.5)
        assert.isBelow(median("interactive"), median("default"))
        assert.isBelow(median("default"), median("background"))
      }),
    60_000
  )
})
