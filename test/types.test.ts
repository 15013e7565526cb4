/** Inferred types: a mistake fails `tsc`, not the test run. */
import type { Message as SdkMessage, Tool as SdkTool } from "@anthropic-ai/sdk/resources/messages"
import { it } from "@effect/vitest"
import { Context, Data, Effect, type Option, Schedule, Schema, SchemaGetter, type Stream } from "effect"
import { describe, expectTypeOf } from "vitest"
import { Claude, type ClaudeError, Current, type Message, Models, Policy, Retry, Tool } from "../src/index.ts"
import { Tree } from "./support/tree.ts"

type Failure = ClaudeError.ClaudeError

/** A service that decoding a schema requires. */
class Rates extends Context.Service<Rates, { readonly rate: Effect.Effect<number> }>()("test/Rates") {}
const Converted = Schema.Finite.pipe(
  Schema.decodeTo(Schema.Finite, {
    decode: SchemaGetter.transformEffect((amount: number) =>
      Effect.flatMap(Rates, ({ rate }) => Effect.map(rate, (rate) => amount * rate))
    ),
    encode: SchemaGetter.passthrough<number>()
  })
)

const Invoice = Schema.Struct({
  number: Schema.String,
  due: Schema.Date,
  total: Schema.BigInt,
  paid: Schema.optional(Schema.FiniteFromString),
  note: Schema.Option(Schema.String)
})
interface Invoice {
  readonly number: string
  readonly due: Date
  readonly total: bigint
  readonly paid?: number | undefined
  readonly note: Option.Option<string>
}

class Person extends Schema.Class<Person>("Person")({ name: Schema.String }) {
  get greeting() {
    return `Hello ${this.name}`
  }
}

it("the schema of all errors and their union have the same members", () => {
  expectTypeOf<(typeof ClaudeError.ClaudeError)["Type"]>().toEqualTypeOf<Failure>()
})

it("the because field of a PartialAnswer is a tag of ClaudeError, or undefined", () => {
  expectTypeOf<ClaudeError.PartialAnswer["because"]>().toEqualTypeOf<ClaudeError.Tag | undefined>()
})

describe("a prompt", () => {
  const messages = [{ role: "user" as const, content: "hi" }]

  it("is a string, a list of messages, or the parameters of the SDK", () => {
    expectTypeOf(Claude.text("hi")).toEqualTypeOf<Effect.Effect<string, Failure, Claude.Claude>>()
    expectTypeOf(Claude.text(messages)).toEqualTypeOf<Effect.Effect<string, Failure, Claude.Claude>>()
    expectTypeOf(Claude.text({ messages, system: undefined })).toEqualTypeOf<
      Effect.Effect<string, Failure, Claude.Claude>
    >()
  })

  it("accepts only the API's names of parameters", () => {
    expectTypeOf(() => Claude.text("hi", { max_tokens: 5, tool_choice: undefined })).toBeFunction()
    // @ts-expect-error the API calls it max_tokens
    expectTypeOf(() => Claude.text("hi", { maxTokens: 5 })).toBeFunction()
    // @ts-expect-error the API calls it max_tokens
    expectTypeOf(() => Claude.text({ messages, maxTokens: 5 })).toBeFunction()
  })
})

