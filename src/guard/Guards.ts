/**
 * The guards of a process, as a record.
 *
 * Order is where hand-wired guards go wrong: a slot taken before a circuit says
 * no is a slot wasted. A record names the parts and fixes the order once: all
 * gates, then slot and quota together, then the lease of the circuit.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Claude } from "../Claude.ts"
import * as Refuse from "../options.ts"
import { reported } from "../reported.ts"
import * as Runtime from "../runtime.ts"
import type * as Admission from "./admission/Admission.ts"
import * as Queues from "./admission/queues.ts"
import * as RetryBudget from "./budget/RetryBudget.ts"
import * as Circuit from "./circuit/Circuit.ts"
import * as Guard from "./Guard.ts"
import { compile, type Compiled } from "./guards/record.ts"
import * as Stores from "./guards/stores.ts"
import { emptied } from "./idle.ts"
import * as Monitor from "./monitor/Monitor.ts"
import * as Quota from "./quota/Quota.ts"

export { config } from "./guards/config.ts"
export { describe } from "./guards/describe.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** What all calls of one `Claude` share. A missing part does nothing, but for `budget` and `monitor`, which are there. */
export interface Guards {
  /** How many calls may run, and how many may wait, for each class of models. */
  readonly concurrency?: Admission.Concurrency | undefined
  /** What the account may use in a minute. */
  readonly quota?: Quota.Options | undefined
  /** When to stop asking a model that keeps failing. */
  readonly circuit?: Circuit.Options | undefined
  /** How much load failures may add. */
  readonly budget?: RetryBudget.Options | false | undefined
  /** When to say that too many calls fail, or get no answer. */
  readonly monitor?: Monitor.Options | false | undefined
  /** Guards of one's own: the last to be asked, the first to be told. */
  readonly extra?: ReadonlyArray<Guard.Guard> | undefined
  /**
   * Whose account it is, where more than one are kept in one store: `default`. Guards around guards need one each in a
   * store that they share: else the inner ones wait for the probe that the outer ones hold, and nothing is sent.
   */
  readonly account?: string | undefined
}

/** A circuit, and what is on by default: budget, monitor, and the pause after a 429. Nothing needs the limits of an account. */
export const standard = { circuit: {} } as const satisfies Guards

/** A queue, for those who look at it. What is not limited is missing; numbers are whole. */
export interface QueueStatus {
  readonly running: number
  readonly waiting: number
  /** How many may run. */
  readonly limit?: number
  /** What may be sent now, of as much as there is when all is there. */
  readonly quota?: { readonly [dimension: string]: { readonly remaining: number; readonly limit: number } }
}

