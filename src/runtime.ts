/**
 * What belongs to one `Claude` besides its wire.
 *
 * Opaque to users, who pass it on with a spread (`{ ...claude, open }`), so that
 * parts may come and go without a change to their services.
 */
import type { Store } from "./answerStore.ts"
import type { Budget } from "./budget.ts"
import type { CallLog } from "./CallLog.ts"
import type { Catalogue } from "./models/catalogue.ts"

/** The parts. */
export interface Parts {
  readonly log: CallLog
  readonly budget: Budget
  /** Where `Fallback.lastGood` remembers answers, if it is told of no other store. */
  readonly answers: Store
  readonly catalogue: Catalogue
}

// Registered, so that two copies of this package in a program find the same key.
const parts: unique symbol = Symbol.for("resilient-claude/Runtime")

/** The parts, under a key that only this file has. */
export interface Runtime {
  readonly [parts]: Parts
}

export const make = (made: Parts): Runtime => ({ [parts]: made })

/** The parts of a `Claude`. */
export const of = ({ runtime }: { readonly runtime: Runtime }): Parts => runtime[parts]

/** The runtime of a `Claude`, with other parts in the place of some of its own. */
export const replace = (claude: { readonly runtime: Runtime }, others: Partial<Parts>): Runtime =>
  make({ ...of(claude), ...others })
