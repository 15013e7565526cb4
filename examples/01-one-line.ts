/** The smallest program: asks a question and prints the answer. `Policy.standard` adds retries and time limits. */
import { Console, Effect } from "effect"
import { Claude, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

export const program = Claude.text("Write a haiku about patience.").pipe(
  Policy.apply(Policy.standard),
  Effect.tap(Console.log)
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
