import { Console, Effect } from "effect"
import { Claude, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"
import { ProxyAgent } from "undici"

/** Only requests to Claude use this proxy. The rest of the program does not. */
export const behind = (proxyUrl: string) => NodeAnthropic.layerConfig({ dispatcher: new ProxyAgent(proxyUrl) })

export const program = Claude.text("Write a haiku about patience.").pipe(
  Policy.apply(Policy.standard),
  Effect.tap(Console.log)
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(behind("http://proxy.internal:3128"))))