/** What is going on: plain data for a JSON endpoint, times in milliseconds. */
export interface Status {
  /** Of the account as a whole: it is open when the money is spent. */
  readonly account: Circuit.Status | undefined
  /** By model, of those that were asked. */
  readonly circuits: { readonly [model: string]: Circuit.Status }
  /** By class of models, of those that were asked. */
  readonly admission: { readonly [line: string]: QueueStatus }
  /** By model, of those that had an extra attempt. */
  readonly budget: RetryBudget.Status | undefined
  /** The share of calls that succeed. */
  readonly successRate: Monitor.Status | undefined
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/** The guards that are at work: to look at, and to isolate or reset circuits by hand. */
export class Control extends Context.Service<Control, {
  readonly status: Effect.Effect<Status>
  readonly isolate: (model: string | undefined, duration: Duration.Input | undefined) => Effect.Effect<void>
  readonly reset: (model: string | undefined) => Effect.Effect<void>
  readonly drain: (limit: Duration.Input) => Effect.Effect<boolean>
}>()("resilient-claude/Guards/Control") {}

/** What is going on, for health endpoints. */
export const status: Effect.Effect<Status, never, Control> = Effect.flatMap(Control, ({ status }) => status)

/** Lets nothing through to a model, or to any where none is named, for so long, or until it is reset. Needs a circuit. */
export const isolate = (model?: string, duration?: Duration.Input): Effect.Effect<void, never, Control> =>
  Effect.flatMap(Control, ({ isolate }) => isolate(model, duration))

/** Closes the circuit of a model, or of the account where none is named. */
export const reset = (model?: string): Effect.Effect<void, never, Control> =>
  Effect.flatMap(Control, ({ reset }) => reset(model))

/**
 * Turns new calls away (`Saturated`), lets those that run or wait go on for so long, and tells whether all of them are
 * done. For a process that is about to stop: nothing is admitted again, and attempts of calls that would be tried again
 * are turned away too. Needs guards that queue, as all but a `monitor` alone do.
 */
export const drain = (limit: Duration.Input): Effect.Effect<boolean, never, Control> =>
  Effect.flatMap(Control, ({ drain }) => drain(limit))

// -----------------------------------------------------------------------------
// Layers
// -----------------------------------------------------------------------------

/**
 * Puts guards around a `Claude` layer. Throws a `RangeError` with a sentence if they contradict themselves. They are built
 * once for each layer; the log, the alerts and the stores are those of the place where that is.
 */
export const apply = (guards: Guards) => {
  const compiled = compile(guards)
  return <A, E, R>(claude: Layer.Layer<A | Claude, E, R>): Layer.Layer<A | Claude | Control, E, R> =>
    Layer.effectContext(build(compiled)).pipe(Layer.provideMerge(claude))
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** Builds the guards of one layer. */
const build = Effect.fnUntraced(function*(compiled: Compiled) {
  const { account, admits, extra } = compiled
  const inner = yield* Claude
  const runtime = Runtime.of(inner)
  const scope = yield* Effect.scope
  const onStoreError = Stores.reporting(runtime.log)

  const monitor = compiled.monitor && Monitor.make(compiled.monitor, runtime.log, safe(yield* Monitor.Alerts))
  const log = monitor?.log ?? runtime.log
  const budget = compiled.budget && RetryBudget.make(compiled.budget, scope)
  const queues = Queues.make(compiled, {
    countTokens: inner.countTokens,
    catalogue: runtime.catalogue,
    store: Stores.quota(yield* Quota.Store, onStoreError),
    scope
  })
  const circuits = compiled.circuit && Circuit.make(compiled.circuit, {
    account,
    store: Stores.circuits(yield* Circuit.Store),
    log,
    onStoreError
  })

  const guarded = Guard.apply([
    ...monitor === undefined ? [] : [monitor],
    ...admits ? [Queues.guard(queues)] : [],
    ...circuits === undefined ? [] : [monitor === undefined ? circuits : monitor.watch(circuits)],
    ...budget === undefined ? [] : [budget.guard],
    ...extra
  ])({ ...inner, runtime: Runtime.replace(inner, { log, budget: budget ?? runtime.budget }) })

  const circuitStatus: typeof noCircuits = circuits?.status ?? noCircuits
  /** Whether no call runs, or waits in a queue or at a circuit. */
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
          queues.isDraining = true
          budget?.close()
          return emptied(isEmpty, Refuse.millis("Guards.drain: limit", limit))
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
          successRate: monitor?.status(now)
        }
      })
    })
  ))
})

/** Whole numbers, and nothing that JSON has no word for. */
const queueStatus = (
  { limit, remaining, running, waiting }: Admission.Status,
  capacity: Quota.Amount | undefined
): QueueStatus => ({
  running,
  waiting,
  ...(limit < Infinity && { limit: Math.floor(limit) }),
  ...(remaining !== undefined && capacity !== undefined && {
    quota: Object.fromEntries(
      Quota.dimensions.filter((of) => capacity[of] < Infinity).map((of) => [
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

/** No call waits for an alert: who is told may be down just then. What it dies of is reported. */
const safe = (alerts: Monitor.Alerts): Monitor.Alerts => ({
  raise: (alert) =>
    Effect.asVoid(Effect.forkDetach(reported("alerts", () => alerts.raise(alert)), { startImmediately: true }))
})
