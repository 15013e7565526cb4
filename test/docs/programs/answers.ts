import { Console, Effect, Schema } from "effect"
import { Claude, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

const Review = Schema.Struct({
  mood: Schema.Literals(["good", "bad", "mixed"]),
  summary: Schema.String
})

export const program = Claude.object(Review, "Read this review: Arrived late, but what a machine!").pipe(
  Policy.apply({ ...Policy.standard, reask: 2 }),
  Effect.tap(({ mood, summary }) => Console.log(mood, summary))
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
