/** Asks for an answer that follows a schema. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type ClaudeError, InvalidRequest } from "../ClaudeError.ts"
import { copy } from "../history.ts"
import type { Options, Params, Prompt, Reply } from "../Message.ts"
import * as Output from "../output/codec.ts"
import { decode } from "../output/decode.ts"
import { type Amend, questionKey } from "../request/build.ts"
import { collect, type Service } from "./collect.ts"

/** Asks for a value and decodes it. Each attempt may ask another model, which may need another output format. */
export const askValue = <A, RD>(
  claude: Service,
  output: Result.Result<Output.Output<A, RD>, string>,
  prompt: Prompt,
  options: Options | undefined
): Effect.Effect<A, ClaudeError, RD> => {
  if (Result.isFailure(output)) return Effect.fail(new InvalidRequest({ sent: false, detail: output.failure }))
  let { codec } = output.success.words
  let question: Params | undefined
  const amend: Amend = (params, model) => {
    const asked = Output.ask(output.success, params, model?.capabilities.structuredOutputs !== false)
    codec = asked.codec
    question = params
    return asked.params
  }
  const decodeReply = (reply: Reply) =>
    Effect.mapError(
      decode(output.success, codec, reply),
      (error) => question === undefined ? error : copy(error, { question: questionKey(question) })
    )
  return collect(claude, prompt, options, "text", decodeReply, amend)
}
