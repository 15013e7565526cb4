/**
 * Stops asking a model that keeps failing, and finds out when it is well again.
 *
 * One circuit for each model of an account, and one for the account: it closes
 * the gate when the money is spent. What began before a circuit opened changes
 * nothing after it, one probe at a time asks whether the model is back, and a
 * probe whose process dies is replaced. It counts in time, never trips on fewer
 * than `minimumCalls` in its window, and so never in a program that asks more
 * rarely than that: for those, limits and retries are what protects.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as CallLog from "../CallLog.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import {
  ask,
  eventOf,
  eventOfAccount,
  type How,
  reject,
  type Status,
  statusOf,
  verdict
} from "../internal/circuitEnds.ts"
import * as Machine from "../internal/circuitMachine.ts"
import { initial, Kept, letThrough, nothingKnown, type Store, unknown } from "../internal/circuitStore.ts"
import * as Eager from "../internal/eager.ts"
import * as Refuse from "../internal/refuse.ts"
import type { Request } from "../Message.ts"
import * as Guard from "./Guard.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export type { Status } from "../internal/circuitEnds.ts"
export type { State } from "../internal/circuitMachine.ts"
export { initial, memory, Store } from "../internal/circuitStore.ts"

/** When a circuit opens, and for how long. */
export interface Options {
  /** How far back it looks: 60 seconds. */
  readonly window?: Duration.Input | undefined
  /** On how many calls in the window it decides, at least: 10. */
  readonly minimumCalls?: number | undefined
  /** The share of them that must fail: 0.5. */
  readonly failureRate?: number | undefined
  /** Opens also when a share of the calls begins to be answered only after so long: never. */
  readonly slow?: { readonly after: Duration.Input; readonly rate: number } | undefined
  /** How long it stays open, doubled with each probe that fails, and shorter by a random part of up to half: 30 seconds. */
  readonly openFor?: Duration.Input | undefined
  /** The longest of these times: 10 minutes. A server that asks for more gets more. */
  readonly maxOpenFor?: Duration.Input | undefined
  /** How long a probe keeps others out if its process never tells its end: 150 seconds, or its own limit. */
  readonly probeLease?: Duration.Input | undefined
}

/** The settings that were meant, in milliseconds. */
export interface Settings extends Machine.Settings {
  readonly probeLease: number
  readonly slowAfter: number
}

/** Sources: DESIGN of this library, after resilience4j (windows, minimum), Finagle (growing, jittered open times). */
const defaults = {
  window: "60 seconds",
  minimumCalls: 10,
  failureRate: 0.5,
  openFor: "30 seconds",
  maxOpenFor: "10 minutes",
  // Above the 120 seconds that a model may think before its first content.
  probeLease: "150 seconds"
} as const

/** What is meant by the options. Throws a `RangeError` with a sentence if they contradict themselves. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("circuit", options, { ...defaults, slow: true })
  if (options.slow !== undefined) Refuse.unknown("circuit: slow", options.slow, { after: true, rate: true })
  const millis = (name: "window" | "openFor" | "maxOpenFor" | "probeLease") =>
    Refuse.finite(`circuit: ${name}`, options[name] ?? defaults[name])
  const openFor = millis("openFor")
  const maxOpenFor = options.maxOpenFor === undefined ? Math.max(openFor, millis("maxOpenFor")) : millis("maxOpenFor")
  if (openFor > maxOpenFor) {
    Refuse.refuse(
      `circuit: openFor (${Refuse.show(openFor)}) is longer than maxOpenFor (${
        Refuse.show(maxOpenFor)
      }): raise maxOpenFor or lower openFor`
    )
  }
  return {
    window: millis("window"),
    minimumCalls: Refuse.whole("circuit: minimumCalls", options.minimumCalls ?? defaults.minimumCalls),
    failureRate: Refuse.share("circuit: failureRate", options.failureRate ?? defaults.failureRate),
    slowAfter: options.slow === undefined ? Infinity : Refuse.finite("circuit: slow.after", options.slow.after),
    slowRate: options.slow === undefined ? Infinity : Refuse.share("circuit: slow.rate", options.slow.rate),
    openFor,
    maxOpenFor,
    recheck: 1000,
    probeLease: millis("probeLease")
  }
}

// -----------------------------------------------------------------------------
// Guard
// -----------------------------------------------------------------------------

/** The circuits of an account. */
export interface Circuits extends Guard.Guard {
  /** Lets nothing through to a model, or any where none is named: for so many milliseconds, or until it is reset. */
  readonly isolate: (model: string | undefined, length: number | undefined) => Effect.Effect<void>
  /** Closes the circuit of a model, or of the account where none is named. */
  readonly reset: (model: string | undefined) => Effect.Effect<void>
  /** Of the account, and of the models that were asked. */
  readonly status: Effect.Effect<{ readonly account: Status; readonly circuits: { readonly [model: string]: Status } }>
}

