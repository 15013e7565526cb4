/**
 * Replaces a hand-written `catch` with one branch for each kind of error, in which the wait grows with each attempt, and a
 * time-out of 30 seconds. Each kind counts its own retries.
 */
import { Console, Effect } from "effect"
import { Claude, Policy, Retry } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

export const waitsByKind = {
  attempt: "30 seconds",
  retry: {
    RateLimited: Retry.linear({ times: 3, base: "2 seconds" }),
    TimedOut: Retry.linear({ times: 3, base: "5 seconds" }),
    Unreachable: Retry.linear({ times: 3, base: "3 seconds" })
  }
} as const satisfies Policy.Policy

export const program = Claude.text("Write a haiku about patience.").pipe(
  Policy.apply(waitsByKind),
  Effect.tap(Console.log)
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
