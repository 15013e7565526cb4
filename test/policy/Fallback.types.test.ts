/** What fallbacks leave of the errors of a call: `tsc` is what fails here. */
import { it } from "@effect/vitest"
import { Context, Data, Effect, Layer } from "effect"
import { describe, expectTypeOf } from "vitest"
import { Claude, type ClaudeError, Fallback, Policy, Retry } from "../../src/index.ts"

type Failure = ClaudeError.ClaudeError
type Some = ClaudeError.Refused | ClaudeError.Truncated
type Rest = Exclude<Failure, Some>
type ErrorOf<T> = T extends Effect.Effect<infer _A, infer E, infer _R> ? E : never

class Mine extends Data.TaggedError("Mine")<{ readonly by: string }> {}
/** Of the application's, by a name that we use too. */
class Overloaded extends Data.TaggedError("Overloaded")<{ readonly by: string }> {}
class Cache extends Context.Service<Cache, { readonly get: Effect.Effect<number, Mine> }>()("test/Cache") {}

const call = Claude.text("hi")
const both = Effect.flatMap(
  call,
  (text) => Effect.fail(text === "" ? new Mine({ by: "" }) : new Overloaded({ by: "" }))
)
const kinds: ReadonlyArray<ClaudeError.Tag> = ["Refused"]

describe("apply", () => {
  it("adds what its policy adds, and removes nothing", () => {
    expectTypeOf(Policy.apply({ retry: Retry.standard })(both)).toEqualTypeOf<
      Effect.Effect<never, Failure | Mine | Overloaded, Claude.Claude>
    >()
    expectTypeOf(Policy.apply({ overall: "1 minute" })(Effect.fail(new Mine({ by: "" })))).toEqualTypeOf<
      Effect.Effect<never, Mine | ClaudeError.DeadlineExceeded>
    >()
  })
})

describe("value", () => {
  it("removes all of ours", () => {
    expectTypeOf(Fallback.value("sorry")(call)).toEqualTypeOf<Effect.Effect<string, never, Claude.Claude>>()
    expectTypeOf(Fallback.value(1)(both)).toEqualTypeOf<Effect.Effect<1, Mine | Overloaded, Claude.Claude>>()
    expectTypeOf(Fallback.value(1, {})(both)).toEqualTypeOf<Effect.Effect<1, Mine | Overloaded, Claude.Claude>>()
    expectTypeOf(Fallback.value(1, { on: undefined })(both)).toEqualTypeOf<
      Effect.Effect<1, Mine | Overloaded, Claude.Claude>
    >()
  })

  it("removes the kinds that are named", () => {
    expectTypeOf(Fallback.value(null, { on: ["Refused", "Truncated"] })(call)).toEqualTypeOf<
      Effect.Effect<string | null, Rest, Claude.Claude>
    >()
    expectTypeOf(Fallback.value(null, { on: ["Overloaded"] })(both)).toEqualTypeOf<
      Effect.Effect<null, Exclude<Failure, ClaudeError.Overloaded> | Mine | Overloaded, Claude.Claude>
    >()
    expectTypeOf(Fallback.value(null, { on: [] })(call)).toEqualTypeOf<
      Effect.Effect<string | null, Failure, Claude.Claude>
    >()
  })

  it("leaves an application's own error, whatever its tag and its shape", () => {
    class Refused extends Data.TaggedError("Refused") {}
    expectTypeOf(Fallback.value(1)(Effect.fail(new Refused()))).toEqualTypeOf<Effect.Effect<1, Refused>>()
    expectTypeOf(Fallback.value(1, { on: ["Refused"] })(Effect.fail(new Refused()))).toEqualTypeOf<
      Effect.Effect<1, Refused>
    >()
    expectTypeOf(Fallback.value(1)(Effect.fail<unknown>(1))).toEqualTypeOf<Effect.Effect<1, unknown>>()
    expectTypeOf(Fallback.value(1)(Effect.fail("mine" as const))).toEqualTypeOf<Effect.Effect<1, "mine">>()
  })

  it("goes with an error that is not known yet", () => {
    const sorry = <A, E, R>(self: Effect.Effect<A, E | Failure, R>) => Fallback.value("sorry")(self)
    expectTypeOf(sorry(both)).toEqualTypeOf<Effect.Effect<"sorry", Mine | Overloaded, Claude.Claude>>()
  })

  it("removes none, if the kinds are only known when it runs", () => {
    expectTypeOf(Fallback.value(null, { on: kinds })(call)).toEqualTypeOf<
      Effect.Effect<string | null, Failure, Claude.Claude>
    >()
  })

  it("removes what is certain: of several lists what is in each, and no kind that is one of several", () => {
    const kind = "Refused" as "Refused" | "Truncated"
    const list = ["Refused", "Truncated"] as ["Refused", "Truncated"] | ["Refused", "Overloaded"]
    expectTypeOf(() => Fallback.value(null, { on: [kind] })(call)).returns.toEqualTypeOf<
      Effect.Effect<string | null, Failure, Claude.Claude>
    >()
    expectTypeOf(() => Fallback.value(null, { on: ["Overloaded", kind] })(call)).returns.toEqualTypeOf<
      Effect.Effect<string | null, Exclude<Failure, ClaudeError.Overloaded>, Claude.Claude>
    >()
    expectTypeOf(() => Fallback.notice({ on: list })(call)).returns.toEqualTypeOf<
      Effect.Effect<string | Fallback.Notice, Exclude<Failure, ClaudeError.Refused>, Claude.Claude>
    >()
    const apart = ["Refused"] as ["Refused"] | ["Truncated"]
    expectTypeOf(() => Fallback.value(null, { on: apart })(call)).returns.toEqualTypeOf<
      Effect.Effect<string | null, Failure, Claude.Claude>
    >()
    const maybe = ["Refused"] as ["Refused"] | undefined
    expectTypeOf(() => Fallback.value(null, { on: maybe })(call)).returns.toEqualTypeOf<
      Effect.Effect<string | null, Exclude<Failure, ClaudeError.Refused>, Claude.Claude>
    >()
    const more = ["Refused"] as ["Refused", ...Array<"Truncated">]
    expectTypeOf(() => Fallback.value(null, { on: more })(call)).returns.toEqualTypeOf<
      Effect.Effect<string | null, Exclude<Failure, ClaudeError.Refused>, Claude.Claude>
    >()
    const fixed = ["Refused", "Truncated"] as const
    expectTypeOf(() => Fallback.value(null, { on: fixed })(call)).returns.toEqualTypeOf<
      Effect.Effect<string | null, Rest, Claude.Claude>
    >()
    expectTypeOf(() => Fallback.effect(() => Effect.void, { on: [kind] })(call)).returns.toEqualTypeOf<
      Effect.Effect<string | void, Failure, Claude.Claude>
    >()
  })

  it("takes kinds that there are", () => {
    // @ts-expect-error there is no such kind
    expectTypeOf(() => Fallback.value(null, { on: ["Refuse"] })).toBeFunction()
    // @ts-expect-error an application's own error has its own ways
    expectTypeOf(() => Fallback.value(null, { on: ["Mine"] })).toBeFunction()
  })
})

