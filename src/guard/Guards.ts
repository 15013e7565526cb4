/**
 * The guards of a process, as one record.
 *
 * Guards composed by hand often have the wrong order: a call that an open circuit rejects should not take a concurrency
 * slot first. The record fixes the order: first all gates, then slot and quota together, then the lease of the circuit.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Claude } from "../Claude.ts"
import * as Refuse from "../options.ts"
import { reported } from "../reported.ts"
import * as Runtime from "../runtime.ts"
import type * as Admission from "./admission/Admission.ts"
import type * as AdmissionGuard from "./admission/guard.ts"
import * as Queues from "./admission/queues.ts"
import * as BudgetGuard from "./budget/guard.ts"
import type * as RetryBudget from "./budget/RetryBudget.ts"
import * as Circuit from "./circuit/Circuit.ts"
import * as CircuitGuard from "./circuit/guard.ts"
import * as Guard from "./Guard.ts"
import { compile, type Compiled } from "./guards/record.ts"
import * as Stores from "./guards/stores.ts"
import { emptied } from "./idle.ts"
import * as MonitorGuard from "./monitor/guard.ts"
import * as Monitor from "./monitor/Monitor.ts"
import { dimensions } from "./quota/amounts.ts"
import * as Quota from "./quota/Quota.ts"

export { config } from "./guards/config.ts"
export { describe } from "./guards/describe.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/**
 * The guards that all calls of one `Claude` share. A missing part is off, except `budget` and `monitor`, which are on
 * by default.
 */
export interface Guards {
  /** The concurrency limit and the queue length for each class of models. */
  readonly concurrency?: Admission.Concurrency | undefined
  /** The rate limits of the account. */
  readonly quota?: Quota.Options | undefined
  /** When to stop sending requests to a model that keeps failing. */
  readonly circuit?: Circuit.Options | undefined
  /** How much extra load retries may add after failures. `false` removes the limit. */
  readonly budget?: RetryBudget.Options | false | undefined
  /** When to alert that too many calls fail. `false` turns the monitor off. */
  readonly monitor?: Monitor.Options | false | undefined
  /** Custom guards. Their gates and their `admit`s run after the built-in guards, and their leases settle first. */
  readonly extra?: ReadonlyArray<Guard.Guard> | undefined
  /**
   * The name of the account in a shared store. Default: `default`. Nested guards that share a store need different
   * names: otherwise the inner guards wait for the probe that the outer guards hold, and no probe is ever sent.
   */
  readonly account?: string | undefined
}

/**
 * A circuit, plus the defaults: budget, monitor, and the pause after a 429. Works without knowing the account's limits.
 */
export const standard = { circuit: {} } as const satisfies Guards

/** The state of a queue. `limit` and `quota` are missing if there is no such limit. All numbers are integers. */
export interface QueueStatus {
  readonly running: number
  readonly waiting: number
  /** The current concurrency limit. */
  readonly limit?: number
  /** By dimension (`requests`, `input`, `output`). `limit`: what one burst may use, not the limit per minute. */
  readonly quota?: { readonly [dimension: string]: { readonly remaining: number; readonly limit: number } }
}

