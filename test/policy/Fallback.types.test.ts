/** The error types after each fallback. A wrong type fails in `tsc`, not when the tests run. */
import { it } from "@effect/vitest"
import { Context, Data, Effect, Layer, Schema } from "effect"
import { describe, expectTypeOf } from "vitest"
import { Claude, ClaudeError, Fallback, Policy, Retry } from "../../src/index.ts"
import { FakeClaude } from "../../src/testing/index.ts"

type Failure = ClaudeError.ClaudeError
type Notice = Fallback.Notice
type Some = ClaudeError.Refused | ClaudeError.Truncated
type Rest = Exclude<Failure, Some>
type ErrorOf<T> = T extends Effect.Effect<infer _A, infer E, infer _R> ? E : never

class Mine extends Data.TaggedError("Mine")<{ readonly by: string }> {}
/** An application error with a tag of this library. */
class Overloaded extends Data.TaggedError("Overloaded")<{ readonly by: string }> {}
class Cache extends Context.Service<Cache, { readonly get: Effect.Effect<number, Mine> }>()("test/Cache") {}

const call = Claude.text("hi")
const both = Effect.flatMap(
  call,
  (text) => Effect.fail(text === "" ? new Mine({ by: "" }) : new Overloaded({ by: "" }))
)
const kinds: ReadonlyArray<ClaudeError.Tag> = ["Refused"]

describe("Effect.catchIf(ClaudeError.is, …) in a helper that is generic in its errors", () => {
  const respond = (error: ClaudeError.ClaudeError) => Effect.succeed(error.message)

  it("takes a function expression, and not the bare name of a function, in a pipe", () => {
    const named = <E, R>(self: Effect.Effect<string, E, R>) =>
      // @ts-expect-error: the argument is not inferred
      self.pipe(Effect.catchIf(ClaudeError.is, respond))
    const written = <E, R>(self: Effect.Effect<string, E, R>) =>
      self.pipe(Effect.catchIf(ClaudeError.is, (error) => respond(error)))
    expectTypeOf(written(call)).toEqualTypeOf<Effect.Effect<string, never, Claude.Claude>>()
    void named
  })
})

describe("Policy.apply", () => {
  it("keeps all errors in the error type, and adds DeadlineExceeded only with `overall`", () => {
    expectTypeOf(Policy.apply({ retry: Retry.standard })(both)).toEqualTypeOf<
      Effect.Effect<never, Failure | Mine | Overloaded, Claude.Claude>
    >()
    expectTypeOf(Policy.apply({ overall: "1 minute" })(Effect.fail(new Mine({ by: "" })))).toEqualTypeOf<
      Effect.Effect<never, Mine | ClaudeError.DeadlineExceeded>
    >()
  })
})

