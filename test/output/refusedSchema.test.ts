/** Schemas that the API refuses, over real sockets: the answer is requested by an instruction. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref, Schema } from "effect"
import { CallLog, Claude, Guards, Policy, Retry } from "../../src/index.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"
import { wires } from "../support/wires.ts"

const tooLarge = "The compiled grammar is too large, which would cause performance issues. "
  + "Simplify your tool schemas or reduce the number of strict tools."

const refusals: ReadonlyArray<readonly [report: string, message: string]> = [
  ["a grammar that is too large, github.com/anthropics/anthropic-sdk-python/issues/1185", tooLarge],
  [
    "a grammar that is too large, with the path of the schema, github.com/TanStack/ai/issues/682",
    `output_config.format.schema: Invalid schema: ${tooLarge}`
  ],
  [
    "a schema that is too complex, github.com/mozilla/bugbug/pull/6234",
    "Schema is too complex for compilation. Try reducing the number of tools or simplifying tool schemas."
  ],
  [
    "too many unions",
    "Schemas contains too many parameters with union types (32 parameters with type arrays or anyOf). This causes "
    + "exponential compilation cost. Reduce the number of nullable or union-typed parameters (limit: 16 parameters with unions)."
  ],
  [
    "too many unions, as a short message",
    "Too many parameters with union types (30 parameters). Reduce the number of nullable params."
  ],
  [
    "too many optional parameters",
    "Schemas contains too many optional parameters (41), which would make grammar compilation inefficient. "
    + "Reduce the number of optional parameters in your tool schemas (limit: 24)."
  ],
  ["an open object", "For 'object' type, 'additionalProperties' must be explicitly set to false"],
  [
    "a time-out of the compilation of the schema",
    "output_config.format.schema: Invalid schema: Grammar compilation timed out."
  ],
  ["an unsupported keyword", "output_config.format.schema: For 'string' type, property 'pattern' is not supported"],
  ["a gateway that does not know the parameter", "output_config.format: Extra inputs are not permitted"],
  [
    "Bedrock, github.com/vercel/ai/issues/19988",
    "The model returned the following errors: output_config.format: Extra inputs are not permitted"
  ],
  [
    "Vertex behind a gateway, github.com/Portkey-AI/gateway/issues/1570",
    "vertex-ai error: output_config.format: Extra inputs are not permitted"
  ],
  [
    "a gateway that quotes Bedrock, github.com/vectorize-io/hindsight/issues/3300",
    "litellm.BadRequestError: BedrockException - {\"message\": \"The model returned the following errors: "
    + "output_config.format: Extra inputs are not permitted\"}"
  ]
]

const refused = (message: string) => Faults.fails(400, "invalid_request_error", message)

/** A new schema for each test, because the refusal of a schema is remembered. */
const makeInvoice = () => Schema.Struct({ number: Schema.String })
const invoice = Faults.value({ number: "A1" })

/** For each request, whether it had a schema, an instruction or neither, and the number of its messages. */
const sent = Effect.gen(function*() {
  const { received } = yield* FakeServer.FakeServer
  return (yield* received).map(({ params }) => {
    const messages = Array.isArray(params["messages"]) ? params["messages"] : []
    const isInstructed = JSON.stringify(messages).includes("matches this JSON Schema")
    return `${"output_config" in params ? "schema" : isInstructed ? "prompt" : "nothing"} ${messages.length}`
  })
})

const warnings = Effect.map(
  Effect.flatMap(CallLog.Memory, Ref.get),
  (events) => events.flatMap((event) => event._tag === "Warning" ? [`${event.code}: ${event.message}`] : [])
)

