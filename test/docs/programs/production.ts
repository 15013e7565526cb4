import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { CallLog, Claude, Guards, Monitor, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

/** Applies to each call on its own. */
export const policy = {
  ...Policy.standard,
  overall: "30 seconds",
  models: ["claude-haiku-5-5"]
} as const satisfies Policy.Policy

/** Applies to all calls together. */
export const guards: Guards.Guards = { concurrency: { max: 64, queue: 200 }, circuit: {} }

const Pager = Layer.succeed(Monitor.Alerts, { raise: (alert) => Effect.logFatal(CallLog.record(alert)) })

export const ClaudeLive = NodeAnthropic.layerConfig().pipe(
  Guards.apply(guards),
  Layer.provide([Pager, CallLog.layer])
)

const summarize = Effect.gen(function*() {
  const request = yield* HttpServerRequest.HttpServerRequest
  const article = yield* request.text
  const outcome = yield* Claude.text(`Summarize in one sentence:\n${article}`, { max_tokens: 500 }).pipe(
    Policy.apply(policy),
    Policy.outcome
  )
  return outcome.status === "success"
    ? HttpServerResponse.text(outcome.data)
    : HttpServerResponse.text("There is no summary.", { status: outcome.retryable ? 503 : 500 })
})

const Routes = HttpRouter.serve(HttpRouter.add("POST", "/summaries", summarize))

/** This layer is built after the routes and closed before them, so calls end before the server stops. */
const Drain = Layer.effectDiscard(Effect.addFinalizer(() => Guards.drain("20 seconds")))

export const program = Layer.launch(Layer.provide(Drain, Routes))

if (import.meta.main) {
  const server = NodeHttpServer.layer(createServer, { port: 3000, gracefulShutdownTimeout: "5 seconds" })
  NodeRuntime.runMain(program.pipe(Effect.provide([server, ClaudeLive])))
}