describe("Fallback.notice", () => {
  it("removes all errors of this library from the error type", () => {
    expectTypeOf(Fallback.notice()(call)).toEqualTypeOf<Effect.Effect<string | Notice, never, Claude.Claude>>()
    expectTypeOf(Fallback.notice()(both)).toEqualTypeOf<Effect.Effect<Notice, Mine | Overloaded, Claude.Claude>>()
    expectTypeOf(Fallback.notice({})(both)).toEqualTypeOf<Effect.Effect<Notice, Mine | Overloaded, Claude.Claude>>()
    expectTypeOf(Fallback.notice({ on: undefined })(both)).toEqualTypeOf<
      Effect.Effect<Notice, Mine | Overloaded, Claude.Claude>
    >()
  })

  it("removes the kinds in `on` from the error type", () => {
    expectTypeOf(Fallback.notice({ on: ["Refused", "Truncated"] })(call)).toEqualTypeOf<
      Effect.Effect<string | Notice, Rest, Claude.Claude>
    >()
    expectTypeOf(Fallback.notice({ on: ["Overloaded"] })(both)).toEqualTypeOf<
      Effect.Effect<Notice, Exclude<Failure, ClaudeError.Overloaded> | Mine | Overloaded, Claude.Claude>
    >()
    expectTypeOf(Fallback.notice({ on: [] })(call)).toEqualTypeOf<
      Effect.Effect<string | Notice, Failure, Claude.Claude>
    >()
  })

  it("keeps an application error with any tag and shape in the error type", () => {
    class Refused extends Data.TaggedError("Refused") {}
    expectTypeOf(Fallback.notice()(Effect.fail(new Refused()))).toEqualTypeOf<Effect.Effect<Notice, Refused>>()
    expectTypeOf(Fallback.notice({ on: ["Refused"] })(Effect.fail(new Refused()))).toEqualTypeOf<
      Effect.Effect<Notice, Refused>
    >()
    expectTypeOf(Fallback.notice()(Effect.fail<unknown>(1))).toEqualTypeOf<Effect.Effect<Notice, unknown>>()
    expectTypeOf(Fallback.notice()(Effect.fail("mine" as const))).toEqualTypeOf<Effect.Effect<Notice, "mine">>()
  })

  it("removes the errors of this library from a generic error type", () => {
    const sorry = <A, E, R>(self: Effect.Effect<A, E | Failure, R>) => Fallback.notice()(self)
    expectTypeOf(sorry(both)).toEqualTypeOf<Effect.Effect<Notice, Mine | Overloaded, Claude.Claude>>()
  })

  it("removes no error from the error type if the kinds are known only at run time", () => {
    expectTypeOf(Fallback.notice({ on: kinds })(call)).toEqualTypeOf<
      Effect.Effect<string | Notice, Failure, Claude.Claude>
    >()
  })

  it("removes from the error type only the kinds that are certain to be in the list", () => {
    type Left<E> = Effect.Effect<string | Notice, E, Claude.Claude>
    const kind = "Refused" as "Refused" | "Truncated"
    const list = ["Refused", "Truncated"] as ["Refused", "Truncated"] | ["Refused", "Overloaded"]
    const apart = ["Refused"] as ["Refused"] | ["Truncated"]
    const maybe = ["Refused"] as ["Refused"] | undefined
    const more = ["Refused"] as ["Refused", ...Array<"Truncated">]
    const fixed = ["Refused", "Truncated"] as const
    expectTypeOf(() => Fallback.notice({ on: [kind] })(call)).returns.toEqualTypeOf<Left<Failure>>()
    expectTypeOf(() => Fallback.notice({ on: ["Overloaded", kind] })(call)).returns.toEqualTypeOf<
      Left<Exclude<Failure, ClaudeError.Overloaded>>
    >()
    expectTypeOf(() => Fallback.notice({ on: list })(call)).returns.toEqualTypeOf<
      Left<Exclude<Failure, ClaudeError.Refused>>
    >()
    expectTypeOf(() => Fallback.notice({ on: apart })(call)).returns.toEqualTypeOf<Left<Failure>>()
    expectTypeOf(() => Fallback.notice({ on: maybe })(call)).returns.toEqualTypeOf<
      Left<Exclude<Failure, ClaudeError.Refused>>
    >()
    expectTypeOf(() => Fallback.notice({ on: more })(call)).returns.toEqualTypeOf<
      Left<Exclude<Failure, ClaudeError.Refused>>
    >()
    expectTypeOf(() => Fallback.notice({ on: fixed })(call)).returns.toEqualTypeOf<Left<Rest>>()
  })

  it("accepts only existing kinds, and `words` as a function of any error of this library", () => {
    // @ts-expect-error unknown kind
    expectTypeOf(() => Fallback.notice({ on: ["Refuse"] })).toBeFunction()
    // @ts-expect-error an application error
    expectTypeOf(() => Fallback.notice({ on: ["Mine"] })).toBeFunction()
    // @ts-expect-error misspelt
    expectTypeOf(() => Fallback.notice({ word: () => "no" })).toBeFunction()
    Fallback.notice({
      words: (error) => {
        expectTypeOf(error).toEqualTypeOf<Failure>()
        return error._tag === "Refused" ? "no" : undefined
      }
    })
  })

  it("removes all errors of a call under a policy from the error type", () => {
    const ended = Claude.text("hi").pipe(
      Policy.apply({ ...Policy.standard, models: ["claude-haiku-5-5"], overall: "1 minute" }),
      Fallback.notice()
    )
    expectTypeOf<ErrorOf<typeof ended>>().toBeNever()
  })
})

