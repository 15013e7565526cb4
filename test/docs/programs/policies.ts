import { Console, Effect } from "effect"
import { Claude, Policy, Retry } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

export const patient = {
  ...Policy.standard,
  retry: { ...Retry.standard, RateLimited: Retry.backoff({ times: 12, base: "5 seconds", cap: "1 minute" }) },
  maxRetries: 12,
  overall: "10 minutes"
} as const satisfies Policy.Policy

export const program = Claude.text("Write a haiku about patience.").pipe(
  Policy.apply(patient),
  Effect.tap(Console.log)
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
