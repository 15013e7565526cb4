/** What the strategies of rivals are made of. */
import { Effect } from "effect"
import { hasProperty } from "effect/Predicate"
import type { Simulator } from "../../src/testing/index.ts"
import type { Column } from "../scenarios.ts"

/** A rival, as a column of the table. */
export type Rival = Simulator.Rival & { readonly name: Column }
/** One request. */
export type Sending = Effect.Effect<Simulator.Sent, Simulator.Failure>

/** One attempt, whatever is around it. */
export type Send = Effect.Effect<Simulator.Sent, unknown>

/** Asks the first model under a strategy, then each fallback once. */
export const withFallbacks = (call: Simulator.Call, strategy: (send: Sending) => Effect.Effect<unknown, unknown>) =>
  call.fallbacks.reduce(
    (before, model) => Effect.catch(before, () => call.send(model)),
    strategy(call.send())
  )

/** Sends again after each wait, while the error is worth it. `wait` gives milliseconds, or nothing to give up. */
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

/** Whether a plain request failed, and nothing around it. */
export const isFailure = (error: unknown): error is Simulator.Failure =>
  hasProperty(error, "kind") && hasProperty(error, "retryAfter")
