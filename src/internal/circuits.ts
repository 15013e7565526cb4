/** The circuits of an account, one for each model and one for all of it, and the leases that they give. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as CallLog from "../CallLog.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import * as Guard from "../guard/Guard.ts"
import type { Request } from "../Message.ts"
import { ask, eventOf, eventOfAccount, type How, reject, type Status, statusOf, verdict } from "./circuitEnds.ts"
import * as Machine from "./circuitMachine.ts"
import { type Asked, initial, Kept, letThrough, nothingKnown, unknown } from "./circuitStore.ts"

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
  /** Told when a model has recovered, here or elsewhere: it is not to be buried under what has waited. */
  readonly onClosed?: ((model: string) => void) | undefined
}

/** The circuits of an account. A model that is not named stands for the account. */
export class Panel {
  readonly settings: Settings
  readonly place: Place
  readonly ofAccount: Kept
  readonly byModel = new Map<string, Kept>()

  constructor(settings: Settings, place: Place) {
    this.settings = settings
    this.place = place
    this.ofAccount = new Kept(place.account, place)
  }

  of(model: string | undefined): Kept {
    if (model === undefined) return this.ofAccount
    const known = this.byModel.get(model)
    if (known !== undefined) return known
    const made = new Kept(`${this.place.account}/${model}`, this.place)
    this.byModel.set(model, made)
    return made
  }

  // ---------------------------------------------------------------------------
  // Asking
  // ---------------------------------------------------------------------------

  gate(model: string, now: number): Effect.Effect<void, ClaudeError> {
    if (this.closed(undefined, now) !== undefined && this.closed(model, now) !== undefined) return Exit.void
    return Effect.flatMapEager(
      this.look(undefined, now),
      (whole): Effect.Effect<void, ClaudeError> =>
        whole._tag === "Rejected"
          ? Exit.fail(reject(undefined, model, whole, now))
          : Effect.flatMapEager(
            this.look(model, now),
            (own) => own._tag === "Rejected" ? Exit.fail(reject(model, model, own, now)) : Exit.void
          )
    )
  }

  admit({ limits, params: { model } }: Request, now: number): Effect.Effect<Guard.Held, ClaudeError> {
    const whole = this.closed(undefined, now)
    const own = this.closed(model, now)
    if (whole !== undefined && own !== undefined) {
      return Exit.succeed(new Held(this, model, whole.generation, false, own.generation, now))
    }
    const limit = limits.attempt === undefined ? 0 : Duration.toMillis(limits.attempt)
    // A probe without end would be waited for without end, if its process died.
    const attempt = limit < Infinity ? limit : 0
    const asked: Machine.Event = { _tag: "Ask", lease: Math.max(this.settings.probeLease, attempt) }
    return Effect.flatMapEager(this.send(undefined, asked, now), (whole): Effect.Effect<Guard.Held, ClaudeError> => {
      if (whole._tag !== "Admitted") return Exit.fail(reject(undefined, model, whole, now))
      const { generation, probe } = whole
      return Effect.flatMapEager(this.send(model, asked, now), (own): Effect.Effect<Guard.Held, ClaudeError> => {
        if (own._tag === "Admitted") return Exit.succeed(new Held(this, model, generation, probe, own.generation, now))
        const rejected = Exit.fail(reject(model, model, own, now))
        // What was taken of the account is given back.
        return probe
          ? Effect.flatMapEager(this.send(undefined, { _tag: "Ignored", generation }, now), () => rejected)
          : rejected
      })
    })
  }

  status(now: number): Effect.Effect<{ account: Status; circuits: { [model: string]: Status } }> {
    const status = (circuit: Kept) =>
      circuit.modify((state) => [state, statusOf(this.settings, state, now)], nothingKnown)
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
    const sent = this.of(model).modify((state) => {
      const next = Machine.step(this.settings, state, event, now)
      return [next[0], next]
    }, unknown)
    return Effect.flatMapEager(sent, ([state, decision]) => {
      const told = this.tell(model, now, state, decision)
      return told === undefined ? Exit.succeed(decision) : Effect.as(told, decision)
    })
  }

  tell(model: string | undefined, now: number, state: Machine.State, decision: Machine.Decision) {
    const { log } = this.place
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

  // ---------------------------------------------------------------------------
  // Looking
  // ---------------------------------------------------------------------------

  /** Looks without taking anything; and whether it was closed since the last look. */
  look(model: string | undefined, now: number): Effect.Effect<Machine.Decision> {
    return this.of(model).modify((state) => {
      if (state._tag === "Closed") this.seen(model, state.since, now)
      return [Machine.steadied(state, now), Machine.step(this.settings, state, ask, now)[1]]
    }, letThrough)
  }

  /** The state of a circuit in memory that is closed, as nearly all are. */
  closed(model: string | undefined, now: number): Machine.Closed | undefined {
    const { unsafe } = this.place.store
    const state = unsafe === undefined ? undefined : unsafe.get(this.of(model).key) ?? initial
    if (state?._tag !== "Closed") return undefined
    this.seen(model, state.since, now)
    return state
  }

  /** It is closed since then. */
  seen(model: string | undefined, since: number | null, now: number): void {
    const circuit = this.of(model)
    if (since === null || since === circuit.seen) return
    circuit.seen = since
    // One that was closed long ago has got over it.
    if (model !== undefined && now - since < this.settings.window) this.place.onClosed?.(model)
  }

  /** Counts a success of a circuit in memory that is closed; says whether it is. */
  counted(model: string, generation: number, now: number): boolean {
    const { place: { store: { unsafe } }, settings } = this
    if (unsafe === undefined) return false
    const { key } = this.of(model)
    const state = unsafe.get(key) ?? initial
    if (state._tag !== "Closed") return false
    // What began before the last transition says nothing about what is now.
    if (generation === state.generation) unsafe.set(key, Machine.succeeded(settings, state, now))
    return true
  }
}

/** The right to ask a model: given by its circuit, and by that of the account. */
class Held implements Guard.Held {
  readonly panel: Panel
  readonly model: string
  /** Of the account, and whether it is its probe. */
  readonly generation: number
  readonly probe: boolean
  /** The generation of the model. */
  readonly own: number
  readonly opened: Guard.Held["opened"]
  slow = false

  constructor(panel: Panel, model: string, generation: number, probe: boolean, own: number, start: number) {
    this.panel = panel
    this.model = model
    this.generation = generation
    this.probe = probe
    this.own = own
    const { slowAfter } = panel.settings
    this.opened = slowAfter === Infinity ? undefined : timed(this, start + slowAfter)
  }

  end(exit: Guard.Ending, _: unknown, { fiber, now }: Guard.Place): Effect.Effect<void> {
    const { model, own, panel, probe, slow } = this
    const how = Guard.judge<How>(exit, { success: "Success", neutral: "Ignored", failure: verdict })
    if (how === "Success" && !slow && !probe && panel.counted(model, own, now)) return Exit.void
    const error = Guard.errorOf(exit)
    const event = eventOf(how, own, slow, fiber.getRef(Random.Random).nextDoubleUnsafe(), error)
    const ofAccount = eventOfAccount(how, this, error, panel.settings, now)
    return Effect.flatMapEager(
      panel.send(model, event, now),
      () => ofAccount === undefined ? Exit.void : Effect.mapEager(panel.send(undefined, ofAccount, now), () => {})
    )
  }
}

const timed = (held: Held, until: number) => () =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    held.slow = now > until
  })
