/**
 * A `Claude` that answers from a script, without a socket.
 *
 * The script replaces only the transport (`Claude.Wire`), so the library's time limits, error classification and stream
 * reading apply. Under `TestClock`, the waits of a script take no real time.
 */
import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import * as Appended from "../appended.ts"
import * as Claude from "../Claude.ts"
import { UnexpectedResponse, Unreachable } from "../ClaudeError.ts"
import type { Request } from "../Message.ts"
import { classify } from "../wire/classify.ts"
import { connect } from "../wire/response.ts"
import * as Faults from "./Faults.ts"
import { listed } from "./modelList.ts"
import { withId } from "./requestId.ts"

/** Holds the requests that `received` returns. */
export class Received extends Context.Service<Received, Ref.Ref<ReadonlyArray<Request>>>()(
  "resilient-claude/testing/FakeClaude/Received"
) {}

/** The requests received so far, oldest first. */
export const received: Effect.Effect<ReadonlyArray<Request>, never, Received> = Effect.flatMap(Received, Ref.get)

export interface Options {
  /** Whether an answer must end with `message_stop`. Default: `required`, as in `Anthropic`. */
  readonly messageStop?: "required" | "optional" | undefined
  /** The models that the API lists. Default: the built-in catalogue. With an empty array, the request for the list fails. */
  readonly models?: ReadonlyArray<ModelInfo> | undefined
}

/** A `Claude` that plays a script. `countTokens` counts one token per four characters of the messages as JSON. */
export const layer = (playable: Faults.Playable, options: Options = {}): Layer.Layer<Claude.Claude | Received> =>
  Layer.effectContext(Effect.gen(function*() {
    const { append, ref: requests } = Appended.make<Request>()
    const claude = yield* Claude.make(
      yield* wire(playable, (request) => Effect.sync(() => append(request)), options)
    )
    return Context.make(Received, requests).pipe(Context.add(Claude.Claude, claude))
  }))

/** The wire of the fake, for your own `Claude.make`. `receive` runs for each request before its turn is played. */
export const wire = Effect.fnUntraced(function*(
  playable: Faults.Playable,
  receive: (request: Request) => Effect.Effect<void> = () => Effect.void,
  { messageStop, models = listed }: Options = {}
): Effect.fn.Return<Claude.Wire> {
  const script = Faults.toScript(playable)
  const start = yield* Clock.currentTimeMillis
  let count = 0
  return {
    models: models.length > 0
      ? Effect.succeed(models)
      : Effect.fail(new UnexpectedResponse({ detail: "the response is not a list of models" })),
    countTokens: ({ messages }) => Effect.succeed(Math.ceil(JSON.stringify(messages).length / 4)),
    open: Effect.fnUntraced(function*(request) {
      const index = count++
      const { model } = request.params
      yield* receive(request)
      const elapsed = (yield* Clock.currentTimeMillis) - start
      const turn = yield* script({ index, elapsed, params: { ...request.params } })
      yield* pause(turn.after)

      const { body, end, head } = turn
      if (head === undefined) return yield* ended(end, model)
      if ("raw" in head) return yield* new Unreachable({ model, code: "HPE_INVALID_CONSTANT" })
      const headers: Readonly<Record<string, string>> = head.api
        ? { ...Faults.apiHeaders(index), ...head.headers }
        : head.headers
      const header = (name: string) => headers[name]

      if (head.status !== 200) {
        for (const { after } of body) yield* pause(after)
        if (end === "silence") return yield* Effect.never
        const text = withId(new TextDecoder().decode(Faults.bytesOf(body)), index)
        const failure = { status: head.status, headers: { get: header }, error: json(text), message: text }
        return yield* classify(failure, { model, now: yield* Clock.currentTimeMillis })
      }

      let next = 0
      const encoder = new TextEncoder()
      // An interrupted read consumes nothing: the next read waits only for the remaining time.
      let due: number | undefined
      const arriving = ({ after, bytes }: Faults.Piece) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          due ??= now + after
          return Effect.map(pause(due - now), () => {
            due = undefined
            next++
            return typeof bytes === "string" ? encoder.encode(bytes) : bytes
          })
        })
      return yield* connect({
        status: head.status,
        header,
        model,
        now: yield* Clock.currentTimeMillis,
        mayEndEarly: messageStop === "optional",
        bytes: Effect.suspend(() => {
          const piece = body[next]
          if (piece !== undefined) return arriving(piece)
          return typeof end === "object" ? arriving(end.forever) : end === "end" ? Effect.undefined : ended(end, model)
        })
      })
    })
  }
})

const pause = (millis: number): Effect.Effect<void> => millis > 0 ? Effect.sleep(millis) : Effect.void

const ended = (end: Faults.End, model: string): Effect.Effect<never, Unreachable> =>
  end === "silence"
    ? Effect.never
    : Effect.fail(new Unreachable({ model, code: end === "reset" ? "ECONNRESET" : "UND_ERR_SOCKET" }))

const json = (text: string): unknown => Result.getOrUndefined(Result.try(() => JSON.parse(text)))
