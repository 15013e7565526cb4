import { Console, Effect } from "effect"
import { Claude, ClaudeError, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

export const program = Claude.text("Write a haiku about patience.").pipe(
  Policy.apply(Policy.standard),
  Effect.catchTag("Refused", () => Effect.succeed("Claude declined to answer.")),
  Effect.catchIf(ClaudeError.is, ({ _tag, message }) => Effect.succeed(`${_tag}: ${message}`)),
  Effect.tap(Console.log)
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
