/** All circuits of an account: one per model, and one for the account as a whole. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as CallLog from "../../CallLog.ts"
import { forgetAfter } from "../forgetAfter.ts"
import type { Status } from "./Circuit.ts"
import type { Place } from "./guard.ts"
import * as Machine from "./machine.ts"
import type { Settings } from "./settings.ts"
import { letThrough, type Modify, modifying, nothingKnown, unknown } from "./store.ts"
import { ask, reject, statusOf } from "./verdicts.ts"
import * as Line from "./waitLine.ts"

export interface Circuit {
  /** `undefined` for the circuit of the account. */
  readonly model: string | undefined
  /** The key in the store. */
  readonly key: string
  readonly line: Line.Line
  askedAt: number
  /** Whether the circuit was closed when this process last read it. */
  isClosed: boolean
  /** When the circuit last closed, as far as this process saw it; `null` if never. */
  closedAt: number | null
}

export interface Panel {
  readonly settings: Settings
  readonly place: Place
  readonly modify: Modify
  readonly ofAccount: Circuit
  readonly byModel: Map<string, Circuit>
}

export const make = (settings: Settings, place: Place): Panel => {
  const asked: Shared = { settings, place, modify: modifying(place) }
  return { ...asked, ofAccount: circuit(asked, undefined, -Infinity), byModel: new Map() }
}

type Shared = Pick<Panel, "settings" | "place" | "modify">

export const of = (panel: Panel, model: string | undefined, now: number): Circuit => {
  const { byModel, ofAccount } = panel
  if (model === undefined) return ofAccount
  const known = byModel.get(model)
  if (known !== undefined) {
    known.askedAt = now
    return known
  }
  forget(byModel, now)
  const made = circuit(panel, model, now)
  byModel.set(model, made)
  return made
}

const circuit = (asked: Shared, model: string | undefined, now: number): Circuit => {
  const { place, settings } = asked
  const made: Circuit = {
    model,
    key: model === undefined ? place.account : `${place.account}/${model}`,
    line: Line.make({
      recheck: settings.recheck,
      look: (now) => look(asked, made, now),
      reject: (decision, wait, now) => reject(model, model ?? "*", decision, wait, now)
    }),
    askedAt: now,
    isClosed: true,
    closedAt: null
  }
  return made
}

/** An open circuit stays, because idle time does not close it. */
const forget = (byModel: Map<string, Circuit>, now: number): void => {
  for (const [model, { askedAt, isClosed, line }] of byModel) {
    if (isClosed && now - askedAt >= forgetAfter && Line.size(line) === 0) byModel.delete(model)
  }
}

/**
 * The decision that a request would get now. Takes no probe. Starts or ends the ramp if the circuit has closed or
 * opened since the last look.
 */
export const look = (
  { modify, settings }: Shared,
  circuit: Circuit,
  now: number
): Effect.Effect<Machine.Decision> =>
  modify(
    circuit.key,
    (state) => {
      if (state._tag === "Closed") seenClosed(settings, circuit, state.since, now)
      else circuit.line.ramp = undefined
      circuit.isClosed = state._tag === "Closed"
      return [Machine.steadied(state, now), Machine.step(settings, state, ask, now)[1]]
    },
    letThrough,
    now
  )

/** Starts the ramp when this process first sees that the circuit has closed. */
const seenClosed = ({ window }: Settings, circuit: Circuit, since: number | null, now: number): void => {
  if (since === null || since === circuit.closedAt) return
  circuit.closedAt = since
  // Long after the circuit closed, the ramp would slow calls down for nothing.
  if (circuit.model !== undefined && now - since < window) Line.recovered(circuit.line, now)
}

export const send = (
  panel: Panel,
  model: string | undefined,
  event: Machine.Event,
  now: number
): Effect.Effect<Machine.Decision> => {
  const circuit = of(panel, model, now)
  const next = panel.modify(
    circuit.key,
    (before) => {
      const next = Machine.step(panel.settings, before, event, now)
      return [next[0], next]
    },
    unknown,
    now
  )
  return Effect.flatMap(next, ([state, decision]) => {
    circuit.isClosed = state._tag === "Closed"
    // The circuit may have opened or closed, or a probe may have begun or ended.
    if (!circuit.isClosed || decision._tag === "Closed") Line.turned(circuit.line)
    const logged = eventOf(model ?? "*", now, state, decision)
    return logged === undefined ? Effect.succeed(decision) : Effect.as(panel.place.log.emit(logged), decision)
  })
}

const eventOf = (
  model: string,
  now: number,
  state: Machine.State,
  decision: Machine.Decision
): CallLog.Event | undefined => {
  const common = { at: now, call: undefined, model }
  switch (decision._tag) {
    case "Opened": {
      const openFor = Duration.millis(state._tag === "Open" ? state.until - now : 0)
      return { _tag: "CircuitOpened", ...common, openFor, why: decision.why }
    }
    case "Closed":
      return { _tag: "CircuitClosed", ...common }
    case "Isolated": {
      const openFor = state._tag === "Isolated" && state.until !== null ? Duration.millis(state.until - now) : undefined
      const why = openFor === undefined ? "isolated by hand, until a reset" : "isolated by hand"
      return { _tag: "CircuitIsolated", ...common, openFor, why }
    }
    case "Admitted":
      return decision.probe
        ? { _tag: "CircuitProbing", ...common }
        : decision.closed
        ? { _tag: "CircuitClosed", ...common }
        : undefined
    default:
      return undefined
  }
}

export const status = Effect.fnUntraced(function*({ byModel, modify, ofAccount, settings }: Panel, now: number) {
  const statusIn = ({ key, line }: Circuit): Effect.Effect<Status> =>
    modify(key, (state) => [state, statusOf(settings, state, Line.size(line), now)], nothingKnown, now)
  const account = yield* statusIn(ofAccount)
  const circuits: { [model: string]: Status } = {}
  for (const [model, circuit] of byModel) circuits[model] = yield* statusIn(circuit)
  return { account, circuits }
})