describe("object", () => {
  it("returns the type of the schema, not its encoded type", () => {
    expectTypeOf(Claude.object(Invoice, "read it")).toEqualTypeOf<Effect.Effect<Invoice, Failure, Claude.Claude>>()
    expectTypeOf(Claude.object(Schema.Date, "when?")).toEqualTypeOf<Effect.Effect<Date, Failure, Claude.Claude>>()
    expectTypeOf(Claude.object(Schema.Literals(["a", "b"]), "which?")).toEqualTypeOf<
      Effect.Effect<"a" | "b", Failure, Claude.Claude>
    >()
    expectTypeOf(Claude.object(Schema.Array(Schema.NullOr(Schema.Date)), "when?")).toEqualTypeOf<
      Effect.Effect<ReadonlyArray<Date | null>, Failure, Claude.Claude>
    >()
  })

  it("accepts a class or a recursive schema", () => {
    expectTypeOf(Claude.object(Person, "who?")).toEqualTypeOf<Effect.Effect<Person, Failure, Claude.Claude>>()
    expectTypeOf(Claude.object(Tree, "what?")).toEqualTypeOf<Effect.Effect<Tree, Failure, Claude.Claude>>()
  })

  it("requires the services of the schema", () => {
    expectTypeOf(Claude.object(Converted, "how much?")).toEqualTypeOf<
      Effect.Effect<number, Failure, Claude.Claude | Rates>
    >()
    expectTypeOf(Claude.object(Schema.Struct({ a: Schema.Array(Converted) }), "how much?")).toEqualTypeOf<
      Effect.Effect<{ readonly a: ReadonlyArray<number> }, Failure, Claude.Claude | Rates>
    >()
  })

  it("requires a schema and a prompt", () => {
    // @ts-expect-error a constructor is not a schema
    expectTypeOf(() => Claude.object(String, "what?")).toBeFunction()
    // @ts-expect-error the prompt is missing
    expectTypeOf(() => Claude.object(Invoice)).toBeFunction()
  })
})

describe("choice", () => {
  it("returns the union of the choices", () => {
    expectTypeOf(Claude.choice(["billing", "other"], "which?")).toEqualTypeOf<
      Effect.Effect<"billing" | "other", Failure, Claude.Claude>
    >()
    const teams = ["a", "b"] as const
    expectTypeOf(Claude.choice(teams, "which?")).toEqualTypeOf<Effect.Effect<"a" | "b", Failure, Claude.Claude>>()
  })

  it("returns a string if the list is not a constant", () => {
    const teams: ReadonlyArray<string> = ["a", "b"]
    expectTypeOf(Claude.choice(teams, "which?")).toEqualTypeOf<Effect.Effect<string, Failure, Claude.Claude>>()
  })

  it("accepts only strings", () => {
    // @ts-expect-error a number is not a string
    expectTypeOf(() => Claude.choice([1, 2], "which?")).toBeFunction()
  })
})

describe("the result type", () => {
  it("of json, text, message, stream, events and countTokens is JSON, a string, a reply, a stream of strings, a stream of events and a number", () => {
    expectTypeOf(Claude.json("what?")).toEqualTypeOf<Effect.Effect<Schema.Json, Failure, Claude.Claude>>()
    expectTypeOf(Claude.text("what?")).toEqualTypeOf<Effect.Effect<string, Failure, Claude.Claude>>()
    expectTypeOf(Claude.message("what?")).toEqualTypeOf<Effect.Effect<Message.Reply, Failure, Claude.Claude>>()
    expectTypeOf(Claude.stream("what?")).toEqualTypeOf<Stream.Stream<string, Failure, Claude.Claude>>()
    expectTypeOf(Claude.events("what?")).toEqualTypeOf<Stream.Stream<Message.Event, Failure, Claude.Claude>>()
    expectTypeOf(Claude.countTokens("what?")).toEqualTypeOf<Effect.Effect<number, Failure, Claude.Claude>>()
  })

  it("of message is a reply with the message of the SDK and with fields of this library", () => {
    expectTypeOf<Message.Reply["message"]>().toEqualTypeOf<SdkMessage>()
    expectTypeOf<Message.Reply["toolUses"][number]["input"]>().toBeUnknown()
    expectTypeOf<Message.Reply["serverToolErrors"][number]["errorCode"]>().toBeString()
    expectTypeOf<Message.Reply["cost"]>().toEqualTypeOf<
      { readonly dollars: number; readonly atLeast: boolean } | undefined
    >()
  })
})

