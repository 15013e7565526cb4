import type { Slice } from "./window.ts"

/** Times in milliseconds. */
export interface Settings {
  readonly window: number
  readonly minimumCalls: number
  readonly failureRate: number
  /** The share of late answers at which the circuit opens; above 1, late answers do not open it. */
  readonly slowRate: number
  readonly openFor: number
  readonly maxOpenFor: number
  /** Milliseconds after which a waiting call checks the circuit again while another call probes. */
  readonly recheck: number
}

export type Closed = State & { readonly _tag: "Closed" }

/** An outage: `began` is when the circuit first opened, `why` the reason in words. */
export interface Outage {
  readonly began: number
  readonly why: string
}

/** Plain data. Each transition starts a new `generation`; events of leases from an older generation are ignored. */
export type State =
  & { readonly generation: number }
  & (
    /** `since`: when the circuit last closed; `null` if never. `after`: the outage, if a probe closed the circuit. */
    | {
      readonly _tag: "Closed"
      readonly since: number | null
      readonly slices: ReadonlyArray<Slice>
      readonly after?: Outage
    }
    /** `probe` is when the lease of the running probe expires; `at` is when the circuit opened or that probe began. */
    | {
      readonly _tag: "Open"
      readonly outage: Outage
      readonly until: number
      readonly probe: number | null
      readonly at: number
    }
    /** Isolated by an operator: until the time `until`, or until a reset if `until` is `null`. */
    | { readonly _tag: "Isolated"; readonly until: number | null; readonly at: number }
  )

export type Event =
  /** A request. `lease`: how long the request blocks other calls if it becomes the probe. */
  | { readonly _tag: "Ask"; readonly lease: number }
  /** An answer began, or the model responded without an answer, such as with an `InvalidRequest`. */
  | { readonly _tag: "Success"; readonly generation: number; readonly slow: boolean }
  /** A request failed before its answer began. `kind` is the tag of the error. */
  | { readonly _tag: "Failure"; readonly generation: number; readonly kind: string; readonly retryAfter: number }
  /** An answer that began at `at` broke off: its success becomes a failure. `probe`: whether it answered the probe. */
  | {
    readonly _tag: "Broken"
    readonly generation: number
    readonly kind: string
    readonly at: number
    readonly probe: boolean
  }
  | { readonly _tag: "Ignored"; readonly generation: number }
  /** Opens the circuit at once, regardless of `minimumCalls` and `failureRate`. */
  | { readonly _tag: "Trip"; readonly generation: number; readonly until: number; readonly why: string }
  | { readonly _tag: "Isolate"; readonly until: number | null }
  | { readonly _tag: "Reset" }

/** The right to send a request. `probe`: whether the request is the probe. */
export interface Right {
  readonly generation: number
  readonly probe: boolean
}

/**
 * The result of an event. `Opened`, `Closed`, `Isolated`, and an `Admitted` with `probe` or `closed` are transitions.
 */
export type Decision =
  /** `closed`: the isolation had expired, and this request was the first after it. */
  | Right & { readonly _tag: "Admitted"; readonly closed: boolean }
  | {
    readonly _tag: "Rejected"
    readonly retryAfter: number | null
    readonly isolated: boolean
    readonly why: string | undefined
  }
  /** `generation`: the new generation, to which the lease of the probe moves. */
  | { readonly _tag: "Closed"; readonly generation: number }
  | { readonly _tag: "Opened"; readonly why: string }
  | { readonly _tag: "Counted" | "Stale" | "Isolated" }

export const initial: State = { _tag: "Closed", generation: 0, since: null, slices: [] }
