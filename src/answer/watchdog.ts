/**
 * Enforces the time limits of one attempt.
 *
 * Each wait for the wire ends at the limit that expires first. Only time spent
 * waiting counts, so that a slow reader does not use up the limits. If the system
 * clock is set back, the counted time does not shrink.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { TimedOut } from "../ClaudeError.ts"
import type * as Current from "../Current.ts"
import { within } from "../within.ts"
import type { Defaults, Pauses } from "./defaultLimits.ts"

/** The limits of one attempt and the time it has waited, in milliseconds. */
export interface Watchdog {
  readonly model: string
  readonly limit: Defaults
  total: number
  withoutBytes: number
  withoutContent: number
  isConnected: boolean
  hasContent: boolean
  /** The limits `idle` and `contentIdle` until the next bytes: longer while Claude thinks or uses a tool. */
  pauses: Pauses
  waiting: Fiber.Fiber<unknown, unknown> | undefined
  isStopped: boolean
}

export const make = (model: string, limits: Current.Limits, usual: Defaults): Watchdog => {
  const limit = resolve(limits, usual)
  return {
    model,
    limit,
    total: 0,
    withoutBytes: 0,
    withoutContent: 0,
    isConnected: false,
    hasContent: false,
    pauses: limit,
    waiting: undefined,
    isStopped: false
  }
}

/** Runs a wait for the wire, and fails with `TimedOut` at the first limit. `stop` interrupts the wait. */
export const limitWait = <A, E, R>(self: Watchdog, wait: Effect.Effect<A, E, R>): Effect.Effect<A, E | TimedOut, R> =>
  Effect.clockWith((clock) => {
    const { length, left, scope } = nearest(self)
    const start = clock.currentTimeMillisUnsafe()
    const timedOut = () => new TimedOut({ scope, limit: Duration.millis(length), model: self.model })
    return within(whileRunning(self, wait), left, timedOut, (fiber) => {
      self.waiting = fiber
      fiber.addObserver(() => {
        const waited = Math.max(0, clock.currentTimeMillisUnsafe() - start)
        self.total += waited
        self.withoutBytes += waited
        self.withoutContent += waited
      })
    })
  })

const whileRunning = <A, E, R>(self: Watchdog, wait: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => self.isStopped ? Effect.interrupt : wait)

/** Interrupts the current wait and every later one: another fiber may close the scope of the attempt during a wait. */
export const stop = (self: Watchdog): void => {
  self.isStopped = true
  self.waiting?.interruptUnsafe()
}

/** Call this when the response headers have arrived. */
export const connected = (self: Watchdog): void => {
  self.isConnected = true
  self.withoutBytes = 0
}

/**
 * Call this when bytes have arrived, with or without content. `work` may raise the limits `idle` and `contentIdle` until the
 * next bytes.
 */
export const received = (self: Watchdog, hasContent: boolean, work: "thinking" | "tool" | undefined): void => {
  self.withoutBytes = 0
  self.pauses = work === undefined ? self.limit : self.limit[work]
  if (!hasContent) return
  self.hasContent = true
  self.withoutContent = 0
}

/** `length` and `left` are in milliseconds. */
interface Limit {
  readonly scope: TimedOut["scope"]
  readonly length: number
  readonly left: number
}

const nearest = ({ hasContent, isConnected, limit, pauses, total, withoutBytes, withoutContent }: Watchdog): Limit => {
  const attempt: Limit = { scope: "attempt", length: limit.attempt, left: limit.attempt - total }
  const bytes: Limit = isConnected
    ? { scope: "idle", length: pauses.idle, left: pauses.idle - withoutBytes }
    : { scope: "connect", length: limit.connect, left: limit.connect - total }
  const content: Limit = hasContent
    ? { scope: "contentIdle", length: pauses.contentIdle, left: pauses.contentIdle - withoutContent }
    : { scope: "firstToken", length: limit.firstToken, left: limit.firstToken - total }
  const first = bytes.left <= content.left ? bytes : content
  return attempt.left <= first.left ? attempt : first
}

/** A limit that the caller set replaces its default, also during thinking and tools. */
const resolve = ({ attempt, connect, contentIdle, firstToken, idle }: Current.Limits, usual: Defaults): Defaults => {
  const pauses = (usual: Pauses): Pauses => ({
    idle: lengthOf(idle, usual.idle),
    contentIdle: lengthOf(contentIdle, usual.contentIdle)
  })
  return {
    ...pauses(usual),
    connect: lengthOf(connect, usual.connect),
    firstToken: lengthOf(firstToken, usual.firstToken),
    attempt: lengthOf(attempt, usual.attempt),
    thinking: pauses(usual.thinking),
    tool: pauses(usual.tool)
  }
}

const lengthOf = (limit: Duration.Input | undefined, usual: number): number =>
  limit === undefined ? usual : Duration.toMillis(limit)
