/** Gives Claude a tool: Claude calls it with an input that the schema decodes, and gets the result in a second request. */
import { Console, Effect, Schema } from "effect"
import { Claude, Policy, Tool } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

class Shirt extends Schema.Class<Shirt>("Shirt")({
  color: Schema.String,
  size: Schema.Literals(["S", "M", "L"])
}) {}

const stock = Tool.make("stock", { description: "Says how many shirts of a kind are in stock.", input: Shirt })

/** The application's own function. Its input was decoded by the schema of the tool. */
const count = ({ color, size }: Shirt) => Effect.succeed(color === "blue" && size === "M" ? 4 : 0)

const ask = (prompt: Claude.Prompt) => Claude.message(prompt, { tools: [stock] }).pipe(Policy.apply(Policy.standard))

export const program = Effect.gen(function*() {
  const question = { role: "user", content: "Do you have this shirt in blue? I wear M." } as const
  const reply = yield* ask([question])
  const results = yield* Effect.forEach(
    yield* stock.uses(reply),
    ({ id, input }) =>
      Effect.map(count(input), (left) => ({ type: "tool_result", tool_use_id: id, content: `${left} left` } as const))
  )
  // Claude may answer without the tool.
  const { text } = results.length === 0
    ? reply
    : yield* ask([question, { role: "assistant", content: reply.message.content }, { role: "user", content: results }])
  yield* Console.log(text)
  return text
})

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
