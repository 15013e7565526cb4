/** The rules of `cockatiel`, as a strategy of the simulator. */
import { Cause, Clock, Deferred, Effect, Exit, Random, Semaphore } from "effect"
import { hasProperty } from "effect/Predicate"
import type { Entry } from "../scenarios.ts"
import { isFailure, retrying, type Rival, type Send, withFallbacks } from "./strategy.ts"

/**
 * `cockatiel` 4.0: `wrap(retry, circuitBreaker, bulkhead, timeout)`. Retry: 4 retries, `ExponentialBackoff` with
 * `initialDelay` 1 s and `maxDelay` 8 s, whose generator is Polly's decorrelated jitter (`src/backoff/ExponentialBackoffGenerators.ts`).
 * Breaker: `ConsecutiveBreaker(5)`, half-open after 10 s with one probe, for which all other calls wait. Bulkhead: 64, queue
 * 200.
 */
export const cockatiel = ({ silence = "8 seconds", timeout = silence }: Entry): Rival => ({
  name: "cockatiel",
  strategy: () => {
    const breakers = new Map<string, Breaker>()
    const bulkhead = makeBulkhead(64, 200)
    return (call) =>
      withFallbacks(call, (send) => {
        const breaker = breakers.get(call.model) ?? makeBreaker()
        breakers.set(call.model, breaker)
        const limited = Effect.timeoutOrElse(send, {
          duration: timeout,
          orElse: () => Effect.fail({ kind: "timeout" } as const)
        })
        let state = { exponent: 0, previous: 0 }
        return retrying(breaker(bulkhead(limited)), (retry) =>
          Effect.map(Random.next, (random) => {
            if (retry >= 4) return undefined
            const at = state.exponent + random
            const next = 2 ** at * Math.tanh(Math.sqrt(4 * at))
            const wait = Math.min(8000, Math.max(0, next - state.previous) * (1 / 1.4) * 1000)
            state = { exponent: state.exponent + 1, previous: next }
            return wait
          }))
      })
  }
})

type Breaker = (self: Send) => Send

type Circuit =
  | { readonly state: "closed" }
  | { readonly state: "open"; readonly since: number }
  | { readonly state: "half-open"; readonly probe: Deferred.Deferred<void> }

/** As in `src/CircuitBreakerPolicy.ts` and `src/breaker/ConsecutiveBreaker.ts` of cockatiel. */
const makeBreaker = (): Breaker => {
  let circuit: Circuit = { state: "closed" }
  let failures = 0
  const execute = (self: Send): Send =>
    Effect.flatMap(Clock.currentTimeMillis, (now): Send => {
      switch (circuit.state) {
        case "closed":
          return Effect.onExit(self, (exit) => ended(exit, (count) => count >= 5))
        case "open":
          return now - circuit.since < 10_000
            ? Effect.fail({ kind: "circuitOpen" })
            : Effect.flatMap(Deferred.make<void>(), (probe) => {
              circuit = { state: "half-open", probe }
              return Effect.onExit(self, (exit) =>
                Effect.andThen(ended(exit, () => true, true), Deferred.succeed(probe, undefined)))
            })
        case "half-open":
          return Effect.andThen(Deferred.await(circuit.probe), execute(self))
      }
    })
  const ended = (exit: Exit.Exit<unknown, unknown>, opens: (failures: number) => boolean, isProbe = false) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      if (Exit.isSuccess(exit)) failures = 0
      if (Exit.isFailure(exit) && isUnwell(Cause.squash(exit.cause))) {
        // A failure opens a half-open circuit again, even if its call began before the circuit first opened.
        if (opens(++failures) && circuit.state !== "open") circuit = { state: "open", since: now }
      } else if (isProbe && circuit.state === "half-open") {
        circuit = { state: "closed" }
      }
    })
  return execute
}

/** Whether a failure counts for the breaker: any except a 4xx or a full bulkhead. */
const isUnwell = (error: unknown): boolean =>
  hasProperty(error, "kind") && error.kind !== "bulkhead" &&
  !(isFailure(error) && error.kind === "status" && (error.status ?? 0) < 500)

/** As in `src/BulkheadPolicy.ts` of cockatiel: a call that finds the queue full is rejected. */
const makeBulkhead = (max: number, queue: number) => {
  const slots = Semaphore.makeUnsafe(max)
  let inside = 0
  return (self: Send): Send =>
    Effect.suspend(() => {
      if (inside >= max + queue) return Effect.fail({ kind: "bulkhead" })
      inside++
      return Effect.ensuring(slots.withPermit(self), Effect.sync(() => void inside--))
    })
}
