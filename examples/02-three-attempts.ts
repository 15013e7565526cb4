/**
 * By hand: a loop of three attempts that catches rate limits and server errors, waits one second, then two, plus up to
 * one second of chance, and raises everything else at once. As a value:
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
