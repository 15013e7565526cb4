/** The parts that the strategies of the rivals share. */
import { Effect } from "effect"
import { hasProperty } from "effect/Predicate"
import type { Simulator } from "../../src/testing/index.ts"
import type { Column } from "../scenarios.ts"

/** A rival, as a column of the table. */
export type Rival = Simulator.Rival & { readonly name: Column }

/** One simulated request. */
export type Sending = Effect.Effect<Simulator.Sent, Simulator.Failure>

/** One attempt: a request, possibly wrapped in a time-out, a breaker or a bulkhead, which fail with errors of their own. */
export type Send = Effect.Effect<Simulator.Sent, unknown>

/** Calls the first model with the strategy; if that fails, sends one request to each fallback in turn. */
export const withFallbacks = (call: Simulator.Call, strategy: (send: Sending) => Effect.Effect<unknown, unknown>) =>
  call.fallbacks.reduce(
    (before, model) => Effect.catch(before, () => call.send(model)),
    strategy(call.send())
  )

/** Retries after each failure. `wait` returns the milliseconds before the next attempt, or `undefined` to give up. */
export const retrying = (send: Send, wait: (retry: number, error: unknown) => Effect.Effect<number | undefined>) => {
  const attempt = (retry: number): Send =>
    Effect.catch(
      send,
      (error) =>
        Effect.flatMap(wait(retry, error), (millis) =>
          millis === undefined ? Effect.fail(error) : Effect.andThen(Effect.sleep(millis), attempt(retry + 1)))
    )
  return attempt(0)
}

/** Whether the error is that of a simulated request, and not of a time-out, breaker or bulkhead around it. */
export const isFailure = (error: unknown): error is Simulator.Failure =>
  hasProperty(error, "kind") && hasProperty(error, "retryAfter")
