/**
 * Scripts of `fake-claude` in a JSON file: a list of steps. Most steps have the name of an export of `Faults`.
 *
 * All times in a file are in seconds, as in `retry-after`.
 */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import { isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Faults from "./Faults.ts"

/** Parses the text of a script file. `answer` is played for the step "answer". Fails with a description of the mistake. */
export const parse = (text: string): Result.Result<(answer: Faults.Turn) => Faults.Script, string> =>
  Result.gen(function*() {
    const list = yield* Result.try({
      // Some editors write a byte order mark.
      try: (): unknown => JSON.parse(text.replace(/^\uFEFF/, "")),
      catch: (error) => `it is not JSON: ${error instanceof Error ? error.message : String(error)}`
    })
    if (!Array.isArray(list)) return yield* Result.fail(`it must be a list of steps, such as ${example}`)
    const makes = yield* Result.all(
      list.map((given: unknown, index) =>
        Result.mapError(stepOf(given), (flaw) => `step ${index + 1} is ${shown(given)}: ${flaw}`)
      )
    )
    const [first, ...rest] = makes
    if (first === undefined) return yield* Result.fail(`it has no step: write at least one, such as ${example}`)
    return (answer) => Faults.untilLast(first(answer), ...rest.map((make) => make(answer)))
  })

export const example = `["overloaded", {"status": 429, "retryAfter": 2}, {"breaks": "The capital of "}, "answer"]`

type Make = (answer: Faults.Turn) => Faults.Turn

// -----------------------------------------------------------------------------
// Steps
// -----------------------------------------------------------------------------

const wordSteps: Readonly<Record<string, Make>> = {
  answer: (answer) => answer,
  emptyAnswer: () => Faults.emptyAnswer,
  overloaded: () => Faults.overloaded,
  rateLimited: () => Faults.rateLimited(),
  serverError: () => Faults.serverError,
  gatewayTimeout: () => Faults.gatewayTimeout,
  unauthorized: () => Faults.unauthorized,
  billing: () => Faults.billing,
  forbidden: () => Faults.forbidden,
  notFound: () => Faults.notFound,
  tooLarge: () => Faults.tooLarge,
  promptTooLong: () => Faults.promptTooLong,
  spendLimited: () => Faults.spendLimited,
  ownSpendLimit: () => Faults.ownSpendLimit,
  reset: () => Faults.reset,
  hangUp: () => Faults.hangUp,
  silence: () => Faults.silence,
  garbage: () => Faults.garbage,
  pings: () => Faults.pings()
}

const step = <A, I>(
  about: string,
  fields: Schema.Codec<A, I>,
  make: (step: A) => Faults.Turn
): { readonly about: string; readonly read: (given: object) => Result.Result<Faults.Turn, string> } => {
  const read = Schema.decodeUnknownResult(fields, { onExcessProperty: "error" })
  return {
    about,
    read: (given) => Result.mapBoth(read(given), { onSuccess: make, onFailure: ({ message }) => onOneLine(message) })
  }
}

const textStep = <Name extends string>(name: Name, about: string, make: (text: string) => Faults.Turn) =>
  step(about, Schema.Record(Schema.Literal(name), Schema.String), (step) => make(step[name]))

const seconds = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const status = Schema.Int.check(Schema.isBetween({ minimum: 400, maximum: 599 }))

/** By the key that names the step. */
const objectSteps = {
  answer: step(
    "a text; \"every\" is the wait before each event",
    Schema.Struct({ answer: Schema.String, every: Schema.optionalKey(seconds) }),
    ({ answer, every = 0 }) => Faults.answer(answer, { every: Duration.seconds(every) })
  ),
  value: step("any JSON", Schema.Struct({ value: Schema.Json }), ({ value }) => Faults.value(value)),
  tool: step(
    "a tool call: {\"name\": …, \"input\": …}",
    Schema.Struct({ tool: Schema.Struct({ name: Schema.String, input: Schema.Json }) }),
    ({ tool }) => Faults.answer("", { tool })
  ),
  lingers: textStep("lingers", "a text, then the socket stays open", Faults.lingers),
  refusal: textStep("refusal", "a text, then the stop reason refusal", Faults.refusal),
  maxTokens: textStep("maxTokens", "a text, then the stop reason max_tokens", Faults.maxTokens),
  paused: textStep("paused", "a text, then the stop reason pause_turn", Faults.paused),
  breaks: step(
    "a text, then the \"end\": \"cut\" (the default), \"reset\" or \"silence\"",
    Schema.Struct({ breaks: Schema.String, end: Schema.optionalKey(Schema.Literals(["cut", "reset", "silence"])) }),
    ({ breaks, end }) => Faults.breaks(breaks, end)
  ),
  errorAfter: step(
    "a text, then an error event; \"type\" and \"message\" are those of the error",
    Schema.Struct({
      errorAfter: Schema.String,
      type: Schema.optionalKey(Schema.String),
      message: Schema.optionalKey(Schema.String)
    }),
    ({ errorAfter, message, type }) => Faults.errorAfter(errorAfter, type, message)
  ),
  pings: textStep("pings", "a text, then pings", Faults.pings),
  rateLimited: step(
    "a 429 with this retry-after",
    Schema.Struct({ rateLimited: seconds }),
    (step) => Faults.rateLimited(Duration.seconds(step.rateLimited))
  ),
  html: step("a page with this status", Schema.Struct({ html: status }), (step) => Faults.html(step.html)),
  status: step(
    "an error of the API; \"type\", \"message\" and \"retryAfter\" are optional",
    Schema.Struct({
      status,
      type: Schema.optionalKey(Schema.String),
      message: Schema.optionalKey(Schema.String),
      retryAfter: Schema.optionalKey(seconds)
    }),
    ({ message = "scripted", retryAfter, status, type = errorTypes.get(status) ?? "api_error" }) =>
      Faults.fails(status, type, message, {
        headers: retryAfter === undefined ? undefined : { "retry-after": String(retryAfter) }
      })
  )
}

/** Source: platform.claude.com/docs/en/api/errors. */
const errorTypes: ReadonlyMap<number, string> = new Map([
  [400, "invalid_request_error"],
  [401, "authentication_error"],
  [402, "billing_error"],
  [403, "permission_error"],
  [404, "not_found_error"],
  [413, "request_too_large"],
  [429, "rate_limit_error"],
  [504, "timeout_error"],
  [529, "overloaded_error"]
])

const wordNames = Object.keys(wordSteps).map((word) => `"${word}"`)

export const help = [
  ...Arr.chunksOf(wordNames, 5).map((names) => `  ${names.join(" ")}`),
  ...Object.entries(objectSteps).map(([name, { about }]) => `  {"${name}": …}`.padEnd(21) + about)
].join("\n")

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const isName = (name: string): name is keyof typeof objectSteps => Object.hasOwn(objectSteps, name)

const stepOf = (given: unknown): Result.Result<Make, string> => {
  if (isString(given)) {
    const make = Object.hasOwn(wordSteps, given) ? wordSteps[given] : undefined
    return make === undefined
      ? Result.fail(isName(given) ? `it needs a value, {"${given}": …} (${objectSteps[given].about})` : unknown)
      : Result.succeed(make)
  }
  if (!isObject(given)) return Result.fail(unknown)
  const { after = 0, ...rest } = given
  const name = Object.keys(rest).find(isName)
  if (name === undefined) return Result.fail(unknown)
  if (!Schema.is(seconds)(after)) return Result.fail(`"after" must be a number of seconds`)
  return Result.map(objectSteps[name].read(rest), (turn) => () => Faults.delayed(turn, Duration.seconds(after)))
}

const unknown = `there is no such step: it must be one of ${wordNames.join(", ")}, or ${
  Object.keys(objectSteps).map((name) => `{"${name}": …}`).join(", ")
}`

const shown = (given: unknown): string => {
  const json = JSON.stringify(given)
  return json.length > 60 ? `${json.slice(0, 60)}…` : json
}

const onOneLine = (message: string): string => message.replaceAll(/\s*\n\s*/g, " ")
