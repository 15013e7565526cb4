import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as CallContext from "../callContext.ts"
import { type ClaudeError, InvalidRequest } from "../ClaudeError.ts"
import { warn } from "../emit.ts"
import { copy } from "../history.ts"
import type { Form, Options, Params, Prompt, Reply } from "../Message.ts"
import * as Output from "../output/codec.ts"
import { decode } from "../output/decode.ts"
import { type Amend, questionKey } from "../request/build.ts"
import * as Runtime from "../runtime.ts"
import { refusesSchema } from "../wire/errorWords.ts"
import { collect, type Service } from "./collect.ts"
import type { PolicyCall } from "./continuation.ts"

/**
 * Asks for a value and decodes it. If the API refuses the schema for a model, asks again at once with the schema in the
 * prompt. Unless the API refuses this second request for the same reason, later calls to this model with the same `output`
 * have the schema in the prompt from the start.
 */
export const askValue = <A, RD>(
  claude: Service,
  output: Result.Result<Output.Output<A, RD>, string>,
  prompt: Prompt,
  options: Options | undefined,
  form: Form["form"] = "schema"
): Effect.Effect<A, ClaudeError, RD> => {
  if (Result.isFailure(output)) return Effect.fail(new InvalidRequest({ sent: false, detail: output.failure }))
  const { refusedFor, words } = output.success
  let asked: Output.Asked<A, RD> | undefined
  let question: Params | undefined
  const amend: Amend = (params, model) => {
    const able = form === "schema" && model?.capabilities.structuredOutputs !== false
    asked = Output.ask(output.success, params, able)
    question = params
    return asked.params
  }
  const decodeReply = (reply: Reply) =>
    Effect.mapError(
      decode(output.success, asked?.codec ?? words.codec, reply),
      (error) => question === undefined ? error : copy(error, { question: questionKey(question) })
    )
  const ask = collect(claude, prompt, options, "text", decodeReply, amend)
  const inWords = (refusal: InvalidRequest, model: string) => {
    refusedFor.add(model)
    const because = `the API refuses the schema, so the schema is put in the prompt instead: ${refusal.detail}`
    return warn(claude, model, "SchemaRefused", because).pipe(
      Effect.andThen(CallContext.Call),
      Effect.flatMap((call: PolicyCall | undefined) => call?.askAgain?.(refusal, ask) ?? ask),
      Effect.mapError((error) => {
        if (!isRefusal(error) || error.gaveUp === "BudgetSpent") return error
        // This request had its schema in the prompt, so another part of it is too complex, for example the strict tools.
        refusedFor.delete(model)
        return refusal
      })
    )
  }
  return Effect.catchTag(
    ask,
    "InvalidRequest",
    (error) =>
      asked?.isHeld === true && isRefusal(error) && !Runtime.isDraining(claude)
        ? inWords(error, asked.params.model)
        : Effect.fail(error)
  )
}

/** Whether the API refused the schema. An error whose `sent` is false does not come from the API. */
const isRefusal = (error: ClaudeError): boolean =>
  error._tag === "InvalidRequest" && error.sent !== false && refusesSchema(error.detail)