describe("Effect's own recovery", () => {
  const cached = Effect.flatMap(Cache, ({ get }) => get)

  it("with catchTag and a list of kinds removes these kinds from the error type", () => {
    const some = Effect.catchTag(call, ["Refused", "Truncated"], (error) => {
      expectTypeOf(error).toEqualTypeOf<Some>()
      return cached
    })
    expectTypeOf(some).toEqualTypeOf<Effect.Effect<string | number, Rest | Mine, Claude.Claude | Cache>>()
  })

  it("with catchIf and ClaudeError.is removes all errors of this library from the error type, and keeps application errors", () => {
    const sorry = Effect.flatMap(call, (text) => text === "" ? Effect.fail(new Mine({ by: "" })) : cached).pipe(
      Effect.catchIf(ClaudeError.is, (error) => {
        expectTypeOf(error).toEqualTypeOf<Failure>()
        return Effect.succeed(error._tag)
      })
    )
    expectTypeOf(sorry).toEqualTypeOf<Effect.Effect<number | ClaudeError.Tag, Mine, Claude.Claude | Cache>>()
    expectTypeOf(Effect.catchIf(call, ClaudeError.is, () => Effect.void)).toEqualTypeOf<
      Effect.Effect<string | void, never, Claude.Claude>
    >()
  })

  it("with catchIf and ClaudeError.is removes from the error type the errors of this library that catchTag did not catch", () => {
    const none = call.pipe(
      Effect.catchTag(["Refused", "Truncated"], () => cached),
      Effect.catchIf(ClaudeError.is, (error) => {
        expectTypeOf(error).toEqualTypeOf<Rest>()
        return Effect.succeed(null)
      })
    )
    expectTypeOf(none).toEqualTypeOf<Effect.Effect<string | number | null, Mine, Claude.Claude | Cache>>()
    const mine = Effect.catchIf(Effect.fail(new Mine({ by: "" })), ClaudeError.is, () => Effect.void)
    expectTypeOf(mine).toEqualTypeOf<Effect.Effect<void, Mine>>()
  })
})

describe("Fallback.accounts", () => {
  const one = Layer.effect(Claude.Claude, Effect.fail(new Mine({ by: "" })))
  const other = Layer.effect(
    Claude.Claude,
    Effect.flatMap(Cache, () => Effect.fail(new Overloaded({ by: "" })))
  )
  const more = Layer.merge(Layer.effect(Claude.Claude, Effect.never), Layer.succeed(Cache, { get: Effect.succeed(1) }))

  it("adds the services that the layers require, adds none of the layers' errors, and keeps all errors of the call", () => {
    expectTypeOf(Fallback.accounts([one, other])(call)).toEqualTypeOf<
      Effect.Effect<string, Failure, Claude.Claude | Cache>
    >()
    expectTypeOf(Fallback.accounts([more])(both)).toEqualTypeOf<typeof both>()
    expectTypeOf(Fallback.accounts([])(call)).toEqualTypeOf<typeof call>()
    const list: ReadonlyArray<Layer.Layer<Claude.Claude, Mine>> = [one]
    expectTypeOf(Fallback.accounts(list)(call)).toEqualTypeOf<Effect.Effect<string, Failure, Claude.Claude>>()
  })

  it("accepts only a list of layers of Claude", () => {
    // @ts-expect-error another service
    expectTypeOf(() => Fallback.accounts([Layer.succeed(Cache, { get: Effect.succeed(1) })])).toBeFunction()
    // @ts-expect-error not a list
    expectTypeOf(() => Fallback.accounts(one)).toBeFunction()
  })
})

describe("the option `on`", () => {
  it("may be undefined, or have an undefined entry, in every fallback", () => {
    const on = { Overloaded: undefined }
    const lastGood = { key: "a", schema: Schema.String, maxAge: "1 hour" } as const
    expectTypeOf(() => Fallback.models(["claude-haiku-5-5"], { on })).toBeFunction()
    expectTypeOf(() => Fallback.accounts([FakeClaude.layer([])], { on })).toBeFunction()
    expectTypeOf(() => Fallback.lastGood({ ...lastGood, on })).toBeFunction()
    expectTypeOf(() => Fallback.notice({ on: undefined })).toBeFunction()
  })

  it("accepts \"larger\" for models, but not for accounts", () => {
    const on: Fallback.On<boolean | "larger"> = { ContextWindowExceeded: "larger" }
    expectTypeOf(() => Fallback.models(["claude-haiku-5-5"], { on })).toBeFunction()
    // @ts-expect-error an account has no window
    expectTypeOf(() => Fallback.accounts([FakeClaude.layer([])], { on })).toBeFunction()
  })
})
