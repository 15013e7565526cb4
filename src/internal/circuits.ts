/** The circuits of an account: one for each model, and one for all of it. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as CallLog from "../CallLog.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import type * as Guard from "../guard/Guard.ts"
import type { Request } from "../Message.ts"
import { ask, reject, type Status, statusOf } from "./circuitEnds.ts"
import { type Circuit, Held } from "./circuitLease.ts"
import { Line } from "./circuitLine.ts"
import * as Machine from "./circuitMachine.ts"
import { type Asked, initial, Kept, letThrough, nothingKnown, unknown } from "./circuitStore.ts"
import { forgetAfter } from "./forgetAfter.ts"

/** The settings that were meant, in milliseconds. */
export interface Settings extends Machine.Settings {
  readonly probeLease: number
  readonly slowAfter: number
}

/** What circuits need of the place where they are built. */
export interface Place extends Asked {
  /** What the keys begin with. */
  readonly account: string
  readonly log: CallLog.CallLog
}

/** The circuits of an account. */
export class Panel {
  readonly settings: Settings
  readonly place: Place
  readonly ofAccount: Circuit
  readonly byModel = new Map<string, Circuit>()

  constructor(settings: Settings, place: Place) {
    this.settings = settings
    this.place = place
    this.ofAccount = this.make(undefined, -Infinity)
  }

  of(model: string | undefined, now: number): Circuit {
    if (model === undefined) return this.ofAccount
    const known = this.byModel.get(model)
    if (known !== undefined) {
      known.askedAt = now
      return known
    }
    this.forget(now)
    const made = this.make(model, now)
    this.byModel.set(model, made)
    return made
  }

  make(model: string | undefined, now: number): Circuit {
    const { account } = this.place
    const circuit: Circuit = {
      model,
      kept: new Kept(model === undefined ? account : `${account}/${model}`, this.place),
      line: new Line({
        recheck: this.settings.recheck,
        look: (now) => this.look(circuit, now),
        reject: (decision, wait, now) => reject(model, model ?? "*", decision, wait, now)
      }),
      askedAt: now
    }
    return circuit
  }

  /** Forgets circuits that are closed and were not asked for an hour. One that is open is kept: idle time closes none. */
  forget(now: number): void {
    const { unsafe } = this.place.store
    for (const [model, { askedAt, kept: { key }, line }] of this.byModel) {
      if (now - askedAt < forgetAfter || line.size > 0) continue
      if (unsafe?.get(key)?._tag === "Closed") unsafe.delete(key)
      if (unsafe?.has(key) !== true) this.byModel.delete(model)
    }
  }

  // ---------------------------------------------------------------------------
  // Asking
  // ---------------------------------------------------------------------------

  gate(model: string, { fiber, now }: Guard.Place): Effect.Effect<void, ClaudeError> {
    const { line } = this.of(model, now)
    if (this.closed(undefined, now) && this.closed(model, now) && line.ramp === undefined) return Exit.void
    return Effect.flatMapEager(
      this.look(this.ofAccount, now),
      (whole): Effect.Effect<void, ClaudeError> =>
        whole._tag === "Rejected"
          ? Exit.fail(reject(undefined, model, whole, whole.retryAfter, now))
          : line.pass(fiber, now)
    )
  }

  admit({ limits, params: { model } }: Request, now: number): Effect.Effect<Guard.Held, ClaudeError> {
    const circuit = this.of(model, now)
    const held = (whole: Machine.Right, own: Machine.Right) => {
      if (!own.probe) circuit.line.pace.count(now)
      return Exit.succeed(new Held(this, circuit, whole, own, now))
    }
    const whole = this.closed(undefined, now)
    const own = this.closed(model, now)
    if (whole !== undefined && own !== undefined) return held(admitted(whole), admitted(own))
    const limit = limits.attempt === undefined ? 0 : Duration.toMillis(limits.attempt)
    // A probe without end would be waited for without end, if its process died.
    const attempt = limit < Infinity ? limit : 0
    const asked: Machine.Event = { _tag: "Ask", lease: Math.max(this.settings.probeLease, attempt) }
    return Effect.flatMapEager(this.send(undefined, asked, now), (whole): Effect.Effect<Guard.Held, ClaudeError> => {
      if (whole._tag !== "Admitted") return Exit.fail(reject(undefined, model, whole, waitOf(whole), now))
      return Effect.flatMapEager(this.send(model, asked, now), (own): Effect.Effect<Guard.Held, ClaudeError> => {
        if (own._tag === "Admitted") return held(whole, own)
        const rejected = Exit.fail(reject(model, model, own, waitOf(own), now))
        // What was taken of the account is given back.
        return whole.probe
          ? Effect.flatMapEager(
            this.send(undefined, { _tag: "Ignored", generation: whole.generation }, now),
            () => rejected
          )
          : rejected
      })
    })
  }

