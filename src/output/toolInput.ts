import type { Message, ToolUnion } from "@anthropic-ai/sdk/resources/messages"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hasProperty, isString } from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import type { MalformedOutput, WrittenUse } from "../ClaudeError.ts"
import type { Reply, ServerToolError, ToolUse } from "../Message.ts"
import * as Decode from "./decode.ts"
import { parse, type Parsed, stringify } from "./exactJson.ts"

/** The key of the input codec in a tool. JSON leaves out a symbol, so the codec is not sent. */
export const codec = Symbol("resilient-claude/Tool/codec")

export type Codec<A> = Schema.ConstraintCodec<A, unknown>

/** The tool uses that the client must answer. `written`: for each block, the text of its input, or an empty text. */
export const uses = (content: Message["content"], written: ReadonlyArray<string> = []): ReadonlyArray<ToolUse> =>
  content.every(isText)
    ? []
    : content.flatMap((block, i) => {
      if (block.type !== "tool_use") return []
      const json = written[i] ?? ""
      const use = { id: block.id, name: block.name, input: block.input }
      return [json === "" ? use : { ...use, json }]
    })

export const serverErrors = (content: Message["content"]): ReadonlyArray<ServerToolError> =>
  content.every(isText) ?
    [] :
    content.flatMap((block) =>
      hasProperty(block, "tool_use_id") && isString(block.tool_use_id) && hasProperty(block, "content") &&
        hasProperty(block.content, "error_code") && isString(block.content.error_code)
        ? [{ type: block.type, toolUseId: block.tool_use_id, errorCode: block.content.error_code }]
        : []
    )

/** A fast path: most answers have only text. */
const isText = ({ type }: Message["content"][number]): boolean => type === "text"

/** The input of a tool without a codec stays as it is. */
export const decode = (
  tools: ReadonlyArray<ToolUnion> | undefined,
  reply: Reply
): Effect.Effect<Reply, MalformedOutput> => {
  const codecs = new Map(
    (tools ?? []).flatMap((tool) =>
      hasProperty(tool, codec) && "name" in tool ? [[tool.name, tool[codec] as Codec<unknown>]] : []
    )
  )
  if (codecs.size === 0) return Effect.succeed(reply)
  return Effect.map(
    Effect.forEach(raw(reply), (use) => {
      const codec = codecs.get(use.name)
      return codec === undefined ? Effect.succeed(use) : decodeUse(codec, use, reply)
    }),
    (toolUses) => ({ ...reply, toolUses })
  )
}

/**
 * The tool uses of a reply with their input before decoding. The input in `toolUses` may be decoded, and the list may be a
 * copy. Finds a use by its position or, if the list was changed, by its id and name.
 */
export const raw = ({ message, toolUses }: Reply): ReadonlyArray<ToolUse> => {
  const written = uses(message.content)
  return toolUses.map((use, i) => {
    const isSame = ({ id, name }: ToolUse) => id === use.id && name === use.name
    const [there] = written.slice(i, i + 1).filter(isSame)
    const { json } = use
    const found = there ?? written.find(isSame) ?? use
    return json === undefined ? found : { ...found, json }
  })
}

export const decodeUse = <A>(
  codec: Codec<A>,
  use: ToolUse,
  reply: Reply
): Effect.Effect<ToolUse & { readonly input: A }, MalformedOutput> =>
  Effect.mapBoth(Decode.decodeValue(codec, parsed(use)), {
    onSuccess: (input) => ({ ...use, input }),
    onFailure: ({ issues, outline }) =>
      Decode.malformed(
        reply,
        { issues: issues.map((issue) => ({ ...issue, path: [use.name, ...issue.path] })), outline },
        {
          blocks: Redacted.make(reply.message.content),
          toolUses: Redacted.make([{ id: use.id, name: use.name, json: use.json ?? stringify(use.input) }]),
          detail: `the input of ${use.name} has ${outline}`
        }
      )
  })

/** The input with exact numbers. Falls back to `input`, because the caller may have changed the `json` of the reply. */
const parsed = ({ input, json }: ToolUse): Parsed =>
  Option.getOrElse(Option.liftThrowable(parse)(json ?? ""), () => ({ value: input }))

export const unreadable = (reply: Reply, toolUses: ReadonlyArray<WrittenUse>): MalformedOutput => {
  const outline = `the input of ${toolUses.map(({ name }) => name).join(", ")} is not a JSON object`
  const issues = toolUses.map(({ name }) => ({ path: [name], message: "the input is not a JSON object" }))
  const more = { blocks: Redacted.make(reply.message.content), toolUses: Redacted.make(toolUses) }
  return Decode.malformed(reply, { issues, outline }, more)
}
