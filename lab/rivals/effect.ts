/** Effect's own `HttpClient`, which sends its requests to the simulator. */
import { Context, Effect, Layer, Schedule } from "effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as RateLimiter from "effect/persistence/RateLimiter"
import type { Entry } from "../scenarios.ts"
import { type Rival, type Sending as Send, withFallbacks } from "./strategy.ts"

/** The simulated request of the current call. The transport below sends it. */
const Sending = Context.Reference<Send>("lab/Sending", {
  defaultValue: () => Effect.die("there is no call")
})

/** A transport for `HttpClient` that sends the simulated request of the current call, and returns its response. */
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
 * Adds to a client `filterStatusOk`, and `retryTransient` with 3 jittered retries after 1, 2 and 4 s. A 529 is passed as
 * transient, because Effect's own list lacks it. If the account has limits, adds `withRateLimiter` with a token bucket
 * that holds one second of requests.
 */
export const resilient = (
  client: HttpClient.HttpClient,
  { quota }: Entry
): (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<HttpClientResponse.HttpClientResponse, unknown> =>
  quota?.requests === undefined
    ? retried(client).execute
    : retried(HttpClient.withRateLimiter(client, {
      limiter: makeLimiter(),
      key: "claude",
      algorithm: "token-bucket",
      limit: quota.requests / 60,
      window: "1 second"
    })).execute

const retried = <E>(client: HttpClient.HttpClient.With<E>) =>
  client.pipe(
    HttpClient.filterStatusOk,
    HttpClient.retryTransient({
      times: 3,
      schedule: Schedule.jittered(Schedule.exponential("1 second")),
      while: isOverloaded
    })
  )

/** The client on the simulated transport, as a strategy. */
export const effect = (entry: Entry): Rival => ({
  name: "effect",
  strategy: () => {
    const execute = resilient(transport, entry)(HttpClientRequest.post("https://api.anthropic.com/v1/messages"))
    return (call) => withFallbacks(call, (send) => Effect.provideService(execute, Sending, send))
  }
})

const makeLimiter = (): RateLimiter.RateLimiter =>
  Context.get(
    Effect.runSync(Effect.scoped(Layer.build(Layer.provide(RateLimiter.layer, RateLimiter.layerStoreMemory)))),
    RateLimiter.RateLimiter
  )
