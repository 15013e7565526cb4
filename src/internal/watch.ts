/**
 * The limits of one attempt, watched by one fiber.
 *
 * A timer per element would cost more than the element. Instead reads leave
 * marks, and one watchdog wakes when the nearest limit could be over, looks at
 * the marks and sleeps again. Its clock stands still while nobody reads: a
 * slow reader is not a slow model.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { type ClaudeError, TimedOut } from "../ClaudeError.ts"
import type * as Current from "../Current.ts"
import type { Request } from "../Message.ts"
import type { Lengths } from "./silence.ts"
import { supervised, supervisedIn, type Supervisor } from "./supervised.ts"

/** What is watched. */
export interface Watched {
  /** What a failure of the wire means: what a limit that is over is, included. */
  readonly failed: (error: ClaudeError) => ClaudeError
}

/** The limits of one attempt, and the marks they are measured from. Watches from the first wait on, until it is stopped. */
export class Watch implements Supervisor<ClaudeError, ClaudeError> {
  readonly clock: Clock.Clock
  readonly attempt: Watched
  readonly model: string
  readonly limit: Lengths
  /** When the attempt began, in milliseconds since the epoch. */
  readonly start: number
  /** The latest reading, and how far the clock has been set back since the attempt began. */
  latest: number
  behind = 0
  paused = 0
  pausedAt: number
  isConnected = false
  isStopped = false
  byteAt: number
  contentAt: number | undefined
  end: (() => void) | undefined
  expired: TimedOut | undefined
  /** Who watches. There is none until somebody waits for the wire. */
  watcher: Fiber.Fiber<unknown, unknown> | undefined

  constructor({ limits, params: { model } }: Request, clock: Clock.Clock, usual: Lengths, attempt: Watched) {
    this.clock = clock
    this.attempt = attempt
    this.model = model
    this.start = clock.currentTimeMillisUnsafe()
    this.limit = resolve(limits, usual)
    this.latest = this.start
    this.pausedAt = this.start
    this.byteAt = this.start
  }

  /** Waits for something from the wire, for as long as the limits allow. */
  during<A, R>(self: Effect.Effect<A, ClaudeError, R>): Effect.Effect<A, ClaudeError, R> {
    return supervised(self, this)
  }

  /** The same, where the fiber is known, and what is needed. */
  duringIn<A, R>(
    fiber: Fiber.Fiber<unknown, unknown>,
    context: Context.Context<R>,
    self: Effect.Effect<A, ClaudeError, R>
  ): Effect.Effect<A, ClaudeError> {
    return supervisedIn(fiber, context, self, this)
  }

  /** The attempt is over. */
  stop(): void {
    this.isStopped = true
    this.watcher?.interruptUnsafe()
    // Who waits still would wait without a limit.
    this.end?.()
  }

  /** Headers are here. */
  connected(): void {
    this.isConnected = true
    this.byteAt = this.mark(this.steady())
  }

  /** Bytes are here since a moment, with or without content. */
  received(at: number, hasContent: boolean): void {
    this.byteAt = this.mark(this.steady(at))
    if (hasContent) this.contentAt = this.byteAt
  }

  // ---------------------------------------------------------------------------
  // Watching
  // ---------------------------------------------------------------------------

  began(interrupt: () => void, fork: (self: Effect.Effect<void>) => Fiber.Fiber<void>): void {
    // Nobody would watch who waits after the end.
    if (this.isStopped) return interrupt()
    this.paused += this.steady() - this.pausedAt
    this.end = interrupt
    this.watcher ??= fork(this.watch())
  }

  ended(): Effect.Effect<never, TimedOut> | undefined {
    this.pausedAt = this.steady()
    this.end = undefined
    return this.expired === undefined ? undefined : Effect.fail(this.expired)
  }

  failed(error: ClaudeError): ClaudeError {
    return this.attempt.failed(error)
  }

  /** Sleeps until a limit could be over. */
  watch(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.end === undefined) {
        // Nobody waits: who does next is watched by another.
        this.watcher = undefined
        return Effect.void
      }
      const [scope, length, at] = this.nearest()
      const left = at - this.now()
      if (left > 0) {
        // A mark may start a limit that ends before the one that is waited for.
        const shortest = Math.min(left, this.limit.idle, this.limit.contentIdle)
        return Effect.flatMap(Effect.sleep(shortest), () => this.watch())
      }
      this.expired = new TimedOut({ scope, limit: Duration.millis(length), model: this.model })
      this.end()
      return Effect.void
    })
  }

  /** A moment, in time spent on the wire. What was there at once was not waited for: the clock stands still since then. */
  mark(at: number): number {
    return (this.end === undefined ? this.pausedAt : at) - this.paused
  }

  /** Time spent on the wire, while somebody waits for it. */
  now(): number {
    return this.steady() - this.paused
  }

  /** The time, for which a clock that was set back has stood still: or a silent wire were waited for as long. */
  steady(at = this.clock.currentTimeMillisUnsafe()): number {
    const now = at + this.behind
    if (now < this.latest) this.behind += this.latest - now
    else this.latest = now
    return this.latest
  }

  /** The limit that ends first, and when. */
  nearest(): readonly [scope: TimedOut["scope"], limit: number, end: number] {
    const { byteAt, contentAt, limit, start } = this
    const [wire, wireFrom] = this.isConnected ? [limit.idle, byteAt] : [limit.connect, start]
    const [content, contentFrom] = contentAt === undefined ? [limit.firstToken, start] : [limit.contentIdle, contentAt]
    const [attemptEnd, wireEnd, contentEnd] = [start + limit.attempt, wireFrom + wire, contentFrom + content]
    return attemptEnd <= Math.min(wireEnd, contentEnd)
      ? ["attempt", limit.attempt, attemptEnd]
      : wireEnd <= contentEnd
      ? [this.isConnected ? "idle" : "connect", wire, wireEnd]
      : [contentAt === undefined ? "firstToken" : "idle", content, contentEnd]
  }
}

const resolve = (limits: Current.Limits, base: Lengths): Lengths => {
  let limit = base
  for (const key in limits) {
    if (!isLimit(key, base)) continue
    const length = limits[key]
    // Usually none is given.
    if (length !== undefined) limit = { ...limit, [key]: Duration.toMillis(length) }
  }
  return limit
}

const isLimit = (key: string, base: Lengths): key is keyof Lengths => key in base
