/**
 * Asks for an answer that is longer than `max_tokens`: a truncated answer is continued, and the pieces are joined. If a
 * piece is refused, the call fails as `Refused`; if a piece does not fit the end of the text, it is never joined.
 */
import { Console, Effect } from "effect"
import { Claude, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

export const report = (topic: string) =>
  Claude.message(`Write a report of about 5,000 words about ${topic}.`, { max_tokens: 4000 }).pipe(
    Policy.apply({ ...Policy.standard, truncated: { continue: 4 }, overall: "10 minutes" })
  )

export const program = Effect.gen(function*() {
  const { cost, text, usage } = yield* report("tea")
  yield* Console.log(text)
  yield* Console.log(`${usage.output_tokens} tokens in all pieces, $${cost?.dollars.toFixed(4)}`)
  return { text, tokens: usage.output_tokens }
})

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
