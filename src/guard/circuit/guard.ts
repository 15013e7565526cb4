/** The circuits of an account as a guard. */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { atNow } from "../../atNow.ts"
import type * as CallLog from "../../CallLog.ts"
import type * as Guard from "../Guard.ts"
import type { Status, Store } from "./Circuit.ts"
import * as Panel from "./circuits.ts"
import * as Lease from "./lease.ts"
import type { Settings } from "./settings.ts"

/** What circuits need of the place where they are built. */
export interface Place {
  /** Where none is given, it is our memory, which does not fail. */
  readonly store: Store | undefined
  readonly onStoreError: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
  /** What the keys begin with. */
  readonly account: string
  readonly log: CallLog.CallLog
}

/** The circuits of an account. */
export interface Circuits extends Guard.Guard {
  /** Lets nothing through to a model, or any where none is named: for so many milliseconds, or until it is reset. */
  readonly isolate: (model: string | undefined, length: number | undefined) => Effect.Effect<void>
  /** Closes the circuit of a model, or of the account where none is named. */
  readonly reset: (model: string | undefined) => Effect.Effect<void>
  /** Of the account, and of the models that were asked. */
  readonly status: Effect.Effect<{ readonly account: Status; readonly circuits: { readonly [model: string]: Status } }>
}

/** A circuit for each model, and the gate of the account. `gate` looks or waits, `admit` takes the probe if it is due. */
export const make = (settings: Settings, place: Place): Circuits => {
  const panel = Panel.make(settings, place)
  return {
    gate: (request) => Lease.gate(panel, request),
    admit: (request) => Lease.admit(panel, request),
    isolate: (model, length) =>
      atNow((now) => {
        const until = length === undefined || length === Infinity ? null : now + length
        return Effect.asVoid(Panel.send(panel, model, { _tag: "Isolate", until }, now))
      }),
    reset: (model) => atNow((now) => Effect.asVoid(Panel.send(panel, model, { _tag: "Reset" }, now))),
    status: atNow((now) => Panel.status(panel, now))
  }
}
