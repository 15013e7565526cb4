/**
 * The `Claude` service: open a request, get a streamed answer or a `ClaudeError`.
 *
 * One primitive is the whole contract. A provider is a `Wire`; `make` puts the
 * limits on it, and everything users call (`text`, `object`, `stream` …) is a
 * function over `open`. Every call streams, also those that collect.
 */
import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"
import * as Context from "effect/Context"
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
import type { Wanted } from "./answer/stopReason.ts"
import * as AnswerStream from "./answer/stream.ts"
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

/** What a provider supplies. */
export interface Wire {
  readonly open: Message.Connect
  /** Counts the input tokens of a request without running it. */
  readonly countTokens: (params: Message.CountParams) => Effect.Effect<number, ClaudeError>
  /** Lists the models, also those that are retired. */
  readonly models: Effect.Effect<ReadonlyArray<ModelInfo>, ClaudeError>
}

/** Sends requests to Claude. */
export class Claude extends Context.Service<Claude, {
  /**
   * Opens one answer: succeeds with the first content. Its scope is the answer's, and is closed with how the answer
   * ended: that is what guards learn from. `Claude.open` and all other calls see to it.
   */
  readonly open: (request: Message.Request) => Effect.Effect<Message.Opened, ClaudeError, Scope.Scope>
  readonly countTokens: (params: Message.CountParams) => Effect.Effect<number, ClaudeError>
  readonly models: Effect.Effect<ReadonlyArray<ModelInfo>, ClaudeError>
  /** What else belongs to it: log, budget, models, remembered answers. To pass on: `{ ...claude, open }`. */
  readonly runtime: Runtime.Runtime
}>()("resilient-claude/Claude") {}

/** Puts limits, accumulation, and the log, the `Models` and the `Fallback.Store` of this place on a wire. */
export const make: (wire: Wire) => Effect.Effect<Claude["Service"]> = Effect.fnUntraced(function*(wire) {
  const log = yield* LogPlacement.capture
  const answers = yield* AnswerStore.capture
  const catalogue = yield* makeCatalogue
  return Claude.of({
    open: Attempt.open(wire.open, { log, catalogue }),
    countTokens: wire.countTokens,
    models: wire.models,
    runtime: Runtime.make({ log, budget: unlimited, answers, catalogue })
  })
})

/** `Claude` over a wire. */
export const layer = (wire: Wire): Layer.Layer<Claude> => Layer.effect(Claude, make(wire))

/** Without guards a call has only its own number of retries. */
const unlimited: Budget = { charge: () => Effect.succeed({ settle: () => Effect.void }) }

// -----------------------------------------------------------------------------
// Collected answers
// -----------------------------------------------------------------------------

/** Asks, and collects the complete answer. The input of tools made with `Tool.make` is decoded. */
export const message: (
  prompt: Prompt,
  options?: Options
) => Effect.Effect<Message.Reply, ClaudeError, Claude> = (prompt, options) =>
  collected(prompt, options, "content").pipe(
    Effect.flatMap((reply) => Tools.decode(toolsOf(prompt, options), reply)),
    traced("Claude.message")
  )

/** Asks for text. */
export const text: (
  prompt: Prompt,
  options?: Options
) => Effect.Effect<string, ClaudeError, Claude> = (prompt, options) =>
  Effect.map(collected(prompt, options, "text"), ({ text }) => text).pipe(traced("Claude.text"))

/**
 * Asks for a value described by a schema. Fails with `MalformedOutput` if the answer does not decode, with every issue
 * and its path. `Claude.formOf` says how it is asked for. Where that is by a schema, a fake answers as the API does: a
 * record is a list of pairs, and pairs and tuples are objects with numeric keys (`{ "0": key, "1": value }`).
 */
export const object: <A, I, RD = never>(
  schema: Schema.ConstraintCodec<A, I, RD>,
  prompt: Prompt,
  options?: Options
) => Effect.Effect<A, ClaudeError, Claude | RD> = (schema, prompt, options) =>
  traced("Claude.object")(value(() => Output.of(schema), prompt, options))

/** Asks for one of a list: the answer is nothing else. A fake must answer `{ choice: "…" }`. */
export const choice: <const C extends ReadonlyArray<string>>(
  choices: C,
  prompt: Prompt,
  options?: Options
) => Effect.Effect<C[number], ClaudeError, Claude> = (choices, prompt, options) =>
  value(() => Output.choice(choices), prompt, options).pipe(
    Effect.map(({ choice }) => choice),
    traced("Claude.choice")
  )

/** Asks for JSON of any shape, in words. Where the shape is known, `Claude.object` is held to it. */
export const json: (
  prompt: Prompt,
  options?: Options
) => Effect.Effect<Schema.Json, ClaudeError, Claude> = (prompt, options) =>
  traced("Claude.json")(value(() => Output.json, prompt, options))

/**
 * How `Claude.object` asks for a value of this schema: by the schema, to which the API holds the model (if it is not one
 * of the few that cannot), or by words in the last message, where a schema is recursive, or has a part that may be
 * anything, or more than 16 unions and optional fields. Not at all, if it has no JSON form.
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
 * Asks, and succeeds as soon as the answer begins: with its `text` or `events` to be read, and its `reply`.
 *
 * ```ts
 * const answer = yield* Claude.open(prompt)
 * yield* Stream.runForEach(answer.text, print)
 * const { usage } = yield* answer.reply
 * ```
 *
 * Opening is an effect, so every policy applies to it. Reading is not, so none
 * can: a half-read answer is never silently asked for again. What happens when
 * it breaks is the `onBreak` of the policy it was opened under.
 */
export const open: (
  prompt: Prompt,
  options?: Options
) => Effect.Effect<Message.Answer, ClaudeError, Claude | Scope.Scope> = (prompt, options) =>
  traced("Claude.open")(begin(prompt, options))

/** Asks, and gives the events of the answer. */
export const events: (
  prompt: Prompt,
  options?: Options
) => Stream.Stream<Message.Event, ClaudeError, Claude> = (prompt, options) =>
  Stream.unwrap(Effect.map(open(prompt, options), ({ events }) => events))

/** Asks for text, and gives the pieces of it as they are written. Text cannot say that it begins anew: a break is final. */
export const stream: (
  prompt: Prompt,
  options?: Options
) => Stream.Stream<string, ClaudeError, Claude> = (prompt, options) =>
  Stream.unwrap(Effect.map(traced("Claude.stream")(begin(prompt, options)), ({ text }) => text))

// -----------------------------------------------------------------------------
// Combinators
// -----------------------------------------------------------------------------

/** Asks `model` inside, where a call does not name another. */
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

/** Asks, and reads to the end. */
const collected = (prompt: Prompt, options: Options | undefined, wanted: Wanted) =>
  Effect.flatMap(Claude, (claude) => collect(claude, prompt, options, wanted))

/** Asks for a value. Its schema is read when it is asked for. */
const value = <A, RD>(
  output: () => Result.Result<Output.Output<A, RD>, string>,
  prompt: Prompt,
  options: Options | undefined
): Effect.Effect<A, ClaudeError, Claude | RD> =>
  Effect.flatMap(Claude, (claude) => askValue(claude, output(), prompt, options))

const begin = Effect.fnUntraced(function*(prompt: Prompt, options: Options | undefined) {
  const claude = yield* Claude
  return yield* AnswerStream.open({
    send: (request) => claude.open(request),
    toRequest: (rest) => toRequest(claude, prompt, options, undefined, rest),
    log: LogPlacement.bind(Runtime.of(claude).log, yield* Effect.context<never>())
  })
})