/** The state of all guards: plain data for a JSON endpoint, times in milliseconds. */
export interface Status {
  /** The circuit of the account, which opens when the spend limit is reached. `undefined` without a `circuit`. */
  readonly account: Circuit.Status | undefined
  /** By model. Lists only models that were called, isolated or reset. */
  readonly circuits: { readonly [model: string]: Circuit.Status }
  /** By class of models. Lists only classes that were called. */
  readonly admission: { readonly [line: string]: QueueStatus }
  readonly budget: RetryBudget.Status | undefined
  readonly successRate: Monitor.Status | undefined
  /** Whether `drain` was called: new calls are rejected, so a load balancer should send none. */
  readonly isDraining: boolean
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/** The service behind `status`, `isolate`, `reset` and `drain`. */
export class Control extends Context.Service<Control, {
  readonly status: Effect.Effect<Status>
  readonly isolate: (model: string | undefined, duration: Duration.Input | undefined) => Effect.Effect<void>
  readonly reset: (model: string | undefined) => Effect.Effect<void>
  readonly drain: (limit: Duration.Input) => Effect.Effect<boolean>
}>()("resilient-claude/Guards/Control") {}

/** The state of all guards, for health endpoints. */
export const status: Effect.Effect<Status, never, Control> = Effect.flatMap(Control, ({ status }) => status)

/**
 * Blocks calls to a model, or to every model if none is named, until `duration` ends or `reset` is called with the same
 * `model`. Dies if the guards have no `circuit`.
 */
export const isolate = (model?: string, duration?: Duration.Input): Effect.Effect<void, never, Control> =>
  Effect.flatMap(Control, ({ isolate }) => isolate(model, duration))

/** Closes the circuit of a model, or of the account if no model is named. Dies if the guards have no `circuit`. */
export const reset = (model?: string): Effect.Effect<void, never, Control> =>
  Effect.flatMap(Control, ({ reset }) => reset(model))

/**
 * For a process that is about to stop: rejects new calls with `Saturated`, ends retries and fallback models with the last
 * error of their call, waits up to `limit` for running and queued calls, and returns whether all ended. Cannot be undone. All
 * guards around one `Claude` drain together. Without `concurrency`, `quota`, `circuit`, `budget`: only retries and fallbacks end.
 */
export const drain = (limit: Duration.Input): Effect.Effect<boolean, never, Control> =>
  Effect.flatMap(Control, ({ drain }) => drain(limit))

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * Puts guards around a `Claude` layer. Throws a `RangeError` if options are invalid or contradictory. Guards are built
 * once per layer, with the log of that `Claude`, and the alerts and stores of the context in which the layer is built.
 */
export const apply = (guards: Guards) => {
  const compiled = compile(guards)
  return <A, E, R>(claude: Layer.Layer<A | Claude, E, R>): Layer.Layer<A | Claude | Control, E, R> =>
    Layer.effectContext(build(compiled)).pipe(Layer.provideMerge(claude))
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const build = Effect.fnUntraced(function*(compiled: Compiled) {
  const { account, admits, extra } = compiled
  const inner = yield* Claude
  const runtime = Runtime.of(inner)
  const [scope, onStoreError] = [yield* Effect.scope, Stores.reporting(runtime.log)]

  const monitor = compiled.monitor && MonitorGuard.make(compiled.monitor, runtime.log, safe(yield* Monitor.Alerts))
  const log = monitor?.log ?? runtime.log
  const budget = compiled.budget && BudgetGuard.make(compiled.budget, scope)
  const queues = Queues.make(compiled, {
    countTokens: inner.countTokens,
    catalogue: runtime.catalogue,
    store: Stores.quota(yield* Quota.Store, onStoreError),
    draining: runtime.draining,
    scope
  })
  const circuits = compiled.circuit && CircuitGuard.make(compiled.circuit, {
    account,
    store: Stores.circuits(yield* Circuit.Store),
    log,
    onStoreError
  })

  const shared = budget ?? runtime.budget
  const guarded = Guard.apply([
    ...monitor === undefined ? [] : [monitor],
    ...admits ? [Queues.guard(queues)] : [],
    ...circuits === undefined ? [] : [monitor === undefined ? circuits : monitor.watch(circuits)],
    ...budget === undefined ? [] : [budget.guard],
    ...extra
  ])({ ...inner, runtime: Runtime.replace(inner, { log, budget: shared }) })

  const circuitStatus: typeof noCircuits = circuits?.status ?? noCircuits
  /** Whether no call runs or waits, in a queue or at a circuit. */
  const isEmpty = Effect.zipWith(
    Clock.currentTimeMillis,
    circuitStatus,
    (now, { circuits }) =>
      [...queues.byClass.values()].every(({ isIdle }) => isIdle(0, now))
      && Object.values(circuits).every(({ waiting }) => waiting === 0)
  )
  const needsCircuit = Effect.die(
    new RangeError("Guards: there is no circuit to isolate or reset: add circuit: {} to the guards")
  )
  return Context.make(Claude, guarded).pipe(Context.add(
    Control,
    Control.of({
      isolate: (model, duration) => {
        const length = duration === undefined ? undefined : Refuse.millis("Guards.isolate: duration", duration)
        return circuits?.isolate(model, length) ?? needsCircuit
      },
      reset: (model) => circuits?.reset(model) ?? needsCircuit,
      drain: (limit) =>
        Effect.suspend(() => {
          const ended = emptied(isEmpty, Refuse.millis("Guards.drain: limit", limit))
          Deferred.doneUnsafe(runtime.draining, Effect.void)
          shared.sweep?.()
          return ended
        }),
      status: Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const waiting = yield* Effect.forEach(
          queues.byClass,
          ([name, { capacity, status }]) =>
            Effect.map(status, (status) => [name, queueStatus(status, capacity())] as const)
        )
        return {
          ...(yield* circuitStatus),
          admission: Object.fromEntries(waiting),
          budget: budget && (yield* budget.status),
          successRate: monitor?.status(now),
          isDraining: Runtime.isDraining(inner)
        }
      })
    })
  ))
})

/** Drops `Infinity`, which JSON cannot represent. */
const queueStatus = (
  { limit, remaining, running, waiting }: AdmissionGuard.Status,
  capacity: Quota.Amount | undefined
): QueueStatus => ({
  running,
  waiting,
  ...(limit < Infinity && { limit: Math.floor(limit) }),
  ...(remaining !== undefined && capacity !== undefined && {
    quota: Object.fromEntries(
      dimensions.filter((of) => capacity[of] < Infinity).map((of) => [
        of,
        { remaining: Math.max(0, Math.floor(remaining[of])), limit: Math.floor(capacity[of]) }
      ])
    )
  })
})

const noCircuits: Effect.Effect<Pick<Status, "account" | "circuits">> = Effect.succeed({
  account: undefined,
  circuits: {}
})

/** Runs each alert in a separate fiber, so that no call waits for a receiver that is slow or does not respond. */
const safe = (alerts: Monitor.Alerts): Monitor.Alerts => ({
  raise: (alert) =>
    Effect.asVoid(Effect.forkDetach(reported("an alert", () => alerts.raise(alert)), { startImmediately: true }))
})
