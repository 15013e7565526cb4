/**
 * What others do, as strategies: rules and numbers from their sources. Effect's HttpClient runs itself.
 *
 * None of them has a limit on silence, but cockatiel's time-out; the caller's patience ends them all.
 */
import { Effect, Random } from "effect"
import type { Simulator } from "../src/testing/index.ts"
import { cockatiel } from "./rivals/cockatiel.ts"
import { effect } from "./rivals/effect.ts"
import { isFailure, retrying, type Rival, withFallbacks } from "./rivals/strategy.ts"
import type { Entry } from "./scenarios.ts"

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
 * `p-retry` 9 around the SDK without retries: 4 retries, `minTimeout` 1 s, `maxTimeout` 8 s, `randomize`. `index.js`,
 * `calculateDelay`: `min(maxTimeout, random in [1, 2) * minTimeout * 2 ** retry)`. It reads no `retry-after`, and retries every
 * error but a `TypeError` that no network caused. The text of a page with status 200, read as a message, is such an error. Two
 * retries where another model can answer, as in the measurement.
 */
export const pRetry: Rival = {
  name: "p-retry",
  strategy: () => (call) =>
    withFallbacks(
      call,
      (send) =>
        retrying(send, (retry, error) =>
          Effect.map(Random.next, (random) =>
            !isPage(error) && retry < (call.fallbacks.length > 0 ? 2 : 4)
              ? Math.min(8000, Math.round((1 + random) * 1000 * 2 ** retry))
              : undefined))
    )
}

const isPage = (error: unknown): boolean => isFailure(error) && error.kind === "notAMessage"

// -----------------------------------------------------------------------------
// All
// -----------------------------------------------------------------------------

/** All of them. */
export const rivals = (entry: Entry): ReadonlyArray<Rival> => [sdk, pRetry, cockatiel(entry), effect(entry)]