describe("a tool", () => {
  const tool = Tool.make("read", { description: "Reads.", input: Invoice })

  it("has a method `uses`, which returns inputs of the type of its schema", () => {
    expectTypeOf(tool).toEqualTypeOf<Tool.Tool<Invoice>>()
    expectTypeOf(tool.uses).parameters.toEqualTypeOf<[Message.Reply]>()
    expectTypeOf(tool.uses).returns.toEqualTypeOf<
      Effect.Effect<ReadonlyArray<{ readonly id: string; readonly input: Invoice }>, ClaudeError.MalformedOutput>
    >()
    expectTypeOf(Tool.make("who", { input: Person }).uses).returns.toEqualTypeOf<
      Effect.Effect<ReadonlyArray<Tool.Use<Person>>, ClaudeError.MalformedOutput>
    >()
  })

  it("has a type that extends the SDK's type of tools, and fits next to a tool that the API defines", () => {
    expectTypeOf(tool).toExtend<SdkTool>()
    expectTypeOf(Claude.message("read it", { tools: [tool, { type: "web_search_20250305", name: "web_search" }] }))
      .toEqualTypeOf<Effect.Effect<Message.Reply, Failure, Claude.Claude>>()
  })

  it("accepts neither a schema with services nor the SDK's input_schema, and requires an input", () => {
    // @ts-expect-error a schema with services
    expectTypeOf(() => Tool.make("much", { input: Schema.Struct({ a: Converted }) })).toBeFunction()
    // @ts-expect-error input_schema is generated from the input
    expectTypeOf(() => Tool.make("much", { input: Invoice, input_schema: { type: "object" } })).toBeFunction()
    // @ts-expect-error the input is missing
    expectTypeOf(() => Tool.make("much", {})).toBeFunction()
  })
})

describe("outcome", () => {
  it("has the data of the call, and leaves only errors of the application in the error type", () => {
    expectTypeOf(Policy.outcome(Claude.object(Invoice, "read it"))).toEqualTypeOf<
      Effect.Effect<Policy.Outcome<Invoice>, never, Claude.Claude>
    >()
    const mixed = Effect.flatMap(Claude.text("hi"), (text) => text === "" ? Effect.fail("mine" as const) : Effect.void)
    expectTypeOf(Policy.outcome(mixed)).toEqualTypeOf<Effect.Effect<Policy.Outcome<void>, "mine", Claude.Claude>>()
  })

  it("has either data or an error, depending on its status", () => {
    type Of<S> = Extract<Policy.Outcome<Invoice>, { readonly status: S }>
    expectTypeOf<Policy.Outcome<Invoice>["status"]>().toEqualTypeOf<"success" | "error">()
    expectTypeOf<Of<"success">["data"]>().toEqualTypeOf<Invoice>()
    expectTypeOf<Of<"error">["error"]>().toEqualTypeOf<Failure>()
    expectTypeOf<Of<"error">["retryable"]>().toBeBoolean()
    expectTypeOf<Policy.Outcome<Invoice>["cost"]>().toEqualTypeOf<Message.Cost>()
    expectTypeOf<Policy.Outcome<Invoice>["tokens"]>().toEqualTypeOf<
      { readonly input: number; readonly output: number }
    >()
    expectTypeOf<Of<"success">>().not.toHaveProperty("error")
    expectTypeOf<Of<"error">>().not.toHaveProperty("data")
  })
})

describe("the service Claude", () => {
  it("has an opaque runtime, which a wrapper can pass on but not make", () => {
    expectTypeOf<Claude.Claude["Service"]["runtime"]>().toEqualTypeOf<Claude.Runtime>()
    expectTypeOf<Extract<keyof Claude.Runtime, string>>().toBeNever()
    const own = (claude: Claude.Claude["Service"]) =>
      Claude.Claude.of({ ...claude, open: (request) => claude.open(request) })
    expectTypeOf(own).toBeFunction()
    const without = ({ countTokens, models, open }: Claude.Claude["Service"]) =>
      // @ts-expect-error no other value is a runtime
      Claude.Claude.of({ countTokens, models, open, runtime: {} })
    expectTypeOf(without).toBeFunction()
  })
})

