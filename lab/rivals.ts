/**
 * Other libraries as strategies of the simulator, with rules and numbers from their sources. Only Effect's `HttpClient`
 * runs its own code.
 *
 * Except for cockatiel's time-out, none of them limits how long an answer may be silent: a call ends when its caller
 * loses patience.
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
 * `@anthropic-ai/sdk` 1.12, `src/client.ts`: `maxRetries` is 2. It retries connection errors, the statuses 408, 409, 429
 * and 5xx, and whatever `x-should-retry` marks. It waits for `retry-after`, or else 0.5 s, doubled up to 8 s, minus up to
 * a quarter at random. It does not retry a body that breaks off or is not a message.
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
 * `p-retry` 9 around the SDK, whose own retries are off: 4 retries, `minTimeout` 1 s, `maxTimeout` 8 s, `randomize`. The
 * wait, from `calculateDelay` in `index.js`: `min(maxTimeout, random in [1, 2) * minTimeout * 2 ** retry)`. It ignores
 * `retry-after`, and retries every error except a `TypeError` with another cause than the network. An HTML page with
 * status 200, read as a message, causes such an error. With fallback models there are 2 retries, as in the measurement
 * over sockets.
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

export const rivals = (entry: Entry): ReadonlyArray<Rival> => [sdk, pRetry, cockatiel(entry), effect(entry)]
