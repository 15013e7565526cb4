/**
 * Fallback models: when one is down, refuses, or cannot hold the conversation, the next one is asked, with a request
 * that it takes, and with time enough to answer. When the account has no money left, another one pays.
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
 * Where many calls are made, the other account is built once, with the program, and keeps its guards from call to call.
 * Only what runs inside shares it; and without its key, nothing starts.
 */
const Accounts = Layer.merge(NodeAnthropic.layerConfig(), Layer.provide(Layer.empty, Backup))

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(Accounts)))
