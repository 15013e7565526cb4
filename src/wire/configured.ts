/** Resolves options that are a `Config`, and reads a missing key or address from environment variables. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Refuse from "../options.ts"
import { isKey } from "./credential.ts"
import { flawOfUrl, type Options } from "./sdkClient.ts"

/** Options, each of which may also be a `Config` that is read when the layer is built. */
export type Configurable<O> = { readonly [K in keyof O]: O[K] | Config.Config<O[K]> }

/**
 * Builds a layer after reading its options. Fails with a `ConfigError` if an option is missing or invalid. `module` is the
 * name of the module, for error messages; `fields` has the names of its options.
 */
export const layer = <O extends Options, A>(
  module: string,
  fields: { readonly [K in keyof Required<O>]: true },
  given: Configurable<O>,
  make: (options: O) => Layer.Layer<A>
): Layer.Layer<A, Config.ConfigError> =>
  Layer.unwrap(Effect.flatMap(
    Effect.andThen(fit(() => Refuse.unknown(module, given, fields)), withVariables(module, given)),
    // `withVariables` resolves every given option and adds only fields of `Options`, so the cast is safe.
    (options) => fit(() => make(options as O))
  ))

const fit = <A>(check: () => A): Effect.Effect<A, Config.ConfigError> =>
  Effect.try({ try: check, catch: (refused) => unfit(messageOf(refused)) })

const withVariables = Effect.fnUntraced(function*(module: string, given: Configurable<Options>) {
  const options: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(given)) options[name] = Config.isConfig(value) ? yield* value : value
  // A client has its own key and address.
  if (options["client"] !== undefined) return options
  options["baseUrl"] ??= yield* variable(
    "ANTHROPIC_BASE_URL",
    flawOfUrl
  )
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

/** Reads a variable. An empty value counts as not set. Errors do not show the value, which may be secret. */
const variable = (name: string, flawOf: (value: string) => string | undefined) =>
  Effect.flatMap(Config.option(Config.String(name)), (found) => {
    const value = Option.getOrUndefined(found) || undefined
    const flaw = value === undefined ? undefined : flawOf(value)
    return flaw === undefined
      ? Effect.succeed(value)
      : Effect.fail(unfit(`${name} ${flaw}`))
  })

const secret = (name: string) =>
  variable(
    name,
    (value) =>
      isKey(value)
        ? undefined
        : "has characters that are not allowed in a header, such as a space or a line break: remove them"
  )

const unfit = (sentence: string): Config.ConfigError =>
  new Config.ConfigError(new Schema.SchemaError(new SchemaIssue.InvalidValue({ message: sentence })))

const messageOf = (thrown: unknown): string => thrown instanceof Error ? thrown.message : String(thrown)
