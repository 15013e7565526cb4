/**
 * What others do, as strategies: rules and numbers from their sources. Effect's HttpClient runs itself.
 *
 * None of them has a limit on silence, but cockatiel's time-out; the caller's patience ends them all.
 */
import { Cause, Clock, Context, Deferred, Effect, Exit, Layer, Random, Schedule, Semaphore } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as RateLimiter from "effect/persistence/RateLimiter"
import { hasProperty } from "effect/Predicate"
import type { Simulator } from "../src/testing/index.ts"
import type { Column, Entry } from "./scenarios.ts"

type Rival = Simulator.Rival & { readonly name: Column }
type Sending = Effect.Effect<Simulator.Sent, Simulator.Failure>

/** One attempt, whatever is around it. */
type Send = Effect.Effect<Simulator.Sent, unknown>

/** Asks the first model under a strategy, then each fallback once. */
const withFallbacks = (call: Simulator.Call, strategy: (send: Sending) => Effect.Effect<unknown, unknown>) =>
  call.fallbacks.reduce(
    (before, model) => Effect.catch(before, () => call.send(model)),
    strategy(call.send())
  )

/** Sends again after each wait, while the error is worth it. `wait` gives milliseconds, or nothing to give up. */
const retrying = (send: Send, wait: (retry: number, error: unknown) => Effect.Effect<number | undefined>) => {
  const attempt = (retry: number): Send =>
    Effect.catch(
      send,
      (error) =>
        Effect.flatMap(wait(retry, error), (millis) =>
          millis === undefined ? Effect.fail(error) : Effect.andThen(Effect.sleep(millis), attempt(retry + 1)))
    )
  return attempt(0)
}

const isFailure = (error: unknown): error is Simulator.Failure =>
  hasProperty(error, "kind") && hasProperty(error, "retryAfter")

// -----------------------------------------------------------------------------
// The SDK alone
// -----------------------------------------------------------------------------

/**
 * `@anthropic-ai/sdk` 1.12, `src/client.ts`: `maxRetries` 2; retries 408, 409, 429, 5xx and connection errors, as
 * `x-should-retry` says; waits for `retry-after`, else 0.5 s doubled up to 8 s, less up to a quarter. A body that breaks, or is
 * not a message, is not retried.
 */
export const sdk: Rival = {
  name: "sdk",
  strategy: () => (call) =>
    withFallbacks(call, (send) =>
      retrying(send, (retry, error) =>
        Effect.map(Random.next, (random) => {
          if (!isFailure(error) || retry >= 2 || !isRetriedBySdk(error)) return undefined
          const { retryAfter } = error
          return retryAfter !== undefined && retryAfter > 0
            ? retryAfter * 1000
            : Math.min(0.5 * 2 ** retry, 8) * (1 - random * 0.25) * 1000
        })))
}

const isRetriedBySdk = ({ headers, kind, status = 0 }: Simulator.Failure): boolean =>
  kind === "reset" || kind === "status" &&
    (headers["x-should-retry"] === "true" || [408, 409, 429].includes(status) || status >= 500)

// -----------------------------------------------------------------------------
// p-retry
// -----------------------------------------------------------------------------

/**
 * `p-retry` 7 around the SDK without retries: 4 retries, `minTimeout` 1 s, `maxTimeout` 8 s, `randomize`. `index.js`,
 * `calculateDelay`: `min(maxTimeout, random in [1, 2) * minTimeout * 2 ** retry)`. It retries every error and reads no
 * `retry-after`. Two retries where another model can answer, as in the measurement.
 */
export const pRetry: Rival = {
  name: "p-retry",
  strategy: () => (call) =>
    withFallbacks(
      call,
      (send) =>
        retrying(send, (retry) =>
          Effect.map(Random.next, (random) =>
            retry < (call.fallbacks.length > 0 ? 2 : 4)
              ? Math.min(8000, Math.round((1 + random) * 1000 * 2 ** retry))
              : undefined))
    )
}

// -----------------------------------------------------------------------------
// cockatiel
// -----------------------------------------------------------------------------

/**
 * `cockatiel` 4.0: `wrap(retry, circuitBreaker, bulkhead, timeout)`. Retry: 4 retries, `ExponentialBackoff` with
 * `initialDelay` 1 s and `maxDelay` 8 s, whose generator is Polly's decorrelated jitter (`src/backoff/ExponentialBackoffGenerators.ts`).
 * Breaker: `ConsecutiveBreaker(5)`, half-open after 10 s with one probe, for which all others wait. Bulkhead: 64, queue 200.
 */
