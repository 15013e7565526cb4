/**
 * Fallback models and accounts: if a model is down, refuses, or has too small a context window, the next model is asked, with
 * an adapted request and reserved time. If the account reaches its spend limit, another account is asked.
 */
import { Config, Console, Effect, Layer } from "effect"
import { Claude, Fallback, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

export const policy = {
  ...Policy.standard,
  models: ["claude-opus-5", "claude-haiku-5-5"],
  refused: ["claude-opus-5"],
  overall: "1 minute",
  reserve: "12 seconds"
} as const satisfies Policy.Policy

const Backup = NodeAnthropic.layerConfig({ apiKey: Config.Redacted("BACKUP_ANTHROPIC_API_KEY") })

export const program = Claude.message("Plan a week of meals for a family of four.").pipe(
  Policy.apply(policy),
  Fallback.accounts([Backup]),
  Effect.tap(({ model, text }) => Console.log(`${model}: ${text}`))
)

/**
 * Builds the second account once, when the program starts, so that the account keeps its guards between calls. Without
 * its API key, the program does not start.
 */
const Accounts = Layer.merge(NodeAnthropic.layerConfig(), Layer.provide(Layer.empty, Backup))

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(Accounts)))
