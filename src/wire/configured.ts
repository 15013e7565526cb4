/** Options that come from the configuration: those that are given as a `Config`, and those that have a variable. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { isKey } from "./credential.ts"
import { isUrl, type Options } from "./sdkClient.ts"

/** The same options, of which each may be a `Config`, which is read when the layer is built. */
export type Configurable<O> = { readonly [K in keyof O]: O[K] | Config.Config<O[K]> }

/**
 * A layer whose options are read when it is built. Whatever is wrong with one is a `ConfigError`, whose text shows no key.
 * `module` is where the options can be given in code.
 */
export const layer = <O extends Options, A>(
  module: string,
  given: Configurable<O>,
  make: (options: O) => Layer.Layer<A>
): Layer.Layer<A, Config.ConfigError> =>
  Layer.unwrap(Effect.flatMap(
    withVariables(module, given),
    // They are all that was given, each read, and the missing ones of `Options`.
    (options) => Effect.try({ try: () => make(options as O), catch: (refused) => unfit(messageOf(refused)) })
  ))

/** What was given, and for a key or an address that was not, what its variable says. */
const withVariables = Effect.fnUntraced(function*(module: string, given: Configurable<Options>) {
  const options: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(given)) options[name] = Config.isConfig(value) ? yield* value : value
  // A client has both.
  if (options["client"] !== undefined) return options
  options["baseUrl"] ??= yield* variable("ANTHROPIC_BASE_URL", isUrl, "is not an http or https URL without a user")
  if (options["apiKey"] !== undefined || options["authToken"] !== undefined) return options
  const apiKey = yield* secret("ANTHROPIC_API_KEY")
  const authToken = apiKey === undefined ? yield* secret("ANTHROPIC_AUTH_TOKEN") : undefined
  if (apiKey === undefined && authToken === undefined) {
    return yield* Effect.fail(unfit(
      "There is no key for the API: neither ANTHROPIC_API_KEY nor ANTHROPIC_AUTH_TOKEN is set. "
        + `Set one of them in the environment, or pass the key in code: ${module}.layer({ apiKey })`
    ))
  }
  return { ...options, apiKey, authToken }
})

/** The value of a variable that is set, and not empty. It may be secret, so that an error does not show it. */
const variable = (name: string, isFit: (value: string) => boolean, unfitBecause: string) =>
  Effect.flatMap(Config.option(Config.String(name)), (found) => {
    const value = Option.getOrUndefined(found) || undefined
    return value === undefined || isFit(value)
      ? Effect.succeed(value)
      : Effect.fail(unfit(`${name} ${unfitBecause}: set it to another value, or remove it`))
  })

const secret = (name: string) =>
  variable(name, isKey, "has characters that a header cannot carry, such as a space or a line break")

const unfit = (sentence: string): Config.ConfigError =>
  new Config.ConfigError(new Schema.SchemaError(new SchemaIssue.InvalidValue({ message: sentence })))

const messageOf = (thrown: unknown): string => thrown instanceof Error ? thrown.message : String(thrown)
