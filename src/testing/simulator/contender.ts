import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { hasProperty } from "effect/Predicate"
import type * as Scope from "effect/Scope"
import * as CallLog from "../../CallLog.ts"
import * as Claude from "../../Claude.ts"
import * as Current from "../../Current.ts"
import * as Guards from "../../guard/Guards.ts"
import * as Monitor from "../../guard/monitor/Monitor.ts"
import * as Policy from "../../policy/Policy.ts"
import type { Machine } from "./provider.ts"
import type { Recorder } from "./recorder.ts"
import type { Scenario } from "./scenario.ts"
import { askOf, modelOf, type Traffic } from "./traffic.ts"
import * as Wire from "./wire.ts"

/** A policy and guards of this library. Both may depend on the scenario, for example on its rate limits. */
export interface Library {
  readonly name: string
  /** Default: `Policy.none`. */
  readonly policy?: Policy.Policy | ((scenario: Scenario, traffic: Traffic) => Policy.Policy) | undefined
  /** Default: no guards. Each process of the scenario has separate guards. */
  readonly guards?: Guards.Guards | ((scenario: Scenario) => Guards.Guards) | undefined
}

/** A strategy that does not use this library. */
export interface Rival {
  readonly name: string
  /** Called once for each process of each run, so that the strategy can keep state. */
  readonly strategy: (scenario: Scenario) => Strategy
}

/** Answers one call or fails. Interrupted when the caller leaves. */
export type Strategy = (call: Call) => Effect.Effect<unknown, unknown>

/** The call that a strategy has to answer. */
export interface Call {
  /** Sends one request. Default for `model`: the model of the call. Interruption cancels the request. */
  readonly send: (model?: string) => Effect.Effect<Wire.Sent, Wire.Failure>
  readonly model: string
  readonly fallbacks: ReadonlyArray<string>
}

export type Contender = Library | Rival

type Answer = (traffic: Traffic) => Effect.Effect<unknown, unknown>

/** Starts one process of a contender. Its guards stop when the scope closes. */
export const start = (
  contender: Contender,
  scenario: Scenario,
  machine: Machine,
  recorder: Recorder
): Effect.Effect<Answer, never, Scope.Scope> =>
  "strategy" in contender
    ? Effect.sync(() => rival(contender.strategy(scenario), machine, recorder))
    : library(contender, scenario, machine, recorder)

const rival = (strategy: Strategy, machine: Machine, recorder: Recorder): Answer => (traffic) => {
  const params = askOf(traffic)
  const call: Call = {
    send: (model = params.model) => Wire.send(machine, recorder, { ...params, model }),
    model: modelOf(traffic),
    fallbacks: traffic.fallbacks ?? []
  }
  // All calls of this traffic run this one effect. `suspend` calls the strategy once per call, so that the strategy can
  // keep state for each call.
  return Effect.suspend(() => strategy(call))
}

const library = Effect.fnUntraced(function*(
  { guards, policy = Policy.none }: Library,
  scenario: Scenario,
  machine: Machine,
  recorder: Recorder
) {
  const claude = Claude.layer(Wire.wire(machine, recorder))
  const guarded = guards === undefined
    ? claude
    : Guards.apply(typeof guards === "function" ? guards(scenario) : guards)(claude)
  const context = yield* Layer.build(guarded.pipe(Layer.provide(Layer.merge(log(recorder), alerts(recorder)))))

  return (traffic: Traffic) => {
    const chosen = typeof policy === "function" ? policy(scenario, traffic) : policy
    return Claude.message(askOf(traffic)).pipe(
      Policy.apply(chosen),
      Effect.provideService(Current.Priority, traffic.priority ?? "default"),
      Effect.provideService(Current.Tenant, traffic.tenant),
      Effect.provideContext(context)
    )
  }
})

const log = (recorder: Recorder) =>
  Layer.succeed(CallLog.CallLog, {
    emit: (event) =>
      Effect.sync(() => {
        if (event._tag === "CircuitOpened") recorder.circuitsOpened++
      })
  })

const alerts = (recorder: Recorder) =>
  Layer.succeed(Monitor.Alerts, {
    raise: ({ _tag, at }) => Effect.sync(() => void recorder.alerts.push({ at, alert: _tag }))
  })

/** The name of an error in the result: its tag; for a request without the library, the status or kind of the failure. */
export const nameOf = (error: unknown): string => {
  if (hasProperty(error, "_tag")) return String(error._tag)
  if (hasProperty(error, "kind")) {
    return hasProperty(error, "status") && error.kind === "status"
      ? String(error.status)
      : String(error.kind)
  }
  return "error"
}
