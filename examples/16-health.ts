/**
 * Guards around Claude, with their status at `/health` for a load balancer, a dashboard, and the engineer on call. The
 * endpoint answers 503 only if this process cannot serve: it is about to stop, no request may be sent, or most calls fail.
 * While the success rate is low or one circuit is not closed, it answers 200, with `isDegraded`.
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { CallLog, type Circuit, Guards, Monitor } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

/** The guards that all calls of this process share. */
export const guards: Guards.Guards = {
  concurrency: { max: 64, queue: 200 },
  quota: { requests: 50, inputTokens: 30_000, outputTokens: 8000, per: "1 minute" },
  circuit: {}
}

/** Receives an alert when a circuit opens, when more than 1 call in 20 fails, and when that ends. */
const pager = Layer.succeed(Monitor.Alerts, { raise: (alert) => Console.error(CallLog.record(alert)) })

export const ClaudeLive = NodeAnthropic.layerConfig().pipe(Guards.apply(guards), Layer.provide(pager))

const isShut = (circuit?: Circuit.Status) => circuit?.state === "open" || circuit?.state === "isolated"

const health = Effect.gen(function*() {
  const status = yield* Guards.status
  const { account, circuits, isDraining, successRate } = status
  const models = Object.values(circuits)
  // Only new calls clear the alert. If this 503 stops all traffic, it clears after five minutes.
  const isFailing = successRate?.low === true && successRate.rate < 0.5
  const isDown = isDraining || isFailing || isShut(account) || models.length > 0 && models.every(isShut)
  const isDegraded = isDown || models.some(({ state }) => state !== "closed") || successRate?.low === true
  return HttpServerResponse.jsonUnsafe({ ok: !isDown, isDegraded, ...status }, { status: isDown ? 503 : 200 })
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
