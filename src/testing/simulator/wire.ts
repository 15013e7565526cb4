/**
 * The simulated Claude as a `Wire`, and as plain requests for strategies without the library. On the `Wire`, answers are
 * bytes, which the library reads and classifies as if they came from a socket.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Claude from "../../Claude.ts"
import { Unreachable } from "../../ClaudeError.ts"
import type { Params } from "../../Message.ts"
import { classify } from "../../wire/classify.ts"
import { connect } from "../../wire/response.ts"
import * as Events from "./events.ts"
import type { Machine, Plan } from "./provider.ts"
import type { Recorder } from "./recorder.ts"

/** Why a request without the library failed. */
export interface Failure {
  readonly kind: "status" | "reset" | "broken" | "notAMessage"
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string>>
  /** In seconds. */
  readonly retryAfter: number | undefined
}

/**
 * Sends a request, and records it from its arrival until the scope closes. Unless `whole` has run by then, the request
 * is recorded as abandoned.
 */
const arrive = (machine: Machine, recorder: Recorder, params: Params) =>
  Effect.gen(function*() {
    yield* Effect.sleep(machine.travel())
    const plan = machine.arrive(yield* Clock.currentTimeMillis, params)
    const open = recorder.request(plan)
    yield* Effect.addFinalizer(() =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        machine.leave(now, plan)
        recorder.left(open)
      })
    )
    const whole = Effect.sync(() => {
      open.isWhole = true
    })
    return { plan, whole }
  })

/** Dies if the clock wakes the fiber at another time than `due`. Does not wait for a time in the past. */
const until = (due: number): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    now >= due
      ? Effect.void
      : Effect.flatMap(Effect.sleep(due - now), () =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          now === due
            ? Effect.void
            : Effect.die(new Error(`The clock skipped: a timer for ${due} ms fired at ${now} ms`)))))

// -----------------------------------------------------------------------------
// The wire
// -----------------------------------------------------------------------------

export const wire = (machine: Machine, recorder: Recorder): Claude.Wire => ({
  countTokens: ({ messages }) => Effect.succeed(Math.ceil(JSON.stringify(messages).length / 4)),
  models: Effect.succeed([]),
  open: ({ params }) =>
    Effect.gen(function*() {
      const { plan, whole } = yield* arrive(machine, recorder, params)
      const { model } = params
      const lost = Effect.andThen(whole, Effect.fail(new Unreachable({ model, code: "ECONNRESET" })))
      switch (plan.kind) {
        case "stall":
          return yield* Effect.never
        case "reset":
          return yield* Effect.andThen(until(plan.at + plan.after), lost)
        case "response":
          yield* until(plan.at + plan.after)
          yield* whole
          return yield* respond(plan, model)
        case "answer":
          yield* until(plan.at + plan.headersAfter)
          return yield* connect({
            status: 200,
            header: (name) => plan.headers[name],
            model,
            now: yield* Clock.currentTimeMillis,
            bytes: body(plan, model, whole, lost)
          })
      }
    })
})

/** Fails, except for status 200: that is a page in place of an event stream, and opens a connection without events. */
const respond = Effect.fnUntraced(function*(plan: Extract<Plan, { readonly kind: "response" }>, model: string) {
  const { body, headers, status } = plan
  const header = (name: string) => headers[name]
  const now = yield* Clock.currentTimeMillis
  if (status === 200) return yield* connect({ status, header, model, now, bytes: Effect.undefined })
  const error = Result.getOrUndefined(Result.try((): unknown => JSON.parse(body)))
  return yield* classify({ status, headers: { get: header }, error, message: body }, { model, now })
})

/** Sends content after each silence of `Events.quiet`, until the answer ends or breaks off. */
const body = (
  plan: Events.Answer,
  model: string,
  whole: Effect.Effect<void>,
  lost: Effect.Effect<never, Unreachable>
): Effect.Effect<Uint8Array | undefined, Unreachable> => {
  const { at, breaksAfter, endAfter, firstAfter } = plan
  const last = at + (breaksAfter ?? endAfter)
  // The time of the last bytes that were read; Infinity after the end. An interrupted read consumes nothing: the next read
  // waits until the same time.
  let readTo: number | undefined
  return Effect.suspend((): Effect.Effect<Uint8Array | undefined, Unreachable> => {
    if (readTo === undefined) {
      const first = at + firstAfter
      const isAll = breaksAfter === undefined && first === last
      return Effect.map(until(first), () => {
        readTo = isAll ? Infinity : first
        return encode(isAll ? [...Events.begin(plan, model), ...Events.end(plan)] : Events.begin(plan, model))
      })
    }
    if (readTo === Infinity) return Effect.as(whole, undefined)
    const due = Math.min(last, readTo + Events.quiet)
    return Effect.flatMap(until(due), () => {
      if (due < last) {
        readTo = due
        return Effect.succeed(encode([Events.more]))
      }
      if (breaksAfter !== undefined) return lost
      readTo = Infinity
      return Effect.as(whole, encode(Events.end(plan)))
    })
  })
}

const encoder = new TextEncoder()
const encode = (events: ReadonlyArray<string>) => encoder.encode(events.join(""))

// -----------------------------------------------------------------------------
// Plain requests
// -----------------------------------------------------------------------------

/** Sends one request without the library. Succeeds when the answer is complete. */
export const send = (machine: Machine, recorder: Recorder, params: Params): Effect.Effect<Sent, Failure> =>
  Effect.scoped(Effect.gen(function*() {
    const { plan, whole } = yield* arrive(machine, recorder, params)
    const fail = (kind: Failure["kind"], status?: number, headers: Failure["headers"] = {}) => {
      const seconds = Number(headers["retry-after"])
      return Effect.andThen(
        whole,
        Effect.fail<Failure>({ kind, status, headers, retryAfter: Number.isNaN(seconds) ? undefined : seconds })
      )
    }
    switch (plan.kind) {
      case "stall":
        return yield* Effect.never
      case "reset":
        yield* until(plan.at + plan.after)
        return yield* fail("reset")
      case "response":
        yield* until(plan.at + plan.after)
        return yield* fail(plan.status === 200 ? "notAMessage" : "status", plan.status, plan.headers)
      case "answer":
        yield* until(plan.at + (plan.breaksAfter ?? plan.endAfter))
        if (plan.breaksAfter !== undefined) return yield* fail("broken", 200, plan.headers)
        yield* whole
        return { status: 200, headers: plan.headers }
    }
  }))

/** The status and the headers of an answer that arrived completely. `send` does not return the content. */
export interface Sent {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
}
