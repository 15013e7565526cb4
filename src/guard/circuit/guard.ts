import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { atNow } from "../../atNow.ts"
import type * as CallLog from "../../CallLog.ts"
import type * as Guard from "../Guard.ts"
import type { Status, Store } from "./Circuit.ts"
import * as Panel from "./circuits.ts"
import * as Lease from "./lease.ts"
import type { Settings } from "./settings.ts"

export interface Place {
  /** If `undefined`, circuits are in memory, which never fails. */
  readonly store: Store | undefined
  readonly onStoreError: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
  /** The prefix of the keys in the store. */
  readonly account: string
  readonly log: CallLog.CallLog
}

export interface Circuits extends Guard.Guard {
  /** Blocks all requests to a model, or to every model if none is named, for `length` ms or until a reset. */
  readonly isolate: (model: string | undefined, length: number | undefined) => Effect.Effect<void>
  readonly reset: (model: string | undefined) => Effect.Effect<void>
  readonly status: Effect.Effect<{ readonly account: Status; readonly circuits: { readonly [model: string]: Status } }>
}

/** `gate` checks and waits without taking anything; `admit` takes the probe if it is due. */
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