describe.each(wires)("a call for a value through %s", (_, wire) => {
  const playing = (...turns: ReadonlyArray<Faults.Turn>) =>
    Effect.provide(
      Layer.unwrap(Effect.map(FakeServer.FakeServer, ({ url }) => wire(url))).pipe(
        Layer.provideMerge(FakeServer.layer(turns)),
        Layer.provideMerge(Layer.fresh(CallLog.layerMemory))
      )
    )

  it.live.each(refusals)(
    "is sent again with an instruction after the API refuses its schema, and later calls send only the instruction: %s",
    ([, message]) =>
      Effect.gen(function*() {
        const Invoice = makeInvoice()
        assert.deepStrictEqual(yield* Claude.object(Invoice, "Read it"), { number: "A1" })
        assert.deepStrictEqual(yield* sent, ["schema 1", "prompt 1"])
        const [told = "", ...more] = yield* warnings
        assert.lengthOf(more, 0)
        assert.include(
          `SchemaRefused: the API refuses the schema, so the schema is put in the prompt instead: ${message}`,
          told
        )
        assert.isAbove(told.length, 100)
        assert.deepStrictEqual(yield* Claude.object(Invoice, "Read it").pipe(Policy.apply(Policy.none)), {
          number: "A1"
        })
        assert.deepStrictEqual(yield* sent, ["schema 1", "prompt 1", "prompt 1"])
        assert.lengthOf(yield* warnings, 1)
      }).pipe(playing(refused(message), invoice, invoice))
  )

  it.live("still sends the schema to another model after one model has refused the schema", () =>
    Effect.gen(function*() {
      const Invoice = makeInvoice()
      yield* Claude.object(Invoice, "Read it", { model: "claude-sonnet-4-6" })
      yield* Claude.object(Invoice, "Read it", { model: "claude-sonnet-5" })
      yield* Claude.object(Invoice, "Read it", { model: "claude-sonnet-4-6" })
      assert.deepStrictEqual(yield* sent, ["schema 1", "prompt 1", "schema 1", "prompt 1"])
    }).pipe(playing(refused(tooLarge), invoice, invoice, invoice)))

  it.live("sends the instruction also in a retry and in a correction after the API has refused its schema", () =>
    Effect.gen(function*() {
      const value = yield* Claude.object(makeInvoice(), "Read it").pipe(
        Policy.apply({ retry: { Overloaded: Retry.backoff({ times: 1, base: "1 millis" }) }, reask: 1 })
      )
      assert.deepStrictEqual(value, { number: "A1" })
      assert.deepStrictEqual(yield* sent, ["schema 1", "prompt 1", "prompt 1", "prompt 3"])
    }).pipe(playing(refused(tooLarge), Faults.overloaded, Faults.value({ number: 1 }), invoice)))

  it.live("has one attempt for each request, in its history and in the log", () =>
    Effect.gen(function*() {
      const policy = Policy.apply({ retry: { Overloaded: Retry.backoff({ times: 1, base: "1 millis" }) } })
      const error = yield* Effect.flip(policy(Claude.object(makeInvoice(), "Read it")))
      const tried = [[1, "InvalidRequest"], [2, "Overloaded"], [3, "Overloaded"]]
      assert.deepStrictEqual(error.history?.map((tried) => [tried.attempt, tried.error]), tried)
      assert.deepInclude({ ...error }, { _tag: "Overloaded", gaveUp: "RetriesSpent" })
      assert.deepStrictEqual(yield* sent, ["schema 1", "prompt 1", "prompt 1"])
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      assert.deepStrictEqual(
        events.flatMap((event) => event._tag === "AttemptStarted" ? [event.attempt] : []),
        [1, 2, 3]
      )
    }).pipe(playing(refused(tooLarge), Faults.overloaded, Faults.overloaded)))

  it.live("fails with the first refusal if the API refuses both requests, and has both in its history", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Claude.object(makeInvoice(), "Read it").pipe(Policy.apply(Policy.none)))
      assert.deepInclude({ ...error }, {
        _tag: "InvalidRequest",
        requestId: "req_fake_0001",
        gaveUp: "NotRetried"
      })
      assert.deepStrictEqual(error.history?.map((tried) => [tried.attempt, tried.requestId]), [
        [1, "req_fake_0001"],
        [2, "req_fake_0002"]
      ])
    }).pipe(playing(refused(tooLarge), refused(tooLarge))))

  it.live("fails with the first error if the API refuses both requests, and the next call sends the schema again", () =>
    Effect.gen(function*() {
      const Invoice = makeInvoice()
      const tools = [{
        name: "look",
        strict: true,
        input_schema: { type: "object" as const, properties: {}, additionalProperties: false }
      }]
      const error = yield* Effect.flip(Claude.object(Invoice, "Read it", { tools }))
      assert.deepInclude({ ...error }, { _tag: "InvalidRequest", sent: true, requestId: "req_fake_0001" })
      assert.deepStrictEqual(yield* Claude.object(Invoice, "Read it"), { number: "A1" })
      assert.deepStrictEqual(yield* sent, ["schema 1", "prompt 1", "schema 1"])
    }).pipe(playing(refused(tooLarge), refused(tooLarge), invoice)))

  it.live("fails with the error of the second request if that error does not refuse the schema", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Claude.object(makeInvoice(), "Read it"))
      assert.strictEqual(error._tag, "Overloaded")
      assert.deepStrictEqual(yield* sent, ["schema 1", "prompt 1"])
    }).pipe(playing(refused(tooLarge), Faults.overloaded)))

  it.live("is not sent again if the error is not about the schema, or if no schema was sent", () =>
    Effect.gen(function*() {
      const Invoice = makeInvoice()
      for (
        const call of [
          Claude.object(Invoice, "Read it"),
          Claude.object(Invoice, "Read it", { form: "prompt" }),
          Claude.json("Read it"),
          Claude.text("Read it")
        ]
      ) assert.strictEqual((yield* Effect.flip(call))._tag, "InvalidRequest")
      assert.deepStrictEqual(yield* sent, ["schema 1", "prompt 1", "nothing 1", "nothing 1"])
      assert.deepStrictEqual(yield* warnings, [])
    }).pipe(playing(
      refused("messages.0: the schema is too odd"),
      refused(tooLarge),
      refused(tooLarge),
      refused(tooLarge)
    )))

  it.live("sends its schema in an instruction, not as `output_config`, if the option `form` is `prompt`", () =>
    Effect.gen(function*() {
      const Invoice = makeInvoice()
      assert.deepStrictEqual(yield* Claude.object(Invoice, "Read it", { form: "prompt" }), { number: "A1" })
      assert.deepStrictEqual(yield* Claude.object(Invoice, "Read it", { form: undefined }), { number: "A1" })
      assert.deepStrictEqual(yield* sent, ["prompt 1", "schema 1"])
      const { received } = yield* FakeServer.FakeServer
      for (const { params } of yield* received) assert.notProperty(params, "form")
    }).pipe(playing(invoice, invoice)))

  it.live("is sent again with an instruction after the API refuses the schema of Claude.choice", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Claude.choice(["good", "bad"], "Is it?"), "good")
      assert.deepStrictEqual(yield* sent, ["schema 1", "prompt 1"])
    }).pipe(playing(refused(tooLarge), Faults.value({ choice: "good" }))))

  it.live("does not count a refusal of its schema as a failure for the circuit breaker", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 5; i++) yield* Claude.object(makeInvoice(), "Read it")
      assert.lengthOf(yield* sent, 10)
    }).pipe(
      Effect.provide(
        Layer.unwrap(Effect.map(FakeServer.FakeServer, ({ url }) => wire(url))).pipe(
          Guards.apply({ circuit: { minimumCalls: 2, failureRate: 0.1 } }),
          Layer.provideMerge(FakeServer.layer(Array.from({ length: 5 }, () => [refused(tooLarge), invoice]).flat())),
          Layer.provide(CallLog.layerNoop)
        )
      )
    ))
})
