import { NodeFileSystem } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { CallLog, Claude, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

/** Writes each event to the Logger, and to a file as one line of JSON. */
export const log = CallLog.combine(CallLog.layer, CallLog.layerJsonLines("claude.log.jsonl"))

export const program = Claude.text("Write a haiku about patience.").pipe(
  Policy.apply(Policy.standard),
  Effect.tap(Console.log)
)

if (import.meta.main) {
  const ClaudeLive = NodeAnthropic.layerConfig().pipe(Layer.provide(log), Layer.provide(NodeFileSystem.layer))
  await Effect.runPromise(program.pipe(Effect.provide(ClaudeLive)))
}
