/** A provider in memory, for simulations: a `Wire` of scripted answers, without bytes. */
import { Cause, Clock, Effect, FiberSet, Layer, Random } from "effect"
import { merged } from "../../src/answer/messageHead.ts"
import { CallLog, Claude, type ClaudeError, Guards, type Message } from "../../src/index.ts"

/** An answer: its times in milliseconds after the headers, and its usage. */
export interface Answer {
  /** To the first content. */
  readonly first?: number | undefined
  /** From the first content to the end, with content at least every 20 seconds. */
  readonly rest?: number | undefined
  /** The error with which it breaks off. */
  readonly broken?: ClaudeError.ClaudeError | undefined
  readonly input?: number | undefined
  readonly output?: number | undefined
  readonly rateLimits?: Message.RateLimits | undefined
}

/** The outcome of a request: an answer or a failure, after any time. */
export type Serve = (request: Message.Request) => Effect.Effect<Answer, ClaudeError.ClaudeError>

const usage = { cache_creation_input_tokens: 0, cache_read_input_tokens: 0 }
const delta: Message.WireEvent = {
  type: "content_block_delta",
  index: 0,
  delta: { type: "text_delta", text: "well " }
}
const content: Claude.WireItem = { bytes: 1, events: [delta] }

const begin = (model: string, input: number): ReadonlyArray<Message.WireEvent> => {
  const empty = merged(model, undefined, [])
  return [
    {
      type: "message_start",
      message: { ...empty, id: "msg", usage: { ...empty.usage, ...usage, input_tokens: input, output_tokens: 1 } }
    },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "", citations: null } },
    delta
  ]
}

const end = (input: number, output: number): ReadonlyArray<Message.WireEvent> => [
  { type: "content_block_stop", index: 0 },
  {
    type: "message_delta",
    delta: { stop_reason: "end_turn", stop_sequence: null, stop_details: null, container: null },
    usage: {
      ...usage,
      input_tokens: input,
      output_tokens: output,
      output_tokens_details: null,
      server_tool_use: null
    }
  },
  { type: "message_stop" }
]

const connection = (model: string, answer: Answer): Claude.Connection => {
  const { broken, first = 0, input = 10, output = 10, rateLimits = {}, rest = 0 } = answer
  let begun = false
  let left = rest
  const after = (millis: number, item: Claude.WireItem) =>
    millis === 0 ? Effect.succeed(item) : Effect.as(Effect.sleep(millis), item)
  return {
    requestId: "req",
    rateLimits,
    read: Effect.suspend((): Claude.Connection["read"] => {
      if (left < 0) return Cause.done()
      if (!begun) {
        begun = true
        if (left > 0) return after(first, { bytes: 1, events: begin(model, input) })
        left = -1
        return after(first, { bytes: 1, events: [...begin(model, input), ...end(input, output)] })
      }
      const wait = Math.min(left, 20_000)
      const isLast = wait === left
      left = isLast ? -1 : left - wait
      if (isLast && broken !== undefined) return Effect.andThen(Effect.sleep(wait), Effect.fail(broken))
      return after(wait, isLast ? { bytes: 1, events: end(input, output) } : content)
    })
  }
}

/** The wire of the provider. */
export const wire = (serve: Serve): Claude.Wire => ({
  open: (request) => Effect.map(serve(request), (answer) => connection(request.params.model, answer)),
  countTokens: () => Effect.succeed(0),
  models: Effect.succeed([])
})

/** A log-normal number of whole milliseconds with this median. */
export const logNormal = (median: number, sigma: number): Effect.Effect<number> =>
  Effect.zipWith(
    Random.next,
    Random.next,
    (a, b) => Math.round(median * Math.exp(sigma * Math.sqrt(-2 * Math.log(1 - a)) * Math.cos(2 * Math.PI * b)))
  )

/** The number of requests, in total and by second. */
export interface Counter {
  total: number
  readonly seconds: Map<number, number>
}

export const counter = (): Counter => ({ total: 0, seconds: new Map() })

/** Counts a request at the current time, and returns that time. */
export const count = (counter: Counter): Effect.Effect<number> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const second = Math.floor(now / 1000)
    counter.total++
    counter.seconds.set(second, (counter.seconds.get(second) ?? 0) + 1)
    return now
  })

/** The most requests in any `width` seconds that begin from second `from` on and before second `to`. */
export const busiest = ({ seconds }: Counter, from: number, to = Infinity, width = 1): number => {
  const end = Math.min(to, Math.max(...seconds.keys()) + 1)
  const sum = (second: number) =>
    Array.from({ length: width }, (_, i) => seconds.get(second + i) ?? 0).reduce((a, b) => a + b)
  return Math.max(0, ...Array.from({ length: Math.max(0, end - from) }, (_, i) => sum(from + i)))
}

export const quantile = (values: ReadonlyArray<number>, share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN

/** A guarded `Claude` over the provider, without a log. */
export const guarded = (serve: Serve, guards: Guards.Guards) =>
  Claude.layer(wire(serve)).pipe(Guards.apply(guards), Layer.provide(CallLog.layerNoop))

/** Starts `times` effects, one every `millis` milliseconds, and waits for all of them. */
export const every = <R>(
  millis: number,
  times: number,
  start: (index: number) => Effect.Effect<unknown, never, R>
): Effect.Effect<void, never, R> =>
  Effect.scoped(Effect.gen(function*() {
    const fibers = yield* FiberSet.make()
    for (let i = 0; i < times; i++) {
      yield* FiberSet.run(fibers, start(i))
      yield* Effect.sleep(millis)
    }
    yield* FiberSet.awaitEmpty(fibers)
  }))
