import { Console, Effect, Predicate, Schema } from "effect"
import { Claude, Fallback, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

const policy = { ...Policy.standard, models: ["claude-haiku-5-5"], overall: "20 seconds" } as const

/** `Effect<string | Stale<string> | Notice, never, Claude>` */
export const reply = Claude.text("When do you open?").pipe(
  Policy.apply(policy),
  Fallback.lastGood({ key: "help/opening-hours", schema: Schema.String, maxAge: "1 day" }),
  Fallback.notice()
)

export const program = reply.pipe(
  Effect.map((answer) =>
    Predicate.isString(answer)
      ? answer
      : answer._tag === "Stale"
      ? answer.value
      : answer.text
  ),
  Effect.tap(Console.log)
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
