/** The sliding window of a circuit: calls are counted in slices, a tenth of the window each. */

export interface Slice {
  readonly index: number
  readonly calls: number
  readonly failures: number
  readonly slow: number
  /** Failures by kind of error. */
  readonly kinds: { readonly [kind: string]: number }
}

export interface Counts {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

interface Window {
  readonly window: number
}

/** One call: it was slow, it failed with an error of `kind`, or neither. */
interface Call {
  readonly slow?: boolean
  readonly kind?: string
}

/** A call that succeeded in time. */
export const none: Call = {}

const slicesPerWindow = 10

const indexOf = ({ window }: Window, at: number): number => Math.floor(at / (window / slicesPerWindow))

/** Whether a slice is in the window. A slice far in the future is not: it was counted before the clock was set back. */
const isRecent = (index: number, newest: number): boolean => Math.abs(index - newest) < slicesPerWindow

const failed = (slice: Slice, kind: string): Slice => ({
  ...slice,
  failures: slice.failures + 1,
  kinds: { ...slice.kinds, [kind]: (slice.kinds[kind] ?? 0) + 1 }
})

export const add = (
  settings: Window,
  slices: ReadonlyArray<Slice>,
  now: number,
  { kind, slow = false }: Call
): ReadonlyArray<Slice> => {
  const index = indexOf(settings, now)
  const same = slices.find((slice) => slice.index === index)
  const { calls, ...others } = same ?? { index, calls: 0, failures: 0, slow: 0, kinds: {} }
  const more = { ...others, calls: calls + 1, slow: others.slow + (slow ? 1 : 0) }
  const next = kind === undefined ? more : failed(more, kind)
  return same === undefined
    ? [...slices.filter((slice) => isRecent(slice.index, index)), next]
    : slices.map((other) => other === same ? next : other)
}

/** Turns a success counted at `at` into a failure. Returns `undefined` if that success is no longer in the window. */
export const spoil = (
  settings: Window,
  slices: ReadonlyArray<Slice>,
  at: number,
  kind: string,
  now: number
): ReadonlyArray<Slice> | undefined => {
  const index = indexOf(settings, at)
  if (!isRecent(index, indexOf(settings, now))) return undefined
  const slice = slices.find((slice) => slice.index === index && slice.failures < slice.calls)
  return slice && slices.map((other) => other === slice ? failed(slice, kind) : other)
}

export const sum = (settings: Window, slices: ReadonlyArray<Slice>, now: number): Counts => {
  const newest = indexOf(settings, now)
  let [calls, failures, slow] = [0, 0, 0]
  for (const slice of slices) {
    if (!isRecent(slice.index, newest)) continue
    calls += slice.calls
    failures += slice.failures
    slow += slice.slow
  }
  return { calls, failures, slow }
}

/** Why the circuit opens: how many calls failed, and with which errors, most frequent first. */
export const whyFailing = (settings: Window, slices: ReadonlyArray<Slice>, now: number): string => {
  const newest = indexOf(settings, now)
  const { calls, failures } = sum(settings, slices, now)
  const kinds = new Map<string, number>()
  for (const slice of slices) {
    if (!isRecent(slice.index, newest)) continue
    for (const [kind, times] of Object.entries(slice.kinds)) kinds.set(kind, (kinds.get(kind) ?? 0) + times)
  }
  const named = [...kinds].toSorted(([, a], [, b]) => b - a)
  const list = named.length === 1 ? named.map(([kind]) => kind) : named.map(([kind, times]) => `${times} ${kind}`)
  return `${failures} of ${calls} calls failed: ${list.join(", ")}`
}

export const whySlow = ({ calls, slow }: Counts): string => `${slow} of ${calls} answers began late`
