/**
 * The `Claude` service: open a request, get a streamed answer or a `ClaudeError`.
 *
 * A provider implements a `Wire`; `make` adds time limits and events. Each call
 * for an answer (`text`, `object`, `stream` …) is a function over `open`, and
 * streams over HTTP even if it returns a complete answer.
 */
import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { askValue } from "./answer/askValue.ts"
import * as Attempt from "./answer/attempt.ts"
import { collect } from "./answer/collect.ts"
import { withoutQuotes } from "./answer/quoted.ts"
import * as AnswerStream from "./answer/stream.ts"
import * as Unstreamed from "./answer/unstreamed.ts"
import * as AnswerStore from "./answerStore.ts"
import type { Budget } from "./budget.ts"
import type { ClaudeError } from "./ClaudeError.ts"
import * as Current from "./Current.ts"
import * as LogPlacement from "./logPlacement.ts"
import type * as Message from "./Message.ts"
import type { Options, Prompt } from "./Message.ts"
import { makeCatalogue } from "./models/initial.ts"
import * as Output from "./output/codec.ts"
import * as Tools from "./output/toolInput.ts"
import { countable, toolsOf, toRequest } from "./request/build.ts"
import * as Runtime from "./runtime.ts"
import { traced } from "./traced.ts"

export type { Budget, Charge } from "./budget.ts"
export type { Answer, Connect, Connection, CountParams, Form, Opened, Options, Prompt, WireItem } from "./Message.ts"
export type { Runtime } from "./runtime.ts"

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/** The operations that a provider implements. */
export interface Wire {
  readonly open: Message.Connect
  /** Counts the input tokens of a request without running it. */
  readonly countTokens: (params: Message.CountParams) => Effect.Effect<number, ClaudeError>
  /** Lists all models, including retired ones. */
  readonly models: Effect.Effect<ReadonlyArray<ModelInfo>, ClaudeError>
}

/** Sends requests to Claude. */
export class Claude extends Context.Service<Claude, {
  /**
   * Sends a request, and succeeds when the first content of the answer arrives, or the end of an empty answer. The
   * answer can be read until the scope closes. Close the scope with the exit of the effect that reads the answer,
   * because guards learn from that exit whether the attempt failed. `Claude.open`, `Claude.text` … do so.
   */
  readonly open: (request: Message.Request) => Effect.Effect<Message.Opened, ClaudeError, Scope.Scope>
  readonly countTokens: (params: Message.CountParams) => Effect.Effect<number, ClaudeError>
  readonly models: Effect.Effect<ReadonlyArray<ModelInfo>, ClaudeError>
  /**
   * The log, retry budget, model catalogue and answer store, as an opaque value. Pass it on when you wrap a `Claude`:
   * `{ ...claude, open }`.
   */
  readonly runtime: Runtime.Runtime
}>()("resilient-claude/Claude") {}

/** Builds a `Claude` over a wire, with the `CallLog`, the `Models.layer` and the `Fallback.Store` in context. */
export const make: (wire: Wire) => Effect.Effect<Claude["Service"]> = Effect.fnUntraced(function*(wire) {
  const log = yield* LogPlacement.capture
  const answers = yield* AnswerStore.capture
  const catalogue = yield* makeCatalogue
  return Claude.of({
    open: Attempt.open(wire.open, { log, catalogue }),
    countTokens: (params) =>
      Effect.mapError(
        Unstreamed.limited(wire.countTokens(params), params.model),
        (error) => withoutQuotes(error, params.system, params.messages)
      ),
    models: Unstreamed.limited(wire.models),
    runtime: Runtime.make({ log, budget: unlimited, answers, catalogue, draining: Deferred.makeUnsafe() })
  })
})

/** For a wire of your own or of a test. `NodeAnthropic.layer` and `Anthropic.layer` reach the API. */
export const layer = (wire: Wire): Layer.Layer<Claude> => Layer.effect(Claude, make(wire))

/** Without guards there is no retry budget: only the policy of a call limits its retries. */
const unlimited: Budget = { charge: () => Effect.succeed({ settle: () => Effect.void }) }

// -----------------------------------------------------------------------------
// Collected answers
// -----------------------------------------------------------------------------

/** Asks for a complete answer. Decodes the input of tools made with `Tool.make`, or fails with `MalformedOutput`. */
export const message: (
  prompt: Prompt,
  options?: Options
) => Effect.Effect<Message.Reply, ClaudeError, Claude> = (prompt, options) =>
  Effect.flatMap(
    Claude,
    (claude) => collect(claude, prompt, options, "content", (reply) => Tools.decode(toolsOf(prompt, options), reply))
  ).pipe(traced("Claude.message"))

/** Asks for text. An answer without text fails with `EmptyAnswer`. */
export const text: (
  prompt: Prompt,
  options?: Options
) => Effect.Effect<string, ClaudeError, Claude> = (prompt, options) =>
  Effect.flatMap(Claude, (claude) => collect(claude, prompt, options, "text", textOf)).pipe(traced("Claude.text"))

