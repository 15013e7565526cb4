/** The right to ask a model: given by its circuit, and by that of the account. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Guard from "../guard/Guard.ts"
import { brokeOff, ended, endedForAccount, type How, isLoss, verdict } from "./circuitEnds.ts"
import type { Line } from "./circuitLine.ts"
import type * as Machine from "./circuitMachine.ts"
import type { Right } from "./circuitMachine.ts"
import type { Kept } from "./circuitStore.ts"

/** A circuit, and the line of those who wait at it. `model` is `undefined` for the account. */
export interface Circuit {
  readonly model: string | undefined
  readonly kept: Kept
  readonly line: Line
  /** When it was asked last. */
  askedAt: number
}

/** The circuits that a lease tells. */
export interface Panel {
  readonly settings: { readonly slowAfter: number }
  /** Sends an event, and tells what came of it. */
  readonly send: (model: string | undefined, event: Machine.Event, now: number) => Effect.Effect<Machine.Decision>
  /** Counts a success of a circuit in memory that is closed; says whether it is. */
  readonly counted: (circuit: Circuit, generation: number, now: number) => boolean
}

/**
 * An answer that begins is a success, and if it breaks later, that success becomes a failure. A probe that has closed a
 * circuit counts in the new generation from then on.
 */
export class Held implements Guard.Held {
  readonly panel: Panel
  readonly circuit: Circuit
  readonly start: number
  ofAccount: Right
  ofModel: Right
  /** When the answer began, if it did. */
  begunAt: number | undefined

  constructor(panel: Panel, circuit: Circuit, ofAccount: Right, ofModel: Right, start: number) {
    this.panel = panel
    this.circuit = circuit
    this.start = start
    this.ofAccount = ofAccount
    this.ofModel = ofModel
  }

  opened(_: unknown, { now }: Guard.Place): Effect.Effect<void> {
    this.begunAt = now
    return this.succeeded(now - this.start > this.panel.settings.slowAfter, now)
  }

  end(exit: Guard.Ending, _: unknown, { now }: Guard.Place): Effect.Effect<void> {
    const { begunAt, circuit, ofAccount, ofModel } = this
    const how = Guard.judge<How>(exit, { success: "Success", neutral: "Ignored", failure: verdict })
    const error = Guard.errorOf(exit)
    if (isLoss(how, error)) circuit.line.ramp?.lose(this.start, now)
    if (begunAt === undefined && how === "Success") return this.succeeded(false, now)
    const own = begunAt === undefined
      ? ended(how, ofModel.generation, error)
      : how === "Failure"
      ? brokeOff(ofModel, begunAt, error)
      : undefined
    return this.send(own, endedForAccount(how, ofAccount, error, now), now)
  }

  succeeded(slow: boolean, now: number): Effect.Effect<void> {
    const { circuit, ofAccount, ofModel, panel } = this
    if (!slow && !ofAccount.probe && panel.counted(circuit, ofModel.generation, now)) return Exit.void
    const { generation } = ofModel
    const own: Machine.Event = { _tag: "Success", generation, slow }
    return this.send(own, endedForAccount("Success", ofAccount, undefined, now), now)
  }

  /** Tells both circuits, and notes in which generation it counts from then on. */
  send(own: Machine.Event | undefined, whole: Machine.Event | undefined, now: number): Effect.Effect<void> {
    const { circuit: { model }, panel } = this
    const first = own === undefined ? Exit.void : Effect.mapEager(panel.send(model, own, now), (decision) => {
      if (decision._tag === "Closed") this.ofModel = { ...this.ofModel, generation: decision.generation }
    })
    if (whole === undefined) return first
    return Effect.flatMapEager(first, () =>
      Effect.mapEager(panel.send(undefined, whole, now), (decision) => {
        if (decision._tag === "Closed") this.ofAccount = { generation: decision.generation, probe: false }
      }))
  }
}