describe("notice", () => {
  it("removes all of ours", () => {
    expectTypeOf(Fallback.notice()(both)).toEqualTypeOf<
      Effect.Effect<Fallback.Notice, Mine | Overloaded, Claude.Claude>
    >()
    expectTypeOf(Fallback.notice({ language: Fallback.english })(call)).toEqualTypeOf<
      Effect.Effect<string | Fallback.Notice, never, Claude.Claude>
    >()
  })

  it("removes the kinds that are named", () => {
    expectTypeOf(Fallback.notice({ on: ["Refused", "Truncated"], text: { Refused: "No." } })(call)).toEqualTypeOf<
      Effect.Effect<string | Fallback.Notice, Rest, Claude.Claude>
    >()
  })

  it("gives words of one's own the error of their kind", () => {
    const notice = Fallback.notice({
      text: {
        SpendLimitReached: (error) => {
          expectTypeOf(error).toEqualTypeOf<ClaudeError.SpendLimitReached>()
          return ""
        }
      }
    })
    expectTypeOf(notice(call)).toEqualTypeOf<Effect.Effect<string | Fallback.Notice, never, Claude.Claude>>()
  })

  it("is the end of the ladder", () => {
    const ended = Claude.text("hi").pipe(
      Policy.apply({ retry: Retry.standard, models: ["claude-haiku-5-5"], overall: "1 minute" }),
      Fallback.notice()
    )
    expectTypeOf<ErrorOf<typeof ended>>().toBeNever()
  })
})

describe("effect", () => {
  it("adds what it may fail with and what it needs", () => {
    const cached = Effect.flatMap(Cache, ({ get }) => get)
    expectTypeOf(Fallback.effect(() => cached)(call)).toEqualTypeOf<
      Effect.Effect<string | number, Mine, Claude.Claude | Cache>
    >()
    expectTypeOf(Fallback.effect(() => cached, { on: ["Refused", "Truncated"] })(call)).toEqualTypeOf<
      Effect.Effect<string | number, Rest | Mine, Claude.Claude | Cache>
    >()
    expectTypeOf(Fallback.effect((error) => Effect.fail(error), { on: ["Refused"] })(call)).toEqualTypeOf<
      Effect.Effect<string, Failure, Claude.Claude>
    >()
  })

  it("is given the errors it is for", () => {
    Fallback.effect((error) => {
      expectTypeOf(error).toEqualTypeOf<Failure>()
      return Effect.void
    })
    Fallback.effect((error) => {
      expectTypeOf(error).toEqualTypeOf<Some>()
      return Effect.void
    }, { on: ["Refused", "Truncated"] })
    Fallback.effect((error) => {
      expectTypeOf(error).toEqualTypeOf<Failure>()
      return Effect.void
    }, { on: kinds })
  })
})

describe("accounts", () => {
  const one = Layer.effect(Claude.Claude, Effect.fail(new Mine({ by: "" })))
  const other = Layer.effect(
    Claude.Claude,
    Effect.flatMap(Cache, () => Effect.fail(new Overloaded({ by: "" })))
  )
  const more = Layer.merge(Layer.effect(Claude.Claude, Effect.never), Layer.succeed(Cache, { get: Effect.succeed(1) }))

  it("adds what the layers need, not what they may fail with, and removes nothing", () => {
    expectTypeOf(Fallback.accounts([one, other])(call)).toEqualTypeOf<
      Effect.Effect<string, Failure, Claude.Claude | Cache>
    >()
    expectTypeOf(Fallback.accounts([more])(both)).toEqualTypeOf<typeof both>()
    expectTypeOf(Fallback.accounts([])(call)).toEqualTypeOf<typeof call>()
    const list: ReadonlyArray<Layer.Layer<Claude.Claude, Mine>> = [one]
    expectTypeOf(Fallback.accounts(list)(call)).toEqualTypeOf<Effect.Effect<string, Failure, Claude.Claude>>()
  })

  it("takes layers of Claude", () => {
    // @ts-expect-error it is another service
    expectTypeOf(() => Fallback.accounts([Layer.succeed(Cache, { get: Effect.succeed(1) })])).toBeFunction()
    // @ts-expect-error it is no list
    expectTypeOf(() => Fallback.accounts(one)).toBeFunction()
  })
})
