/**
 * The parts of a `Claude` besides its wire.
 *
 * Opaque to users, who pass them on with a spread (`{ ...claude, open }`), so that
 * parts can be added without a change to their code.
 */
import * as Deferred from "effect/Deferred"
import type { Store } from "./answerStore.ts"
import type { Budget } from "./budget.ts"
import type { CallLog } from "./CallLog.ts"
import type { Catalogue } from "./models/catalogue.ts"

export interface Parts {
  readonly log: CallLog
  readonly budget: Budget
  /** The store of `Fallback.lastGood`, unless the context of the caller has a `Fallback.Store`. */
  readonly answers: Store
  readonly catalogue: Catalogue
  /** Done when the process is about to stop: no request is sent any more. */
  readonly draining: Deferred.Deferred<void>
}

// Registered globally, so that two copies of this package in one program use the same key.
const parts: unique symbol = Symbol.for("resilient-claude/Runtime")

/** Opaque: the key of its field is not exported. */
export interface Runtime {
  readonly [parts]: Parts
}

export const make = (made: Parts): Runtime => ({ [parts]: made })

export const of = ({ runtime }: { readonly runtime: Runtime }): Parts => runtime[parts]

export const isDraining = (claude: { readonly runtime: Runtime } | undefined): boolean =>
  claude !== undefined && Deferred.isDoneUnsafe(of(claude).draining)

export const replace = (claude: { readonly runtime: Runtime }, others: Partial<Parts>): Runtime =>
  make({ ...of(claude), ...others })
