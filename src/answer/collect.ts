import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as CallContext from "../callContext.ts"
import type { ClaudeError, MalformedOutput } from "../ClaudeError.ts"
import type { Opened, Options, Prompt, Reply, Request } from "../Message.ts"
import { type Amend, toRequest } from "../request/build.ts"
import * as Rest from "../request/rest.ts"
import * as Runtime from "../runtime.ts"
import type * as Continuation from "./continuation.ts"
import * as Join from "./join.ts"
import { failureOf, fruitless, type Wanted, warnOfUnknown } from "./stopReason.ts"

export interface Service extends CallContext.Asked {
  readonly open: (request: Request) => Effect.Effect<Opened, ClaudeError, Scope.Scope>
}

interface Question<A, R> {
  readonly claude: Service
  readonly prompt: Prompt
  readonly options: Options | undefined
  readonly wanted: Wanted
  readonly amend: Amend | undefined
  /** Runs inside the attempt, so that the attempt fails if its answer cannot be decoded. */
  readonly decode: (reply: Reply) => Effect.Effect<A, MalformedOutput, R>
  /** The answer of the latest request, if `failureOf` rejected it. */
  stopped: Continuation.Stopped | undefined
}

/** Reads an answer to its end. If the policy says so, asks again after an answer that was cut, paused or empty. */
export const collect = Effect.fnUntraced(function*<A, R>(
  claude: Service,
  prompt: Prompt,
  options: Options | undefined,
  wanted: Wanted,
  decode: (reply: Reply) => Effect.Effect<A, MalformedOutput, R>,
  amend?: Amend
): Effect.fn.Return<A, ClaudeError, R> {
  const call: Continuation.PolicyCall | undefined = yield* CallContext.Call
  const question: Question<A, R> = { claude, prompt, options, wanted, amend, decode, stopped: undefined }
  const first = piece(question)
  const continueAnswer = call?.continueAnswer
  const answered = yield* continueAnswer === undefined ? first : Effect.catch(
    first,
    (error) => continueAnswer(error, { ask: (rest) => piece(question, rest), stopped: () => question.stopped })
  )
  return yield* Effect.fromResult(answered)
})

/** `MalformedOutput` becomes a value, so that `continueAnswer` does not continue a malformed answer. */
const piece = <A, R>(
  question: Question<A, R>,
  rest?: Rest.Rest
): Effect.Effect<Result.Result<A, MalformedOutput>, ClaudeError, R> =>
  Effect.matchEffect(Effect.scoped(attempt(question, rest)), {
    onFailure: (error) => error._tag === "MalformedOutput" ? Effect.succeed(Result.fail(error)) : Effect.fail(error),
    onSuccess: (value) => Effect.succeed(Result.succeed(value))
  })

/** Checks and decodes the reply in the scope of its request, so that guards are told of these errors too. */
const attempt = Effect.fnUntraced(function*<A, R>(
  question: Question<A, R>,
  rest: Rest.Rest | undefined
): Effect.fn.Return<A, ClaudeError, R | Scope.Scope> {
  const { amend, claude, decode, options, prompt, wanted } = question
  question.stopped = undefined
  const { model, request, complete: { params } } = yield* toRequest(claude, prompt, options, amend, rest)
  const opened = yield* claude.open(request)
  yield* drain(opened)
  const own = opened.reply()
  const before = rest?.before
  const goesOn = Rest.goesOn(params, model)
  const { fits, reply } = before === undefined ? { fits: true, reply: own } : Join.join(before, own, goesOn)
  const error = (before && fruitless(before, own)) ?? failureOf(reply, wanted)
  if (error !== undefined) {
    question.stopped = { params, model, reply, fits, rest: rest ?? Rest.nothing }
    return yield* Effect.fail(error)
  }
  yield* warnOfUnknown(reply, Runtime.of(claude).log)
  return yield* decode(reply)
})

/** Ignores the events, because `opened.reply()` has their content. */
const drain = ({ pull }: Opened): Effect.Effect<void, ClaudeError> => {
  const loop: Effect.Effect<void, ClaudeError> = Effect.suspend(() =>
    Pull.matchEffect(pull, { onSuccess: () => loop, onFailure: Effect.failCause, onDone: () => Effect.void })
  )
  return loop
}