/**
 * Asks for a value described by a schema. If the answer does not decode, fails with `MalformedOutput`, which has every
 * issue and its path. `Claude.formOf` says how the value is requested; `form: "prompt"` requests it by an instruction in
 * the prompt. If the API refuses the schema, this call asks again by an instruction. Unless the API refuses that
 * request for the same reason, later calls with the same schema and model use the instruction from the start.
 *
 * A fake of the API must answer in the form that the API enforces. With the form `"schema"`, a record is a list of pairs,
 * and a pair or a tuple is an object with numeric keys: `{ "0": key, "1": value }`.
 */
export const object: <A, I, RD = never>(
  schema: Schema.ConstraintCodec<A, I, RD>,
  prompt: Prompt,
  options?: Options & { readonly form?: "prompt" | undefined }
) => Effect.Effect<A, ClaudeError, Claude | RD> = (schema, prompt, { form, ...options } = {}) =>
  traced("Claude.object")(value(() => Output.of(schema), prompt, options, form))

/** Asks for one of the choices. A fake of the API must answer `{ choice: "…" }`. */
export const choice: <const C extends ReadonlyArray<string>>(
  choices: C,
  prompt: Prompt,
  options?: Options
) => Effect.Effect<C[number], ClaudeError, Claude> = (choices, prompt, options) =>
  value(() => Output.choice(choices), prompt, options).pipe(
    Effect.map(({ choice }) => choice),
    traced("Claude.choice")
  )

/** Asks for JSON of any shape, by an instruction in the prompt. If you know the shape, use `Claude.object`. */
export const json: (
  prompt: Prompt,
  options?: Options
) => Effect.Effect<Schema.Json, ClaudeError, Claude> = (prompt, options) =>
  traced("Claude.json")(value(() => Output.json, prompt, options))

/**
 * How `Claude.object` asks for a value of this schema. `"schema"`: the API enforces the schema, on models with
 * structured outputs. `"prompt"`: an instruction in the last user message, for a schema that is recursive, has a part
 * of any type (`Schema.Unknown`), or has more than 16 unions and optional fields together. `"unsupported"`: the schema
 * has no JSON form.
 */
export const formOf = <A, I, RD>(schema: Schema.ConstraintCodec<A, I, RD>): Message.Form =>
  Output.formOf(Output.of(schema))

/** Counts the input tokens a request would use. */
export const countTokens: (
  prompt: Prompt,
  options?: Options
) => Effect.Effect<number, ClaudeError, Claude> = (prompt, options) =>
  Effect.flatMap(
    Claude,
    (claude) =>
      Effect.flatMap(
        toRequest(claude, prompt, options),
        ({ request: { params } }) => claude.countTokens(countable(params))
      )
  )

// -----------------------------------------------------------------------------
// Streamed answers
// -----------------------------------------------------------------------------

/**
 * Asks, and succeeds as soon as the answer begins. Read its `text` or `events`; `reply` is the complete answer.
 *
 * ```ts
 * const answer = yield* Claude.open(prompt)
 * yield* Stream.runForEach(answer.text, print)
 * const { usage } = yield* answer.reply
 * ```
 *
 * Retries apply only until the answer begins. If the stream breaks later, the
 * `onBreak` of the policy decides whether to fail, restart or resume.
 */
export const open: (
  prompt: Prompt,
  options?: Options
) => Effect.Effect<Message.Answer, ClaudeError, Claude | Scope.Scope> = (prompt, options) =>
  traced("Claude.open")(begin(prompt, options))

/** Asks, and streams the events of the answer. */
export const events: (
  prompt: Prompt,
  options?: Options
) => Stream.Stream<Message.Event, ClaudeError, Claude> = (prompt, options) =>
  Stream.unwrap(Effect.map(open(prompt, options), ({ events }) => events))

/**
 * Asks, and streams the text in chunks. With `onBreak: "restart"`, a broken stream fails, because a stream of text cannot
 * tell its reader to discard the text before the restart.
 */
export const stream: (
  prompt: Prompt,
  options?: Options
) => Stream.Stream<string, ClaudeError, Claude> = (prompt, options) =>
  Stream.unwrap(Effect.map(traced("Claude.stream")(begin(prompt, options)), ({ text }) => text))

// -----------------------------------------------------------------------------
// Combinators
// -----------------------------------------------------------------------------

/** Sets the model of all calls inside `self` that do not name one. */
export const withModel: {
  (model: Current.ModelId): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, model: Current.ModelId): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, model: Current.ModelId): Effect.Effect<A, E, R> =>
    Effect.provideService(self, Current.Model, model)
)

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const textOf = ({ text }: Message.Reply): Effect.Effect<string> => Effect.succeed(text)

/** `output` is a function, so that the schema is compiled when the call runs. */
const value = <A, RD>(
  output: () => Result.Result<Output.Output<A, RD>, string>,
  prompt: Prompt,
  options: Options | undefined,
  form?: "prompt"
): Effect.Effect<A, ClaudeError, Claude | RD> =>
  Effect.flatMap(Claude, (claude) => askValue(claude, output(), prompt, options, form))

const begin = Effect.fnUntraced(function*(prompt: Prompt, options: Options | undefined) {
  const claude = yield* Claude
  return yield* AnswerStream.open({
    send: (request) => claude.open(request),
    toRequest: (rest) => toRequest(claude, prompt, options, undefined, rest),
    log: LogPlacement.bind(Runtime.of(claude).log, yield* Effect.context<never>())
  })
})
