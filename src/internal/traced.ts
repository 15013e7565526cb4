/** Spans, where somebody looks at them. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/**
 * A span named `name` around what is made for a fiber, if a tracer is installed: for nobody it would cost more than the
 * rest of a call's policies.
 */
export const traced = <A, E, R>(
  name: string,
  make: (fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const self = make(fiber)
    return fiber.cache.tracer === undefined ? self : Effect.withSpan(self, name)
  })
