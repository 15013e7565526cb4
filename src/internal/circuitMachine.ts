/**
 * The rules of a circuit, as a pure function of state, event and time.
 *
 * It knows no clock, no randomness and no fiber, so the same rules run in
 * memory, on any store that can compare and set, and in a property test.
 * Half-open is not a state of its own: it is `Open` with a probe under way.
 */

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

/** Calls that ended within one slice of the window. */
interface Slice {
  readonly index: number
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

/** Into how many slices a window is cut: one tenth of it is forgotten at a time. */
const slicesPerWindow = 10

export type Closed = State & { readonly _tag: "Closed" }

/** Plain data. A lease is the `generation` it was given in: any other has nothing to say any more. */
export type State =
  & { readonly generation: number }
  & (
    /** `since` is when it was closed after having been open. */
    | { readonly _tag: "Closed"; readonly since: number | null; readonly slices: ReadonlyArray<Slice> }
    /** `probe` is when the lease of the probe under way ends; `at`, if known, is when it was opened or that began. */
    | {
      readonly _tag: "Open"
      readonly trips: number
      readonly until: number
      readonly probe: number | null
      readonly at?: number | undefined
    }
    /** By hand, until then, or until it is reset. */
    | { readonly _tag: "Isolated"; readonly until: number | null }
  )

/** `jitter` is a random number in [0, 1). */
export type Event =
  /** `lease` is how long a probe keeps others out. */
  | { readonly _tag: "Ask"; readonly lease: number }
  | { readonly _tag: "Success"; readonly generation: number; readonly slow: boolean; readonly jitter: number }
  | { readonly _tag: "Failure"; readonly generation: number; readonly retryAfter: number; readonly jitter: number }
  | { readonly _tag: "Ignored"; readonly generation: number }
  /** Opens at once, whatever was counted. */
  | { readonly _tag: "Trip"; readonly generation: number; readonly until: number }
  | { readonly _tag: "Isolate"; readonly until: number | null }
  | { readonly _tag: "Reset" }

/** What the event led to. `Opened`, `Closed` and `Isolated` are transitions, and so is an admitted probe. */
export type Decision =
  /** `closed` where a time of isolation had ended, and this was the first to ask. */
  | { readonly _tag: "Admitted"; readonly generation: number; readonly probe: boolean; readonly closed: boolean }
  | { readonly _tag: "Rejected"; readonly retryAfter: number | null; readonly isolated: boolean }
  | { readonly _tag: "Counted" | "Stale" | "Opened" | "Closed" | "Isolated" }

/** Nothing known. */
export const initial: State = { _tag: "Closed", generation: 0, since: null, slices: [] }

const counted: Decision = { _tag: "Counted" }
const stale: Decision = { _tag: "Stale" }
const rejected = (retryAfter: number | null, isolated: boolean): Decision => ({
  _tag: "Rejected",
  retryAfter,
  isolated
})

/** What becomes of a state, and what was decided. The same state, if nothing changed. */
export const step = (settings: Settings, before: State, event: Event, now: number): readonly [State, Decision] => {
  const state = steadied(before, now)
  switch (event._tag) {
    case "Ask":
      return ask(settings, state, event.lease, now)
    case "Isolate":
      return [{ _tag: "Isolated", generation: state.generation + 1, until: event.until }, { _tag: "Isolated" }]
    case "Reset":
      return [closed(state, null), { _tag: "Closed" }]
  }
  // What began before the last transition says nothing about what is now.
  if (event.generation !== state.generation || state._tag === "Isolated") return [state, stale]
  if (event._tag === "Trip") return [tripped(state, event.until, now), { _tag: "Opened" }]
  if (state._tag === "Open") {
    if (state.probe === null) return [state, stale]
    switch (event._tag) {
      case "Success":
        return [closed(state, now), { _tag: "Closed" }]
      case "Failure":
        return [opened(settings, state, state.trips, event.jitter, event.retryAfter, now), { _tag: "Opened" }]
      case "Ignored":
        return [{ ...state, generation: state.generation + 1, probe: null }, counted]
    }
  }
  if (event._tag === "Ignored") return [state, counted]

  const failed = event._tag === "Failure"
  const slow = event._tag === "Success" && event.slow
  if (!failed && !slow) return [succeeded(settings, state, now), counted]
  const slices = count(settings, state.slices, failed, slow, now)
  const total = sum(settings, slices, now)
  const trips = total.calls >= settings.minimumCalls && (
    failed && total.failures >= total.calls * settings.failureRate ||
    slow && total.slow >= total.calls * settings.slowRate
  )
  return trips
    ? [opened(settings, state, 0, event.jitter, failed ? event.retryAfter : 0, now), { _tag: "Opened" }]
    : [{ ...state, slices }, counted]
}

/** What it is to a clock that was set back: what was waited for takes no longer than it was to take. */
export const steadied = (state: State, now: number): State => {
  if (state._tag !== "Open" || state.at === undefined || now >= state.at) return state
  const back = state.at - now
  return { ...state, until: state.until - back, probe: state.probe === null ? null : state.probe - back, at: now }
}

/** A call went well and in time, as nearly all do: what that makes of a circuit that is closed. */
export const succeeded = (settings: Settings, state: Closed, now: number): State => ({
  ...state,
  slices: count(settings, state.slices, false, false, now)
})

const ask = (settings: Settings, state: State, lease: number, now: number): readonly [State, Decision] => {
  switch (state._tag) {
    case "Closed":
      return [state, { _tag: "Admitted", generation: state.generation, probe: false, closed: false }]
    case "Isolated":
      return state.until === null || now < state.until
        ? [state, rejected(state.until === null ? null : state.until - now, true)]
        : [closed(state, now), admitted(state, false)]
    case "Open": {
      const left = state.until - now
      if (left > 0) return [state, rejected(left, false)]
      const busy = state.probe === null ? 0 : state.probe - now
      return busy > 0
        ? [state, rejected(Math.min(busy, settings.recheck), false)]
        : [{ ...state, generation: state.generation + 1, probe: now + lease, at: now }, admitted(state, true)]
    }
  }
}

const admitted = (state: State, probe: boolean): Decision => ({
  _tag: "Admitted",
  generation: state.generation + 1,
  probe,
  closed: !probe
})

const closed = (state: State, since: number | null): State => ({
  _tag: "Closed",
  generation: state.generation + 1,
  since,
  slices: []
})

/** Open for a time that doubles with each trip in a row, shorter by at most half, and never shorter than was asked for. */
const opened = (
  { maxOpenFor, openFor }: Settings,
  state: State,
  trips: number,
  jitter: number,
  retryAfter: number,
  now: number
): State => ({
  _tag: "Open",
  generation: state.generation + 1,
  trips: trips + 1,
  until: now + Math.ceil(Math.max(Math.min(maxOpenFor, openFor * 2 ** trips) * (1 - jitter / 2), retryAfter)),
  probe: null,
  at: now
})

const tripped = (state: State, until: number, now: number): State => ({
  _tag: "Open",
  generation: state.generation + 1,
  trips: state._tag === "Open" ? state.trips : 0,
  until,
  probe: null,
  at: now
})

const indexOf = ({ window }: Settings, now: number): number => Math.floor(now / (window / slicesPerWindow))

const count = (
  settings: Settings,
  slices: ReadonlyArray<Slice>,
  failed: boolean,
  slow: boolean,
  now: number
): ReadonlyArray<Slice> => {
  const index = indexOf(settings, now)
  const same = slices.find((slice) => slice.index === index)
  const slice = {
    index,
    calls: (same?.calls ?? 0) + 1,
    failures: (same?.failures ?? 0) + (failed ? 1 : 0),
    slow: (same?.slow ?? 0) + (slow ? 1 : 0)
  }
  return same === undefined
    ? [...slices.filter((slice) => Math.abs(slice.index - index) < slicesPerWindow), slice]
    : slices.map((other) => other === same ? slice : other)
}

/** What was counted in the window that ends now. */
export const sum = (
  settings: Settings,
  slices: ReadonlyArray<Slice>,
  now: number
): { readonly calls: number; readonly failures: number; readonly slow: number } => {
  const newest = indexOf(settings, now)
  let [calls, failures, slow] = [0, 0, 0]
  for (const slice of slices) {
    // What is far ahead was counted before the clock was set back.
    if (Math.abs(slice.index - newest) >= slicesPerWindow) continue
    calls += slice.calls
    failures += slice.failures
    slow += slice.slow
  }
  return { calls, failures, slow }
}
