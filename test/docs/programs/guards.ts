import { Console, Effect } from "effect"
import { Claude, Guards, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

/** Build this layer once. All calls that use it share its guards. */
export const ClaudeLive = NodeAnthropic.layerConfig().pipe(Guards.apply(Guards.standard))

export const program = Claude.text("Write a haiku about patience.").pipe(
  Policy.apply(Policy.standard),
  Effect.tap(Console.log)
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(ClaudeLive)))
