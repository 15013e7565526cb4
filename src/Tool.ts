/**
 * Tools whose input is decoded with a schema.
 *
 * A tool is the SDK's parameter plus a schema, with which `Claude.message`
 * decodes the input. If the input does not match, the call fails with
 * `MalformedOutput`. A streamed answer has the raw input, which `uses` decodes.
 */
import type { Tool as SdkTool } from "@anthropic-ai/sdk/resources/messages"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { MalformedOutput } from "./ClaudeError.ts"
import type { Reply } from "./Message.ts"
import * as Refuse from "./options.ts"
import * as Output from "./output/codec.ts"
import * as Tools from "./output/toolInput.ts"
import { combinedBy, oddProperty } from "./request/rules/tools.ts"

/** A tool whose input is an `A`. */
export interface Tool<A> extends SdkTool {
  /**
   * The uses of this tool that Claude requests, with decoded input. The effect cannot fail for a reply of
   * `Claude.message` with this tool. It can fail for a streamed reply, and for a reply to a tool of the same name with
   * another schema.
   */
  readonly uses: (reply: Reply) => Effect.Effect<ReadonlyArray<Use<A>>, MalformedOutput>
}

/** One use of a tool. Send the result back with the same `id`. */
export interface Use<A> {
  readonly id: string
  readonly input: A
}

/** All fields except `input`, such as `description`, are sent to the API unchanged. */
export interface Options<A, I> extends Omit<SdkTool, "name" | "input_schema"> {
  readonly input: Schema.ConstraintCodec<A, I>
}

/** Throws a `RangeError` if the input is not an object, or if the API would refuse the schema. */
export const make = <A, I>(name: string, { input, ...options }: Options<A, I>): Tool<A> => {
  const output = Result.getOrElse(
    Output.of(input),
    (why) => Refuse.refuse(`Tool ${name}: ${why}`)
  )
  if (options.strict === true && Result.isFailure(output.strict)) {
    Refuse.refuse(`Tool ${name} is strict, but ${output.strict.failure}: remove strict, or change the schema`)
  }
  // Without `strict`, the API does not enforce the schema, so the schema needs no form that the API can enforce.
  const { codec, jsonSchema } = options.strict === true
    ? Result.getOrElse(output.strict, () => output.words)
    : output.words
  if (jsonSchema["type"] !== "object") {
    return Refuse.refuse(`The input of tool ${name} must be an object: wrap its schema in a Schema.Struct`)
  }
  const combined = combinedBy(jsonSchema)
  if (combined !== undefined) {
    return Refuse.refuse(
      `The API refuses ${combined} at the root of the input of tool ${name}: wrap its schema in a Schema.Struct`
    )
  }
  const odd = oddProperty(jsonSchema)
  if (odd !== undefined) {
    return Refuse.refuse(
      `The API refuses the property ${JSON.stringify(odd)} of tool ${name}: `
        + `use 1 to 64 letters, digits, "_", "." and "-", for example with Schema.encodeKeys`
    )
  }
  const tool = {
    ...options,
    name,
    input_schema: { ...jsonSchema, type: "object" as const },
    [Tools.codec]: codec,
    uses: (reply: Reply) =>
      Effect.forEach(
        Tools.raw(reply).filter((use) => use.name === name),
        (use) => Effect.map(Tools.decodeUse(codec, use, reply), ({ id, input }) => ({ id, input }))
      )
  }
  return tool
}