export const cockatiel: Rival = {
  name: "cockatiel",
  strategy: ({ silence = "8 seconds" }) => {
    const breakers = new Map<string, Breaker>()
    const bulkhead = makeBulkhead(64, 200)
    return (call) =>
      withFallbacks(call, (send) => {
        const breaker = breakers.get(call.model) ?? makeBreaker()
        breakers.set(call.model, breaker)
        const limited = Effect.timeoutOrElse(send, {
          duration: silence,
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
}

type Breaker = (self: Send) => Send

type Circuit =
  | { readonly state: "closed" }
  | { readonly state: "open"; readonly since: number }
  | { readonly state: "half-open"; readonly probe: Deferred.Deferred<void> }

/** `src/CircuitBreakerPolicy.ts` and `src/breaker/ConsecutiveBreaker.ts`. */
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
        // Also what began before the circuit opened opens one that is probed.
        if (opens(++failures) && circuit.state !== "open") circuit = { state: "open", since: now }
      } else if (isProbe && circuit.state === "half-open") {
        circuit = { state: "closed" }
      }
    })
  return execute
}

/** 5xx, resets, time-outs, broken streams and pages; no 4xx. */
const isUnwell = (error: unknown): boolean =>
  hasProperty(error, "kind") && error.kind !== "bulkhead" &&
  !(isFailure(error) && error.kind === "status" && (error.status ?? 0) < 500)

/** `src/BulkheadPolicy.ts`: who finds the queue full is rejected. */
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

// -----------------------------------------------------------------------------
// Effect
// -----------------------------------------------------------------------------

/** The request that the client sends for the call that runs. */
const Sending = Context.Reference<Sending>("lab/Sending", {
  defaultValue: () => Effect.die("there is no call")
})

/** A transport of `HttpClient` that sends what the call that runs sends. */
const transport = HttpClient.make((request, _url, _signal, fiber) => {
  const respond = (status: number, headers: Readonly<Record<string, string>>) =>
    HttpClientResponse.fromWeb(request, new Response(null, { status: Math.min(status, 599), headers }))
  return Effect.matchEffect(fiber.getRef(Sending), {
    onSuccess: ({ headers, status }) => Effect.succeed(respond(status, headers)),
    onFailure: ({ headers, kind, status }) =>
      kind === "status" && status !== undefined
        ? Effect.succeed(respond(status, headers))
        : Effect.fail(
          new HttpClientError.HttpClientError({
            reason: kind === "reset"
              ? new HttpClientError.TransportError({ request, cause: kind })
              : new HttpClientError.DecodeError({ request, response: respond(status ?? 200, headers), cause: kind })
          })
        )
  })
})

const isOverloaded = (error: unknown): boolean =>
  HttpClientError.isHttpClientError(error) && error.response?.status === 529

/**
 * `effect/http/HttpClient` itself: `filterStatusOk`, `retryTransient` with 3 retries of 1 s doubled and jittered, told that a
 * 529 is transient too (it is not in its list), and, where the account has limits, `withRateLimiter` with a token bucket of
 * a second.
 */
export const effect = ({ quota }: Entry): Rival => ({
  name: "effect",
  strategy: () => {
    const retried = <E>(client: HttpClient.HttpClient.With<E>) =>
      client.pipe(
        HttpClient.filterStatusOk,
        HttpClient.retryTransient({
          times: 3,
          schedule: Schedule.jittered(Schedule.exponential("1 second")),
          while: isOverloaded
        })
      )
    const request = HttpClientRequest.post("https://api.anthropic.com/v1/messages")
    const execute: Effect.Effect<unknown, unknown> = quota?.requests === undefined
      ? retried(transport).execute(request)
      : retried(HttpClient.withRateLimiter(transport, {
        limiter: makeLimiter(),
        key: "claude",
        algorithm: "token-bucket",
        limit: quota.requests / 60,
        window: "1 second"
      })).execute(request)
    return (call) => withFallbacks(call, (send) => Effect.provideService(execute, Sending, send))
  }
})

const makeLimiter = (): RateLimiter.RateLimiter =>
  Context.get(
    Effect.runSync(Effect.scoped(Layer.build(Layer.provide(RateLimiter.layer, RateLimiter.layerStoreMemory)))),
    RateLimiter.RateLimiter
  )

/** All of them. */
export const rivals = (entry: Entry): ReadonlyArray<Rival> => [sdk, pRetry, cockatiel, effect(entry)]
