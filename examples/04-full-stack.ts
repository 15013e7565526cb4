/**
 * All parts together: requests are validated before they are sent, transient errors are retried, a malformed answer is
 * asked for again with its mistakes, a second model is the fallback, every failure is logged as JSON, and the outcome is a
 * value.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { Console, Effect, Layer, Schema } from "effect"
import { CallLog, Claude, Policy, Retry } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

class Sentiment extends Schema.Class<Sentiment>("Sentiment")({
  mood: Schema.Literals(["good", "bad", "mixed"]),
  score: Schema.Finite
}) {}

const waits = Retry.backoff({ times: 3, base: "1 second" })

export const production = {
  retry: {
    RateLimited: waits,
    Overloaded: waits,
    ServerFault: waits,
    Unreachable: waits,
    TimedOut: waits,
    PartialAnswer: waits
  },
  reask: 2,
  models: ["claude-haiku-5-5"],
  overall: "2 minutes"
} as const satisfies Policy.Policy

/** `{ status: "success", data, tokens, cost }` or `{ status: "error", error, retryable, tokens, cost }`. */
export const judge = (review: string) =>
  Claude.object(Sentiment, `How does the customer feel?\n${review}`).pipe(
    Policy.apply(production),
    Policy.outcome
  )

export const program = Effect.gen(function*() {
  const outcome = yield* judge("Arrived late, but what a machine!")
  yield* outcome.status === "success"
    ? Console.log(outcome.data, outcome.tokens)
    : Console.log(`${outcome.error._tag}, ${outcome.retryable ? "worth trying again later" : "not worth trying again"}`)
  return outcome
})

/** Logs each event to Effect's logger, and to a file as one line of JSON. */
export const log = CallLog.combine(CallLog.layer, CallLog.layerJsonLines("claude.log.jsonl"))

if (import.meta.main) {
  const live = NodeAnthropic.layerConfig().pipe(Layer.provide(log), Layer.provide(NodeFileSystem.layer))
  await Effect.runPromise(program.pipe(Effect.provide(live)))
}
