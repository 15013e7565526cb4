import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Refuse from "../../options.ts"
import type { Guards } from "../Guards.ts"
import { compile } from "./record.ts"

const given = <A extends object>(
  options: { readonly [K in keyof A]: Config.Config<A[K]> }
): Config.Config<Partial<A>> =>
  // The cast of the result is safe, although the compiler cannot see it: each variable that is set has an entry.
  Config.map(
    Config.all(
      Object.entries(options).map(([name, config]) =>
        Config.map(Config.option(config as Config.Config<unknown>), (value) =>
          Option.map(value, (value) => [name, value]))
      )
    ),
    (entries) =>
      Object.fromEntries(entries.flatMap((entry) => Option.isSome(entry) ? [entry.value] : []))
  ) as Config.Config<Partial<A>>

/**
 * Guards from environment variables, read through Effect's `Config`. Options of unset variables have their defaults;
 * there is a `quota` only if one of its limits is set. `CLAUDE_CIRCUIT=false` and `CLAUDE_MONITOR=false` turn a guard
 * off, even if other variables configure it.
 * Usage: `Layer.unwrap(Effect.map(Guards.config, (guards) => Guards.apply(guards)(layer)))`.
 *
 * | variable | field |
 * |---|---|
 * | `CLAUDE_ACCOUNT` | `account` |
 * | `CLAUDE_CONCURRENCY_MAX`, `CLAUDE_CONCURRENCY_MIN`, `CLAUDE_QUEUE`, `CLAUDE_MAX_WAIT` | `concurrency` |
 * | `CLAUDE_REQUESTS_PER_MINUTE`, `CLAUDE_INPUT_TOKENS_PER_MINUTE`, `CLAUDE_OUTPUT_TOKENS_PER_MINUTE`, `CLAUDE_HEADROOM` | `quota` |
 * | `CLAUDE_CIRCUIT` (default: `true`), `CLAUDE_CIRCUIT_FAILURE_RATE`, `CLAUDE_CIRCUIT_MINIMUM_CALLS`, `CLAUDE_CIRCUIT_OPEN_FOR` | `circuit` |
 * | `CLAUDE_BUDGET` (default: `true`) | `budget` |
 * | `CLAUDE_MONITOR` (default: `true`), `CLAUDE_MONITOR_BELOW` | `monitor` |
 *
 * Fails with a `ConfigError` that says what to change if a variable is invalid, or if variables contradict each other.
 */
export const config: Config.Config<Guards> = Config.all({
  account: Config.withDefault(Config.String("CLAUDE_ACCOUNT"), "default"),
  concurrency: given({
    max: Config.Int("CLAUDE_CONCURRENCY_MAX"),
    min: Config.Int("CLAUDE_CONCURRENCY_MIN"),
    queue: Config.Int("CLAUDE_QUEUE"),
    maxWait: Config.Duration("CLAUDE_MAX_WAIT")
  }),
  limits: given({
    requests: Config.Finite("CLAUDE_REQUESTS_PER_MINUTE"),
    inputTokens: Config.Finite("CLAUDE_INPUT_TOKENS_PER_MINUTE"),
    outputTokens: Config.Finite("CLAUDE_OUTPUT_TOKENS_PER_MINUTE")
  }),
  headroom: given({ headroom: Config.Finite("CLAUDE_HEADROOM") }),
  hasCircuit: Config.withDefault(Config.Boolean("CLAUDE_CIRCUIT"), true),
  circuit: given({
    failureRate: Config.Finite("CLAUDE_CIRCUIT_FAILURE_RATE"),
    minimumCalls: Config.Int("CLAUDE_CIRCUIT_MINIMUM_CALLS"),
    openFor: Config.Duration("CLAUDE_CIRCUIT_OPEN_FOR")
  }),
  hasBudget: Config.withDefault(Config.Boolean("CLAUDE_BUDGET"), true),
  hasMonitor: Config.withDefault(Config.Boolean("CLAUDE_MONITOR"), true),
  monitor: given({ below: Config.Finite("CLAUDE_MONITOR_BELOW") })
}).pipe(
  Config.mapEffect(
    ({ account, circuit, concurrency, hasBudget, hasCircuit, hasMonitor, headroom, limits, monitor }) => {
      const guards: Guards = {
        account,
        concurrency: Object.keys(concurrency).length === 0 ? undefined : concurrency,
        quota: Object.keys(limits).length === 0 ? undefined : { ...limits, ...headroom, per: "1 minute" },
        circuit: hasCircuit ? circuit : undefined,
        budget: hasBudget ? {} : false,
        monitor: hasMonitor ? monitor : false
      }
      const checked = Result.try(() =>
        Object.keys(limits).length === 0 && headroom.headroom !== undefined
          ? Refuse.refuse(
            `CLAUDE_HEADROOM is ${headroom.headroom}, but no limit is set: set `
              + "CLAUDE_REQUESTS_PER_MINUTE or a limit of tokens, or remove CLAUDE_HEADROOM"
          )
          : compile(guards)
      )
      return Result.match(checked, {
        onSuccess: () => Effect.succeed(guards),
        onFailure: (cause) => {
          const words = cause instanceof Error ? cause.message : String(cause)
          const message = words.startsWith("CLAUDE_") ? words : `${words} (set by the CLAUDE_ variables)`
          return Effect.fail(new Config.ConfigError(new ConfigProvider.SourceError({ message, cause })))
        }
      })
    }
  )
)
