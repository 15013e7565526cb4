/**
 * Tools whose input is a value of a schema.
 *
 * A tool is the SDK's own parameter, with a schema for `Claude.message` to decode
 * the input with: what does not match is `MalformedOutput`, and reaches no code
 * of the application.
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

/** A tool that takes an `A`. */
export interface Tool<A> extends SdkTool {
  /**
   * Where Claude wants this tool used. The inputs are decoded from the message of the reply, so that a copy of a reply will
   * do. Fails only where `Claude.message` would have failed: for a streamed reply, or with another schema.
   */
  readonly uses: (reply: Reply) => Effect.Effect<ReadonlyArray<Use<A>>, MalformedOutput>
}

/** One use of a tool. The result goes back under the id. */
export interface Use<A> {
  readonly id: string
  readonly input: A
}

/** What a tool is besides its name: the schema of its input, and anything else the SDK's parameter has. */
export interface Options<A, I> extends Omit<SdkTool, "name" | "input_schema"> {
  readonly input: Schema.ConstraintCodec<A, I>
}

/** Makes a tool. Throws a `RangeError` with a sentence if its input is no object, or `strict` and the API would not take it. */
export const make = <A, I>(name: string, { input, ...options }: Options<A, I>): Tool<A> => {
  const output = Result.getOrElse(
    Output.of(input),
    (why) => Refuse.refuse(`Tool ${name}: ${why}`)
  )
  if (options.strict === true && Result.isFailure(output.held)) {
    Refuse.refuse(`Tool ${name}: it is strict, but ${output.held.failure}: leave strict out, or change the schema`)
  }
  // Where the API does not hold Claude to it, the schema is sent as it is.
  const { codec, jsonSchema } = options.strict === true
    ? Result.getOrElse(output.held, () => output.words)
    : output.words
  if (jsonSchema["type"] !== "object") {
    return Refuse.refuse(`Tool ${name}: its input must be an object: put it into a Schema.Struct`)
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