  status(now: number): Effect.Effect<{ account: Status; circuits: { [model: string]: Status } }> {
    const status = ({ kept, line }: Circuit) =>
      kept.modify((state) => [state, statusOf(this.settings, state, line.size, now)], nothingKnown)
    const models = Effect.forEach(
      this.byModel,
      ([model, circuit]) => Effect.map(status(circuit), (status) => [model, status] as const)
    )
    return Effect.zipWith(status(this.ofAccount), models, (account, entries) => ({
      account,
      circuits: Object.fromEntries(entries)
    }))
  }

  // ---------------------------------------------------------------------------
  // Telling
  // ---------------------------------------------------------------------------

  /** Sends an event, and tells what came of it. */
  send(model: string | undefined, event: Machine.Event, now: number): Effect.Effect<Machine.Decision> {
    const { kept, line } = this.of(model, now)
    const sent = kept.modify((state) => {
      const next = Machine.step(this.settings, state, event, now)
      return [next[0], next]
    }, unknown)
    return Effect.flatMapEager(sent, ([state, decision]) => {
      // It has opened or closed, or a probe has begun or left.
      if (state._tag !== "Closed" || decision._tag === "Closed") line.turned()
      const told = this.tell(model, now, state, decision)
      return told === undefined ? Exit.succeed(decision) : Effect.as(told, decision)
    })
  }

  tell(model: string | undefined, now: number, state: Machine.State, decision: Machine.Decision) {
    const { log } = this.place
    const common = { at: now, call: undefined, model: model ?? "*" }
    switch (decision._tag) {
      case "Opened": {
        const openFor = Duration.millis(state._tag === "Open" ? state.until - now : 0)
        return log.emit({ _tag: "CircuitOpened", ...common, openFor, why: decision.why })
      }
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

  // ---------------------------------------------------------------------------
  // Looking
  // ---------------------------------------------------------------------------

  /** What a call would be told now. Takes no probe. Starts or ends the ramp if the circuit has changed since the last look. */
  look(circuit: Circuit, now: number): Effect.Effect<Machine.Decision> {
    return circuit.kept.modify((state) => {
      if (state._tag === "Closed") this.seen(circuit, state.since, now)
      else circuit.line.ramp = undefined
      return [Machine.steadied(state, now), Machine.step(this.settings, state, ask, now)[1]]
    }, letThrough)
  }

  /** The state of a circuit in memory that is closed, as nearly all are. */
  closed(model: string | undefined, now: number): Machine.Closed | undefined {
    const { unsafe } = this.place.store
    if (unsafe === undefined) return undefined
    const circuit = this.of(model, now)
    const state = unsafe.get(circuit.kept.key) ?? initial
    if (state._tag !== "Closed") return undefined
    this.seen(circuit, state.since, now)
    return state
  }

  /** Starts the ramp when this process first sees that the circuit has closed. */
  seen({ kept, line, model }: Circuit, since: number | null, now: number): void {
    if (since === null || since === kept.seen) return
    kept.seen = since
    // One that was closed long ago has got over it.
    if (model !== undefined && now - since < this.settings.window) line.recovered(now)
  }

  /** Counts a success of a circuit in memory that is closed; says whether it is. */
  counted({ kept: { key } }: Circuit, generation: number, now: number): boolean {
    const { place: { store: { unsafe } }, settings } = this
    if (unsafe === undefined) return false
    const state = unsafe.get(key) ?? initial
    if (state._tag !== "Closed") return false
    // What began before the last transition says nothing about what is now.
    if (generation === state.generation) unsafe.set(key, Machine.succeeded(settings, state, now))
    return true
  }
}

const admitted = ({ generation }: Machine.Closed): Machine.Right => ({ generation, probe: false })

const waitOf = (decision: Machine.Decision): number | null => decision._tag === "Rejected" ? decision.retryAfter : null
