/** An answer that is asked for and read to its end, piece by piece where it stops half-way. */
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as CallContext from "../callContext.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import type { Opened, Options, Prompt, Reply, Request } from "../Message.ts"
import { type Amend, toRequest } from "../request/build.ts"
import * as Rest from "../request/rest.ts"
import * as Runtime from "../runtime.ts"
import type * as Continuation from "./continuation.ts"
import * as Join from "./join.ts"
import { failureOf, fruitless, type Wanted, warnOfUnknown } from "./stopReason.ts"

/** The service that is asked. */
export interface Service extends CallContext.Asked {
  readonly open: (request: Request) => Effect.Effect<Opened, ClaudeError, Scope.Scope>
}

/** What is asked, and what there is of an answer to it that stopped half-way. */
interface Question {
  readonly claude: Service
  readonly prompt: Prompt
  readonly options: Options | undefined
  readonly wanted: Wanted
  readonly amend: Amend | undefined
  /** Of the piece that was asked for last: each begins without. */
  stopped: Continuation.Stopped | undefined
}

/** Asks, and reads to the end. Where the policy of its call wants it, what stopped half-way is asked for to its end. */
export const collect = Effect.fnUntraced(function*(
  claude: Service,
  prompt: Prompt,
  options: Options | undefined,
  wanted: Wanted,
  amend?: Amend
): Effect.fn.Return<Reply, ClaudeError> {
  const call: Continuation.PolicyCall | undefined = yield* CallContext.Call
  const question: Question = { claude, prompt, options, wanted, amend, stopped: undefined }
  const first = piece(question)
  const continueAnswer = call?.continueAnswer
  return yield* continueAnswer === undefined ? first : Effect.catch(
    first,
    (error) => continueAnswer(error, { ask: (rest) => piece(question, rest), stopped: () => question.stopped })
  )
})

/** All of it, or the rest. Its scope ends with how it ended, so that guards and log learn of a `Truncated`, too. */
const piece = Effect.fnUntraced(function*(question: Question, rest?: Rest.Rest) {
  const { amend, claude, options, prompt, wanted } = question
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
  return reply
}, Effect.scoped)

/** Reads what nobody looks at while it comes. */
const drain = ({ pull }: Opened): Effect.Effect<void, ClaudeError> => {
  const loop: Effect.Effect<void, ClaudeError> = Effect.suspend(() =>
    Pull.matchEffect(pull, { onSuccess: () => loop, onFailure: Effect.failCause, onDone: () => Effect.void })
  )
  return loop
}