describe("the current call", () => {
  it("is read-only", () => {
    expectTypeOf(Current.Call).toEqualTypeOf<Effect.Effect<Current.Call | undefined>>()
    // @ts-expect-error Current.Call is not a Reference
    expectTypeOf(() => Effect.provideService(Effect.void, Current.Call, undefined)).toBeFunction()
    // @ts-expect-error attempt is readonly
    expectTypeOf((call: Current.Call) => call.attempt++).toBeFunction()
  })
})

describe("models", () => {
  it("can be read and refreshed only with the service Claude", () => {
    expectTypeOf(Models.all).toEqualTypeOf<Effect.Effect<ReadonlyArray<Models.Model>, never, Claude.Claude>>()
    expectTypeOf(Models.get("claude-haiku-5-5")).toEqualTypeOf<
      Effect.Effect<Option.Option<Models.Model>, never, Claude.Claude>
    >()
    expectTypeOf(Models.refresh).toEqualTypeOf<Effect.Effect<ReadonlyArray<Models.Model>, Failure, Claude.Claude>>()
  })

  it("need no field except id in Models.layer", () => {
    expectTypeOf(Models.layer).parameter(0).toEqualTypeOf<
      ReadonlyArray<Pick<Models.Model, "id"> & Partial<Models.Model>> | undefined
    >()
    // @ts-expect-error the id is missing
    expectTypeOf(() => Models.layer([{ maxOutput: 1 }])).toBeFunction()
  })
})

