/**
 * Asks for JSON of any shape or of a recursive shape, which the API cannot enforce. The shape is described in the prompt, so
 * an answer may be malformed; `reask` then asks again, with the answer and its mistakes.
 */
import { Console, Effect, Schema } from "effect"
import { Claude, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

interface Section {
  readonly title: string
  readonly parts: ReadonlyArray<Section>
}
const Section: Schema.Codec<Section> = Schema.Struct({
  title: Schema.String,
  parts: Schema.Array(Schema.suspend((): Schema.Codec<Section> => Section))
})

/** `{ form: "prompt", because: "the schema is recursive, which the API does not accept" }` */
export const form = Claude.formOf(Section)

const reasked = Policy.apply({ reask: 2, overall: "2 minutes" })

/** JSON with a recursive shape. */
export const outline = (text: string) => Claude.object(Section, `Outline this text:\n${text}`).pipe(reasked)

/** JSON of any shape. */
export const settings = (file: string) => Claude.json(`Write these settings as JSON:\n${file}`).pipe(reasked)

export const program = Effect.gen(function*() {
  const tree = yield* outline(
    "Tea. First boil water; fresh water is best. Then wait: green tea for two minutes, black for four."
  )
  const values = yield* settings("port 8080; hosts a.example, b.example; debug off")
  yield* Console.log(form)
  yield* Console.log(JSON.stringify(tree))
  yield* Console.log(JSON.stringify(values))
  return { tree, values }
})

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
