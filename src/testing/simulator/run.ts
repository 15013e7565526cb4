import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { audit } from "./audit.ts"
import * as Contender from "./contender.ts"
import * as Provider from "./provider.ts"
import { Recorder, type Result, resultOf } from "./recorder.ts"
import { type Scenario, trafficOf } from "./scenario.ts"
import * as Traffic from "./traffic.ts"
import * as VirtualClock from "./virtualClock.ts"

/** The replaceable parts of the simulator: tests break a part and check that the run notices. */
export interface Parts {
  readonly provider: typeof Provider.make
  readonly clock: VirtualClock.Run
}

export const parts: Parts = { provider: Provider.make, clock: VirtualClock.run }

/** Dies if the clock skips a timer, if the provider exceeds its rate limits, or if a request is never closed. */
export const run = (
  scenario: Scenario,
  contender: Contender.Contender,
  seed: number | string,
  { clock, provider }: Parts = parts
): Effect.Effect<Result> =>
  Effect.suspend(() => {
    const recorder = new Recorder()
    const due = Traffic.due(trafficOf(scenario), seed)
    return runCalls(scenario, contender, due, provider(scenario.provider, seed), recorder).pipe(
      Effect.scoped,
      Random.withSeed(`${seed}`),
      clock,
      Effect.map(() => {
        const problem = recorder.open === 0
          ? audit(scenario.provider.limits ?? {}, recorder.plans)
          : `${recorder.open} ${
            recorder.open === 1 ? "request was" : "requests were"
          } never closed: read or cancel every answer`
        if (problem !== undefined) throw new Error(problem)
        return resultOf(recorder, {
          scenario: scenario.name,
          contender: contender.name,
          seed,
          due,
          incidents: (scenario.provider.incidents ?? []).map(({ from, to }) => [millis(from), millis(to)] as const)
        })
      })
    )
  })

const runCalls = Effect.fnUntraced(function*(
  scenario: Scenario,
  contender: Contender.Contender,
  due: ReadonlyArray<Traffic.Due>,
  machine: Provider.Machine,
  recorder: Recorder
) {
  const processes = yield* Effect.forEach(
    Array.from({ length: scenario.processes ?? 1 }),
    () => Contender.start(contender, scenario, machine, recorder)
  )
  // One effect per traffic and process, so that a policy is not compiled again for each call.
  const answers = processes.map((answer) =>
    trafficOf(scenario).map((traffic) => ({ traffic, answer: answer(traffic) }))
  )
  yield* Effect.forEach(due, ({ at, traffic: index }, number) => {
    const kind = answers[number % answers.length]?.[index]
    return kind === undefined
      ? Effect.void
      : Effect.andThen(Effect.sleep(at), runCall(kind.answer, kind.traffic, at, recorder))
  }, { concurrency: "unbounded", discard: true })
})

const runCall = Effect.fnUntraced(function*(
  answer: Effect.Effect<unknown, unknown>,
  traffic: Traffic.Traffic,
  due: number,
  recorder: Recorder
) {
  const start = yield* Clock.currentTimeMillis
  if (start !== due) {
    return yield* Effect.die(new Error(`The clock skipped: a call due at ${due} ms began at ${start} ms`))
  }
  const error = yield* answer.pipe(
    Effect.match({ onFailure: Contender.nameOf, onSuccess: () => undefined }),
    // One millisecond more, so that a policy whose deadline is the patience fails first, and its error is recorded.
    Effect.timeoutOrElse({ duration: Traffic.patienceOf(traffic) + 1, orElse: () => Effect.succeed("abandoned") })
  )
  const end = yield* Clock.currentTimeMillis
  const { tenant = "everybody" } = traffic
  recorder.calls.push({ start, end, error, tenant, model: Traffic.modelOf(traffic) })
})

const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))
