import { Effect, Stream } from "effect"
import { Claude, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

const print = (text: string) => Effect.sync(() => void process.stdout.write(text))

export const program = Claude.stream("Tell me a story.").pipe(
  Policy.applyStream(Policy.standard),
  Stream.runForEach(print)
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
