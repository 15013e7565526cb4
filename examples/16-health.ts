/**
 * Guards around Claude, and what they see behind `/health`: for a load balancer, a dashboard, and whoever is called at
 * night. It says 503 while too many calls fail, or nothing may be sent.
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { Guards, Monitor } from "../src/index.ts"
import * as NodeAnthropic from "../src/NodeAnthropic.ts"

/** What the calls of this process share. */
export const guards: Guards.Guards = {
  concurrency: { max: 64, queue: 200 },
  quota: { requests: 50, inputTokens: 30_000, outputTokens: 8000, per: "1 minute" },
  circuit: { openFor: "30 seconds" }
}

/** Who is told when more than one call in twenty fails, and when that is over. */
const pager = Layer.succeed(Monitor.Alerts, {
  raise: ({ _tag, causes, rate }) => Console.error(`${_tag}: ${Math.round(rate * 100)}% of calls succeed`, causes)
})

export const ClaudeLive = NodeAnthropic.layer.pipe(Guards.apply(guards), Layer.provide(pager))

const health = Effect.gen(function*() {
  const status = yield* Guards.status
  const { account, successRate } = status
  // Both end by calls alone: who is sent none, because of this, must be well again after a while.
  const fails = successRate?.low === true && successRate.calls > 0
  const isShut = account?.state === "open" || account?.state === "isolated"
  const ok = !fails && !isShut
  return HttpServerResponse.jsonUnsafe({ ok, ...status }, { status: ok ? 200 : 503 })
})

/** Serves until it is interrupted. */
export const program = Layer.launch(HttpRouter.serve(HttpRouter.add("GET", "/health", health)))

if (import.meta.main) {
  const server = NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 3001 })
  program.pipe(
    Effect.provide([server, ClaudeLive]),
    Effect.tapError((error) => Console.error(`The server cannot start: ${error.message.replaceAll(/\s+/g, " ")}`)),
    NodeRuntime.runMain({ disableErrorReporting: true })
  )
}
