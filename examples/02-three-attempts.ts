/**
 * Replaces a hand-written loop of three attempts, which retries rate limits and server errors after one second, then two,
 * plus up to one second of jitter, and throws every other error at once.
 */
import { Console, Effect } from "effect"
import { Claude, Policy, Retry } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

const doubling = Retry.backoff({ times: 2, base: "1 second", jitter: "additive" })

export const threeAttempts = {
  retry: { RateLimited: doubling, ServerFault: doubling, Overloaded: doubling },
  maxRetries: 2
} as const satisfies Policy.Policy

export const program = Claude.text("Write a haiku about patience.").pipe(
  Policy.apply(threeAttempts),
  Effect.tap(Console.log)
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
