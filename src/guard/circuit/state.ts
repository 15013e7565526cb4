/** What a circuit is, what happens to it, and what it decides: plain data. */
import type { Slice } from "./window.ts"

/** All times in milliseconds. */
export interface Settings {
  readonly window: number
  readonly minimumCalls: number
  readonly failureRate: number
  /** The share of calls that may begin late. Above 1, it is never reached. */
  readonly slowRate: number
  readonly openFor: number
  readonly maxOpenFor: number
  /** How soon to ask again while somebody else probes. */
  readonly recheck: number
}

export type Closed = State & { readonly _tag: "Closed" }

/** An outage: when it began, which is when the circuit first opened, and why it did, in words. */
export interface Outage {
  readonly began: number
  readonly why: string
}

/** Plain data. A lease is the `generation` it was given in: any other has nothing to say any more. */
export type State =
  & { readonly generation: number }
  & (
    /** `since` is when it was closed after having been open, and `after` the outage that was over then. */
    | {
      readonly _tag: "Closed"
      readonly since: number | null
      readonly slices: ReadonlyArray<Slice>
      readonly after?: Outage
    }
    /** `probe` is when the lease of the probe under way ends; `at` is when it was opened or that began. */
    | {
      readonly _tag: "Open"
      readonly outage: Outage
      readonly until: number
      readonly probe: number | null
      readonly at: number
    }
    /** By hand, until then, or until it is reset. */
    | { readonly _tag: "Isolated"; readonly until: number | null; readonly at: number }
  )

export type Event =
  /** `lease` is how long a probe keeps others out. */
  | { readonly _tag: "Ask"; readonly lease: number }
  /** An answer began, or ended well without having begun. */
  | { readonly _tag: "Success"; readonly generation: number; readonly slow: boolean }
  /** A call failed before its answer began. `kind` is the tag of the error. */
  | { readonly _tag: "Failure"; readonly generation: number; readonly kind: string; readonly retryAfter: number }
  /** An answer that began at `at` broke: its success becomes a failure. `probe`: it had closed the circuit. */
  | {
    readonly _tag: "Broken"
    readonly generation: number
    readonly kind: string
    readonly at: number
    readonly probe: boolean
  }
  | { readonly _tag: "Ignored"; readonly generation: number }
  /** Opens at once, whatever was counted. */
  | { readonly _tag: "Trip"; readonly generation: number; readonly until: number; readonly why: string }
  | { readonly _tag: "Isolate"; readonly until: number | null }
  | { readonly _tag: "Reset" }

/** The right to send a request: in which generation it was given, and whether it is the probe. */
export interface Right {
  readonly generation: number
  readonly probe: boolean
}

/** What the event led to. `Opened`, `Closed` and `Isolated` are transitions, and so is an admitted probe. */
export type Decision =
  /** `closed` where a time of isolation had ended, and this was the first to ask. */
  | Right & { readonly _tag: "Admitted"; readonly closed: boolean }
  | {
    readonly _tag: "Rejected"
    readonly retryAfter: number | null
    readonly isolated: boolean
    readonly why: string | undefined
  }
  /** `generation` is the one in which a probe that closed the circuit counts from now on. */
  | { readonly _tag: "Closed"; readonly generation: number }
  | { readonly _tag: "Opened"; readonly why: string }
  | { readonly _tag: "Counted" | "Stale" | "Isolated" }

/** Nothing known. */
export const initial: State = { _tag: "Closed", generation: 0, since: null, slices: [] }
