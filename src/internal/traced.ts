/** Spans, where somebody looks at them. */
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"

/** A span named `name`, if a tracer is installed: for nobody it would cost more than the rest of a call's policies. */
export const traced = (name: string) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => fiber.context.mapUnsafe.has(Tracer.Tracer.key) ? Effect.withSpan(self, name) : self)
