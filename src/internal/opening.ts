/**
 * An answer that is to be opened, and whoever is told how it ended.
 *
 * The `open` of a service says both by a scope, which serves everybody. What
 * collects an answer sees to its end by itself, and asks an `open` of ours for
 * the opening: a scope with two finalizers costs more than the guards.
 */
import type * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import type { ClaudeError } from "../ClaudeError.ts"
import type { RateLimits, Reply, Request, Usage, WireEvent } from "../Message.ts"

/** An answer that has begun. */
export interface Opened {
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /** The next events, from the first on; done after the last. */
  readonly pull: Pull.Pull<Arr.NonEmptyReadonlyArray<WireEvent>, ClaudeError>
  /** What has been read so far. */
  readonly reply: () => Reply
  /** What it has used so far, as far as the API said. */
  readonly usage: () => Usage
  /** Whether it has come to its end. */
  readonly isWhole: () => boolean
}

/** An answer that may know a shorter way to its end, which is taken where nobody looks at it while it comes. */
export interface Collectable extends Opened {
  /** Reads to the end. */
  readonly toEnd?: (() => Effect.Effect<void, ClaudeError>) | undefined
}

/** An answer that is to be opened. Nothing is taken before it is opened, and nothing is held after it is ended. */
export interface Opening {
  /**
   * Opens it, once, and in the fiber that it was made for: what can be decided is decided when it is called. It is not
   * opened any more once it was ended, as by a scope that somebody else closes: whoever wanted it is interrupted.
   */
  readonly open: () => Effect.Effect<Collectable, ClaudeError>
  /** Says how it ended, once, opened or not. */
  readonly end: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
}

/** What makes openings. */
type Begin = (request: Request, fiber: Fiber.Fiber<unknown, unknown>) => Opening

/** The `open` of a service. */
export type Open = (request: Request) => Effect.Effect<Opened, ClaudeError, Scope.Scope>

/** What opens answers. */
export interface Service {
  readonly open: Open
}

/** What is known of the functions themselves: a spy or a proxy around one is asked as any other. */
const begins = new WeakMap<Open, Begin>()

/** An `open` that can also be asked directly. */
export const make = (begin: Begin): Open => {
  const open: Open = (request) =>
    Effect.withFiber((fiber) => {
      const opening = begin(request, fiber)
      const scope = Context.getUnsafe(fiber.context, Scope.Scope)
      // Before anything is taken: what is held is given back, whatever comes between.
      return Effect.andThen(
        Scope.addFinalizerExit(scope, (exit) => opening.end(exit)),
        Effect.suspend(() => Effect.map(opening.open(), plain))
      )
    })
  begins.set(open, begin)
  return open
}

/** The opening of a request by a service, also by one whose `open` is not ours. */
export const of = (service: Service, request: Request, fiber: Fiber.Fiber<unknown, unknown>): Opening => {
  const begin = begins.get(service.open)
  return begin === undefined ? scoped(service, request) : begin(request, fiber)
}

const scoped = (service: Service, request: Request): Opening => {
  const scope = Scope.makeUnsafe()
  return {
    // It may know itself.
    open: () => Scope.provide(service.open(request), scope),
    end: (exit) => Scope.close(scope, exit)
  }
}

/** An answer for everybody: one that may be taken apart and copied. */
export const plain = (opened: Opened): Opened => ({
  requestId: opened.requestId,
  rateLimits: opened.rateLimits,
  pull: opened.pull,
  reply: () => opened.reply(),
  usage: () => opened.usage(),
  isWhole: () => opened.isWhole()
})