describe("a policy", () => {
  class Busy extends Data.TaggedError("Busy")<{}> {}
  const retry = Retry.linear({ times: 3 })
  const forMalformed = Schedule.recurs(1).pipe(Schedule.setInputType<ClaudeError.MalformedOutput>())
  const call = Claude.text("hi")

  it("does not change the type of a call", () => {
    type Text = Effect.Effect<string, Failure, Claude.Claude>
    expectTypeOf(Policy.apply(Policy.standard)(call)).toEqualTypeOf<Text>()
    expectTypeOf(Policy.apply({ retry: { Overloaded: retry }, reask: 2 })(call)).toEqualTypeOf<Text>()
    expectTypeOf(call.pipe(Policy.apply({ ...Policy.standard, models: ["claude-haiku-5-5"] }))).toEqualTypeOf<Text>()
    expectTypeOf(Claude.stream("hi").pipe(Policy.applyStream({ retry, streamOverall: "1 minute" }))).toEqualTypeOf<
      Stream.Stream<string, Failure, Claude.Claude>
    >()
  })

  it("adds DeadlineExceeded to the error type if it has, or may have, an overall limit", () => {
    const own = Effect.fail(new Busy())
    const unknown: Policy.Policy = {}
    type Both = Effect.Effect<never, Busy | ClaudeError.DeadlineExceeded>
    expectTypeOf(Policy.apply({ retry: Retry.standard, maxRetries: 8 })(own)).toEqualTypeOf<
      Effect.Effect<never, Busy>
    >()
    expectTypeOf(Policy.apply({ retry, overall: undefined })(own)).toEqualTypeOf<Effect.Effect<never, Busy>>()
    expectTypeOf(Policy.apply(Policy.standard)(own)).toEqualTypeOf<Both>()
    expectTypeOf(Policy.apply(unknown)(own)).toEqualTypeOf<Both>()
  })

  it("has one schedule, or one per kind of error, which receives that error", () => {
    const extended = {
      ...Policy.standard,
      retry: { ...Retry.standard, RateLimited: retry, CircuitOpen: undefined, MalformedOutput: forMalformed },
      truncated: { continue: 2 },
      paused: { continue: 1 },
      empty: { nudge: 1 }
    } as const satisfies Policy.Policy
    expectTypeOf(Policy.apply(extended)).toBeFunction()
    expectTypeOf(Policy.apply({ retry: Schedule.spaced("1 second") })).toBeFunction()
    const joining = Retry.byTag({ ...Retry.standard, Busy: Retry.linear({ times: 3 }) }, Busy)
    expectTypeOf(Policy.apply({ retry: joining })).toBeFunction()
    // @effect-diagnostics missingEffectError:off
    // @ts-expect-error a schedule for MalformedOutput, not for every error
    expectTypeOf(() => Policy.apply({ retry: forMalformed })).toBeFunction()
    // @ts-expect-error a schedule for MalformedOutput, not for Overloaded
    expectTypeOf(() => Policy.apply({ retry: { Overloaded: forMalformed } })).toBeFunction()
    // @ts-expect-error a number is not a schedule
    expectTypeOf(() => Policy.apply({ retry: { Overloaded: 3 } })).toBeFunction()
  })

  it("with a misspelt field does not satisfy Policy", () => {
    // @ts-expect-error
    expectTypeOf({ overal: "1 minute" } satisfies Policy.Policy).toBeObject()
    // @ts-expect-error
    expectTypeOf({ ...Policy.standard, overal: "1 minute" } satisfies Policy.Policy).toBeObject()
    // @ts-expect-error
    expectTypeOf({ retry: { RateLimitted: retry } } satisfies Policy.Policy).toBeObject()
    // @ts-expect-error
    expectTypeOf({ retry: { ...Retry.standard, RateLimitted: retry } } satisfies Policy.Policy).toBeObject()
    // @ts-expect-error
    expectTypeOf({ truncated: { raiseto: 9000 } } satisfies Policy.Policy).toBeObject()
    // @ts-expect-error
    expectTypeOf({ paused: { continue: 2, times: 3 } } satisfies Policy.Policy).toBeObject()
    // @ts-expect-error
    expectTypeOf({ empty: { nugde: 1 } } satisfies Policy.Policy).toBeObject()
  })

  it("with a misspelt field is refused by apply", () => {
    // @ts-expect-error
    expectTypeOf(() => Policy.apply({ overal: "1 minute" })).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.apply({ ...Policy.standard, overal: "1 minute" })).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => call.pipe(Policy.apply({ ...Policy.standard, maxRetrys: 3 }))).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.apply({ retry: { RateLimitted: retry } })).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.apply({ retry: { ...Retry.standard, RateLimitted: retry } })).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.apply({ truncated: { continue: 2, raiseto: 9000 } })).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.apply({ paused: { continue: 2, times: 3 } })).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.apply({ empty: { nudge: 1, times: 3 } })).toBeFunction()
  })

  it("with a misspelt field is refused by applyStream", () => {
    // @ts-expect-error
    expectTypeOf(() => Policy.applyStream({ ...Policy.standard, onbreak: "resume" })).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.applyStream({ retry: { ...Retry.standard, RateLimitted: retry } })).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.applyStream({ truncated: { continue: 2, raiseto: 9000 } })).toBeFunction()
  })

  it("with a misspelt field is refused even if the policy is not an object literal", () => {
    const slips = {
      field: { overall: "1 minute", overal: "1 minute" },
      tag: { retry: { Overloaded: retry, RateLimitted: retry } },
      truncated: { truncated: { continue: 2, raiseto: 9000 } }
    } as const
    // @ts-expect-error
    expectTypeOf(() => Policy.apply(slips.field)).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.apply(slips.tag)).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.applyStream(slips.tag)).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.apply(slips.truncated)).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Retry.byTag(slips.tag.retry)).toBeFunction()
  })

  it("without any known field is refused, although all fields are optional", () => {
    const slips = { field: { overal: "1 minute" }, tags: { RateLimitted: retry } } as const
    // @ts-expect-error
    expectTypeOf(() => Policy.apply(slips.field)).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.apply({ retry: slips.tags })).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.applyStream({ retry: slips.tags })).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Retry.byTag(slips.tags)).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.apply({ retry: 3 })).toBeFunction()
    // @ts-expect-error
    expectTypeOf(() => Policy.apply({ retry: new Map([["Overloaded", retry]]) })).toBeFunction()
    // @ts-expect-error Retry.backoff is not called
    expectTypeOf(() => Policy.apply({ retry: Retry.backoff })).toBeFunction()
    // @ts-expect-error a schedule is not a record
    expectTypeOf(() => Retry.byTag(retry)).toBeFunction()
  })
})
