/** Whether anybody listens, asked before there is something to tell. */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** Where a log says for which fibers it tells of what goes well. */
export const routine: unique symbol = Symbol("resilient-claude/CallLog/routine")

/** Where a log takes note of a call that went well, of which it is told nothing else. */
export const wentWell: unique symbol = Symbol("resilient-claude/CallLog/wentWell")

/** A log that may know. */
export interface Log {
  readonly emit: unknown
  readonly [routine]?: ((fiber: Fiber.Fiber<unknown, unknown>) => boolean) | undefined
  readonly [wentWell]?: ((at: number, model: string) => Effect.Effect<void>) | undefined
}

/** Whether the events of a call that goes well are told to anybody: for nobody, none are made. */
export const isToldRoutine = (log: Log, fiber: Fiber.Fiber<unknown, unknown>): boolean => log[routine]?.(fiber) ?? true