/** What circuits need of the place where they are built. */
export interface Place {
  /** What the keys begin with. */
  readonly account: string
  readonly store: Store
  readonly log: CallLog.CallLog
  /** Told when a model has recovered, here or elsewhere: it is not to be buried under what has waited. */
  readonly onClosed?: ((model: string) => void) | undefined
  /** Told when the store fails. */
  readonly onStoreError: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
}

/** A circuit for each model, and the gate of the account. `gate` looks, `admit` takes the probe if it is due. */
export const make = (settings: Settings, place: Place): Circuits => {
  const { account, log, store } = place
  const gateway = new Kept(account, place)
  const circuits = new Map<string, Kept>()
  const of = (model: string | undefined): Kept => {
    if (model === undefined) return gateway
    const known = circuits.get(model)
    if (known !== undefined) return known
    const made = new Kept(`${account}/${model}`, place)
    circuits.set(model, made)
    return made
  }
  /** The state of a circuit in memory that is closed, as nearly all are. */
  const closed = (circuit: Kept, model: string | undefined, now: number) => {
    const state = store.unsafe === undefined ? undefined : store.unsafe.get(circuit.key) ?? initial
    if (state?._tag !== "Closed") return undefined
    if (state.since !== null && state.since !== circuit.seen) seen(circuit, model, state.since, now)
    return state
  }
  const seen = (circuit: Kept, model: string | undefined, since: number, now: number) => {
    circuit.seen = since
    // One that was closed long ago has got over it.
    if (model !== undefined && now - since < settings.window) place.onClosed?.(model)
  }

  const tell = (model: string | undefined, now: number, state: Machine.State, decision: Machine.Decision) => {
    const common = { at: now, call: undefined, model: model ?? "*" }
    switch (decision._tag) {
      case "Opened":
        return log.emit({
          _tag: "CircuitOpened",
          ...common,
          openFor: Duration.millis(state._tag === "Open" ? state.until - now : 0)
        })
      case "Closed":
        return log.emit({ _tag: "CircuitClosed", ...common })
      case "Isolated":
        return log.emit({ _tag: "CircuitIsolated", ...common })
      case "Admitted":
        return decision.probe
          ? log.emit({ _tag: "CircuitProbed", ...common })
          : decision.closed
          ? log.emit({ _tag: "CircuitClosed", ...common })
          : undefined
      default:
        return undefined
    }
  }

  /** Sends an event, and tells what came of it. */
  const send = (model: string | undefined, event: Machine.Event, now: number): Effect.Effect<Machine.Decision> =>
    Eager.flatMap(
      of(model).modify((state) => {
        const next = Machine.step(settings, state, event, now)
        return [next[0], next]
      }, unknown),
      ([state, decision]) => {
        const told = tell(model, now, state, decision)
        return told === undefined ? Exit.succeed(decision) : Effect.as(told, decision)
      }
    )

  /** Looks without taking anything; and whether it was closed since the last look. */
  const look = (model: string | undefined, now: number): Effect.Effect<Machine.Decision> => {
    const circuit = of(model)
    return circuit.modify((state) => {
      if (state._tag === "Closed" && state.since !== null && state.since !== circuit.seen) {
        seen(circuit, model, state.since, now)
      }
      return [state, Machine.step(settings, state, ask, now)[1]]
    }, letThrough)
  }

  const gate = (model: string, now: number): Effect.Effect<void, ClaudeError> => {
    if (closed(gateway, undefined, now) !== undefined && closed(of(model), model, now) !== undefined) return Exit.void
    return Eager.flatMap(look(undefined, now), (whole): Effect.Effect<void, ClaudeError> =>
      whole._tag === "Rejected"
        ? Exit.fail(reject(undefined, model, whole, now))
        : Eager.flatMap(look(model, now), (own) =>
          own._tag === "Rejected" ? Exit.fail(reject(model, model, own, now)) : Exit.void))
  }

  const admit = ({ limits, params: { model } }: Request, now: number): Effect.Effect<Guard.Lease, ClaudeError> => {
    const whole = closed(gateway, undefined, now)
    const own = closed(of(model), model, now)
    if (whole !== undefined && own !== undefined) {
      return Exit.succeed(lease(model, { generation: whole.generation, probe: false }, own.generation, now))
    }
    const limit = limits.attempt === undefined ? 0 : Duration.toMillis(limits.attempt)
    // A probe without end would be waited for without end, if its process died.
    const attempt = limit < Infinity ? limit : 0
    const asked: Machine.Event = { _tag: "Ask", lease: Math.max(settings.probeLease, attempt) }
    return Eager.flatMap(send(undefined, asked, now), (whole): Effect.Effect<Guard.Lease, ClaudeError> => {
      if (whole._tag !== "Admitted") return Exit.fail(reject(undefined, model, whole, now))
      return Eager.flatMap(send(model, asked, now), (own): Effect.Effect<Guard.Lease, ClaudeError> => {
        if (own._tag === "Admitted") return Exit.succeed(lease(model, whole, own.generation, now))
        const rejected = Exit.fail(reject(model, model, own, now))
        // What was taken of the account is given back.
        return whole.probe
          ? Eager.flatMap(send(undefined, { _tag: "Ignored", generation: whole.generation }, now), () => rejected)
          : rejected
      })
    })
  }

  /** The lease of the account, if it is a probe, and of the model. */
  const lease = (
    model: string,
    whole: { readonly generation: number; readonly probe: boolean },
    own: number,
    start: number
  ): Guard.Lease => {
    let slow = false
    const end = (exit: Guard.Ending, { fiber, now }: Guard.Place): Effect.Effect<void> => {
      const how = Guard.judge<How>(exit, { success: "Success", neutral: "Ignored", failure: verdict })
      if (how === "Success" && !slow && !whole.probe && counted(model, own, now)) return Exit.void
      const error = Guard.errorOf(exit)
      const event = eventOf(how, own, slow, fiber.getRef(Random.Random).nextDoubleUnsafe(), error)
      const ofAccount = eventOfAccount(how, whole, error, settings, now)
      return Eager.flatMap(
        send(model, event, now),
        () => ofAccount === undefined ? Exit.void : Eager.map(send(undefined, ofAccount, now), () => {})
      )
    }
    return {
      opened: settings.slowAfter === Infinity ? undefined : () =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          slow = now - start > settings.slowAfter
        }),
      settle: (exit) => Effect.withFiber((fiber) => end(exit, Guard.placeOf(fiber))),
      end: (exit, _, place) => end(exit, place)
    }
  }

  /** Counts a success of a circuit in memory that is closed, as nearly all are; says whether it is. */
  const counted = (model: string, generation: number, now: number): boolean => {
    if (store.unsafe === undefined) return false
    const { key } = of(model)
    const state = store.unsafe.get(key) ?? initial
    if (state._tag !== "Closed") return false
    const [next] = Machine.step(settings, state, { _tag: "Success", generation, slow: false, jitter: 0 }, now)
    if (next !== state) store.unsafe.set(key, next)
    return true
  }

  const atNow = <A, E>(f: (now: number) => Effect.Effect<A, E>) => Effect.flatMap(Clock.currentTimeMillis, f)
  return {
    ...Guard.make({
      gate: ({ params }, { now }) => gate(params.model, now),
      admit: (request, { now }) => admit(request, now)
    }),
    isolate: (model, length) =>
      atNow((now) =>
        Effect.asVoid(
          send(
            model,
            { _tag: "Isolate", until: length === undefined || length === Infinity ? null : now + length },
            now
          )
        )
      ),
    reset: (model) => atNow((now) => Effect.asVoid(send(model, { _tag: "Reset" }, now))),
    status: atNow((now) => {
      const status = (circuit: Kept) => circuit.modify((state) => [state, statusOf(settings, state, now)], nothingKnown)
      const models = Effect.forEach(
        circuits,
        ([model, circuit]) => Effect.map(status(circuit), (status) => [model, status] as const)
      )
      return Effect.zipWith(status(gateway), models, (account, entries) => ({
        account,
        circuits: Object.fromEntries(entries)
      }))
    })
  }
}
