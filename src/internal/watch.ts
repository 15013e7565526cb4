/**
 * The limits of one attempt, watched by one fiber.
 *
 * A timer per element would cost more than the element. Instead reads leave
 * marks, and one watchdog wakes when the nearest limit could be over, looks at
 * the marks and sleeps again. Its clock stands still while nobody reads: a
 * slow reader is not a slow model.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import { isNotNullish } from "effect/Predicate"
import { TimedOut } from "../ClaudeError.ts"
import type * as Current from "../Current.ts"
import type { Params, Request } from "../Message.ts"
import { supervised, type Supervisor } from "./supervised.ts"

/** The limits of one attempt, and the marks they are measured from. */
export interface Watch {
  /** Waits for something from the wire, for as long as the limits allow. */
  readonly during: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | TimedOut, R>
  /** Headers are here. */
  readonly connected: () => void
  /** Bytes are here, with or without content. */
  readonly received: (content: boolean) => void
  /** The attempt is over. */
  readonly stop: () => void
}

/** Watches from the first wait on, until it is stopped. */
export const make = ({ limits, params }: Request, clock: Clock.Clock): Watch => {
  const limit = resolve(limits, thinks(params))
  const reading = Latch.makeUnsafe(false)
  const start = clock.currentTimeMillisUnsafe()
  let paused = 0
  let pausedAt = start
  let connected = false
  let byteAt = start
  let contentAt: number | undefined
  let end: (() => void) | undefined
  let watcher: Fiber.Fiber<unknown, unknown> | undefined
  let expired: TimedOut | undefined

  /** Time spent on the wire. */
  const now = () => clock.currentTimeMillisUnsafe() - paused

  /** The limit that ends first, and when. */
  const nearest = (): readonly [scope: TimedOut["scope"], limit: number, end: number] => {
    const running: ReadonlyArray<readonly [TimedOut["scope"], limit: number, from: number]> = [
      ["attempt", limit.attempt, start],
      connected ? ["idle", limit.idle, byteAt] : ["connect", limit.connect, start],
      contentAt === undefined ? ["firstToken", limit.firstToken, start] : ["idle", limit.contentIdle, contentAt]
    ]
    const [scope, length, from] = running.reduce((a, b) => a[2] + a[1] <= b[2] + b[1] ? a : b)
    return [scope, length, from + length]
  }
  // A mark may start a limit that ends before the one that is waited for.
  const shortest = Math.min(limit.idle, limit.contentIdle)

  const watchdog: Effect.Effect<void> = Effect.flatMap(reading.await, () => {
    const [scope, length, at] = nearest()
    const left = at - now()
    if (left > 0) return Effect.flatMap(Effect.sleep(Math.min(left, shortest)), () => watchdog)
    expired = new TimedOut({ scope, limit: Duration.millis(length), model: params.model })
    end?.()
    return Effect.void
  })

  const supervisor: Supervisor<TimedOut> = {
    began: (interrupt, fork) => {
      paused += clock.currentTimeMillisUnsafe() - pausedAt
      end = interrupt
      reading.openUnsafe()
      watcher ??= fork(watchdog)
    },
    ended: () => {
      reading.closeUnsafe()
      pausedAt = clock.currentTimeMillisUnsafe()
      end = undefined
      return expired === undefined ? undefined : Effect.fail(expired)
    }
  }

  return {
    during: (self) => supervised(self, supervisor),
    stop: () => watcher?.interruptUnsafe(),
    connected: () => {
      connected = true
      byteAt = now()
    },
    received: (content) => {
      byteAt = now()
      if (content) contentAt = byteAt
    }
  }
}

/** The limits where nothing else is said, in milliseconds. Source: the time-outs of other clients and gateways. */
const defaults = { connect: 10_000, firstToken: 30_000, idle: 30_000, contentIdle: 60_000, attempt: Infinity }

/** A thinking model may be silent for longer. */
const thinkingDefaults = { ...defaults, firstToken: 120_000, contentIdle: 180_000 }

/** From untyped code, it may be null, which the API takes. */
const thinks = ({ thinking }: Params): boolean => isNotNullish(thinking) && thinking.type !== "disabled"

const resolve = (limits: Current.Limits, thinking: boolean): typeof defaults => {
  const base = thinking ? thinkingDefaults : defaults
  const of = (key: keyof typeof defaults) => limits[key] === undefined ? base[key] : Duration.toMillis(limits[key])
  return {
    connect: of("connect"),
    firstToken: of("firstToken"),
    idle: of("idle"),
    contentIdle: of("contentIdle"),
    attempt: of("attempt")
  }
}
