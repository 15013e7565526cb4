/** Whether anybody listens, asked before there is something to tell. */
import type * as Fiber from "effect/Fiber"

/** Where a log says for which fibers it tells of what goes well. */
export const routine: unique symbol = Symbol("resilient-claude/CallLog/routine")

/** A log that may know. */
export interface Log {
  readonly emit: unknown
  readonly [routine]?: (fiber: Fiber.Fiber<unknown, unknown>) => boolean
}

/** Whether the events of a call that goes well are told to anybody: for nobody, none are made. */
export const isToldRoutine = (log: Log, fiber: Fiber.Fiber<unknown, unknown>): boolean => log[routine]?.(fiber) ?? true
