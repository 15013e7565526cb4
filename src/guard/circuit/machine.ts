/**
 * The rules of a circuit, as a pure function of state, event and time.
 *
 * Without clock, randomness or fibers, the same rules run in memory, on any store with compare-and-set, and in a
 * property test. Half-open is not a separate state: it is `Open` after its time, with or without a probe under way.
 * `opened` (failures, with the server's `retry-after`) and `tripped` (spend limit) decide how long a circuit stays
 * open.
 */
import type { Closed, Decision, Event, Outage, Settings, State } from "./state.ts"
import { add, type Counts, none, type Slice, spoil, sum, whyFailing, whySlow } from "./window.ts"

export * from "./state.ts"

type Next = readonly [State, Decision]

const counted: Decision = { _tag: "Counted" }
const stale: Decision = { _tag: "Stale" }

/** Applies an event: returns the new state and the decision. Returns the same state object if nothing changed. */
export const step = (settings: Settings, before: State, event: Event, now: number): Next => {
  const state = steadied(before, now)
  switch (event._tag) {
    case "Ask":
      return ask(settings, state, event.lease, now)
    case "Isolate":
      return [{ _tag: "Isolated", generation: state.generation + 1, until: event.until, at: now }, { _tag: "Isolated" }]
    case "Reset":
      // Waiting calls then leave at a growing rate, as after a successful probe.
      return closed(state, state._tag === "Closed" ? state.since : now)
  }
  // A request admitted before the last transition says nothing about the current state.
  if (event.generation !== state.generation || state._tag === "Isolated") return [state, stale]
  if (event._tag === "Trip") return tripped(state, event.until, event.why, now)
  return state._tag === "Open" ? probed(settings, state, event, now) : told(settings, state, event, now)
}

type Told = Exclude<Event, { readonly _tag: "Ask" | "Isolate" | "Reset" | "Trip" }>

/** Applies the result of the probe to an open circuit. */
const probed = (settings: Settings, state: State & { readonly _tag: "Open" }, event: Told, now: number): Next => {
  if (state.probe === null) return [state, stale]
  const { outage } = state
  switch (event._tag) {
    case "Success":
      return event.slow
        ? opened(settings, state, outage, 0, "the answer to the probe began late", now)
        : closed(state, now, { slices: add(settings, [], now, none), after: outage })
    case "Failure":
      return opened(settings, state, outage, event.retryAfter, `the probe failed: ${event.kind}`, now)
    case "Ignored":
      return [{ ...state, generation: state.generation + 1, probe: null }, counted]
    case "Broken":
      return [state, stale]
  }
}

/** Applies the result of a request to a closed circuit. */
const told = (settings: Settings, state: Closed, event: Told, now: number): Next => {
  switch (event._tag) {
    case "Ignored":
      return [state, counted]
    case "Success": {
      if (!event.slow) return [succeeded(settings, state, now), counted]
      const slices = add(settings, state.slices, now, { slow: true })
      const total = sum(settings, slices, now)
      return isEnough(settings, total) && total.slow >= total.calls * settings.slowRate
        ? opened(settings, state, { began: now, why: whySlow(total) }, 0, whySlow(total), now)
        : [{ ...state, slices }, counted]
    }
    case "Failure":
      return failing(settings, state, add(settings, state.slices, now, { kind: event.kind }), event.retryAfter, now)
    case "Broken": {
      const slices = spoil(settings, state.slices, event.at, event.kind, now)
      // The success of this answer is no longer in the window.
      if (slices === undefined) return [state, counted]
      return event.probe && state.after !== undefined
        ? opened(settings, state, state.after, 0, `the answer to the probe broke off: ${event.kind}`, now)
        : failing(settings, state, slices, 0, now)
    }
  }
}

const isEnough = ({ minimumCalls }: Settings, { calls }: Counts): boolean => calls >= minimumCalls

const failing = (
  settings: Settings,
  state: Closed,
  slices: ReadonlyArray<Slice>,
  retryAfter: number,
  now: number
): Next => {
  const total = sum(settings, slices, now)
  if (!isEnough(settings, total) || total.failures < total.calls * settings.failureRate) {
    return [{ ...state, slices }, counted]
  }
  const why = whyFailing(settings, slices, now)
  return opened(settings, state, { began: now, why }, retryAfter, why, now)
}

/**
 * Corrects an open or isolated circuit after the clock was set back, so that no wait becomes longer. Processes may
 * share a circuit, so a circuit cannot use the clock of `steadyClock.ts`.
 */
export const steadied = (state: State, now: number): State => {
  if (state._tag === "Closed" || now >= state.at) return state
  const back = state.at - now
  const sooner = <A extends number | null>(at: A) => at === null ? null : at - back
  if (state._tag === "Isolated") return { ...state, until: sooner(state.until), at: now }
  const { outage: { began, why }, probe, until } = state
  return { ...state, until: until - back, probe: sooner(probe), outage: { began: began - back, why }, at: now }
}

export const succeeded = (settings: Settings, state: Closed, now: number): State => ({
  ...state,
  slices: add(settings, state.slices, now, none)
})

const ask = (settings: Settings, state: State, lease: number, now: number): Next => {
  switch (state._tag) {
    case "Closed":
      return [state, { _tag: "Admitted", generation: state.generation, probe: false, closed: false }]
    case "Isolated": {
      const { until } = state
      return until === null || now < until
        ? [state, rejected(until === null ? null : until - now, true, undefined)]
        : [closed(state, now)[0], admitted(state, false)]
    }
    case "Open": {
      const { outage: { why }, probe, until } = state
      if (until > now) return [state, rejected(until - now, false, why)]
      const busy = probe === null ? 0 : probe - now
      return busy > 0
        ? [state, rejected(Math.min(busy, settings.recheck), false, why)]
        : [{ ...state, generation: state.generation + 1, probe: now + lease, at: now }, admitted(state, true)]
    }
  }
}

const rejected = (retryAfter: number | null, isolated: boolean, why: string | undefined): Decision => ({
  _tag: "Rejected",
  retryAfter,
  isolated,
  why
})

const admitted = (state: State, probe: boolean): Decision => ({
  _tag: "Admitted",
  generation: state.generation + 1,
  probe,
  closed: !probe
})

const closed = (
  state: State,
  since: number | null,
  known: { readonly slices: ReadonlyArray<Slice>; readonly after?: Outage } = { slices: [] }
): Next => {
  const generation = state.generation + 1
  return [{ _tag: "Closed", generation, since, ...known }, { _tag: "Closed", generation }]
}

/**
 * Stays open for the longest of `openFor`, a quarter of the outage so far, and the server's `retry-after`; at most
 * `maxOpenFor`.
 */
const opened = (
  { maxOpenFor, openFor }: Settings,
  state: State,
  outage: Outage,
  retryAfter: number,
  why: string,
  now: number
): Next => {
  const length = Math.min(maxOpenFor, Math.max(openFor, (now - outage.began) / 4, retryAfter))
  return [openUntil(state, now + Math.ceil(length), outage, now), { _tag: "Opened", why }]
}

const tripped = (state: State, until: number, why: string, now: number): Next => [
  openUntil(state, until, state._tag === "Open" ? state.outage : { began: now, why }, now),
  { _tag: "Opened", why }
]

const openUntil = (state: State, until: number, outage: Outage, now: number): State => ({
  _tag: "Open",
  generation: state.generation + 1,
  outage,
  until,
  probe: null,
  at: now
})
