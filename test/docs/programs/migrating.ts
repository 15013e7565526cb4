import { Console, Effect } from "effect"
import { Claude, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

export const program = Claude.message({
  model: "claude-sonnet-5-5",
  max_tokens: 1024,
  messages: [{ role: "user", content: "Write a haiku about patience." }]
}).pipe(
  Policy.apply({ ...Policy.standard, maxRetries: 2, overall: "1 minute" }),
  Effect.tap(({ message }) => Console.log(message.content))
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
