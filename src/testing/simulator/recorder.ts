import type { Plan } from "./provider.ts"

// -----------------------------------------------------------------------------
// Result
// -----------------------------------------------------------------------------

export interface Share {
  readonly calls: number
  readonly answered: number
}

export interface Alerted {
  /** Milliseconds from the start of the run. */
  readonly at: number
  /** The tag of the alert. */
  readonly alert: string
}

/** The result of a run, as plain data. Times are in milliseconds. */
export interface Result extends Share {
  readonly scenario: string
  readonly contender: string
  readonly seed: number | string
  readonly requests: number
  /** Requests during the incidents. */
  readonly requestsDuring: number
  /** From the end of the last incident to the first answer that ended after it; undefined without such an answer. */
  readonly recovery: number | undefined
  /**
   * `requests`: the most requests in one whole second after the last incident. `offered`: the most calls that were due in
   * one whole second of the run. Undefined without incidents.
   */
  readonly peak: { readonly requests: number; readonly offered: number } | undefined
  /** The durations of answered calls; 0 if no call was answered. */
  readonly latency: { readonly p50: number; readonly p99: number }
  /** The durations of failed calls; 0 if no call failed. */
  readonly timeToError: { readonly p50: number; readonly max: number }
  /** Requests whose client left before the end of the response. */
  readonly abandoned: number
  /** The number of 429 responses. */
  readonly rateLimited: number
  readonly circuitsOpened: number
  readonly alerts: ReadonlyArray<Alerted>
  /**
   * The number of failed calls for each kind of error: its `_tag`; for a strategy without the library, the status or
   * `kind`; `abandoned` if the caller left.
   */
  readonly errors: { readonly [tag: string]: number }
  readonly tenants: { readonly [tenant: string]: Share }
  /** By the model that a call asked first, even if a fallback model answered. */
  readonly models: { readonly [model: string]: Share }
  /** From the start of the run to the end of the last call. */
  readonly took: number
}

// -----------------------------------------------------------------------------
// Recorder
// -----------------------------------------------------------------------------

/** A request that the client has not left. `isWhole`: the server sends nothing more, even if it broke off. */
export interface Open {
  isWhole: boolean
}

interface Ended {
  readonly start: number
  readonly end: number
  readonly error: string | undefined
  readonly tenant: string
  readonly model: string
}

export class Recorder {
  readonly plans: Array<Plan> = []
  readonly calls: Array<Ended> = []
  readonly alerts: Array<Alerted> = []
  /** The number of open requests. */
  open = 0
  abandoned = 0
  rateLimited = 0
  circuitsOpened = 0

  request(plan: Plan): Open {
    this.plans.push(plan)
    this.open++
    if (plan.kind === "response" && plan.status === 429) this.rateLimited++
    return { isWhole: false }
  }

  left({ isWhole }: Open): void {
    this.open--
    if (!isWhole) this.abandoned++
  }
}

export interface Facts {
  readonly scenario: string
  readonly contender: string
  readonly seed: number | string
  readonly incidents: ReadonlyArray<readonly [from: number, to: number]>
  readonly due: ReadonlyArray<{ readonly at: number }>
}

export const resultOf = (recorder: Recorder, { due, incidents, ...names }: Facts): Result => {
  const { alerts, calls, plans } = recorder
  const arrivals = plans.map(({ at }) => at)
  const answered = calls.filter(({ error }) => error === undefined)
  const failed = calls.filter(({ error }) => error !== undefined)
  const latencies = answered.map(took).toSorted(ascending)
  const times = failed.map(took).toSorted(ascending)
  const recovered = Math.max(...incidents.map(([, to]) => to))
  // `calls` is in the order in which the calls ended.
  const first = answered.find(({ end }) => end >= recovered)?.end
  return {
    ...names,
    calls: calls.length,
    answered: answered.length,
    requests: arrivals.length,
    requestsDuring: arrivals.filter((at) => incidents.some(([from, to]) => at >= from && at < to)).length,
    recovery: first === undefined || incidents.length === 0 ? undefined : first - recovered,
    peak: incidents.length === 0 ? undefined : {
      requests: busiest(arrivals.filter((at) => at >= recovered)),
      offered: busiest(due.map(({ at }) => at))
    },
    latency: { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) },
    timeToError: { p50: quantile(times, 0.5), max: quantile(times, 1) },
    abandoned: recorder.abandoned,
    rateLimited: recorder.rateLimited,
    circuitsOpened: recorder.circuitsOpened,
    alerts,
    errors: countBy(failed.map(({ error = "" }) => error)),
    tenants: sharesBy(calls, ({ tenant }) => tenant),
    models: sharesBy(calls, ({ model }) => model),
    took: calls.at(-1)?.end ?? 0
  }
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const took = ({ end, start }: Ended) => end - start
const ascending = (a: number, b: number) => a - b

const quantile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0

/** The largest number of `times`, which are in milliseconds, that fall into one whole second. */
const busiest = (times: ReadonlyArray<number>): number =>
  Math.max(0, ...Object.values(countBy(times.map((at) => String(Math.floor(at / 1000))))))

const countBy = (keys: ReadonlyArray<string>): Readonly<Record<string, number>> => {
  const counts = new Map<string, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return Object.fromEntries([...counts].toSorted(([a], [b]) => a < b ? -1 : 1))
}

const sharesBy = (calls: ReadonlyArray<Ended>, keyOf: (call: Ended) => string): Readonly<Record<string, Share>> => {
  const all = countBy(calls.map(keyOf))
  const answered = countBy(calls.filter(({ error }) => error === undefined).map(keyOf))
  return Object.fromEntries(Object.entries(all).map(([key, calls]) => [key, { calls, answered: answered[key] ?? 0 }]))
}
