/**
 * For a larger application: a service that captures `Claude` when its layer is built. Its callers do not need `Claude`, and
 * its calls are logged to the `CallLog` of its layer, even if the caller provides another log.
 */
import { Console, Context, Effect, Layer } from "effect"
import { CallLog, Claude, type ClaudeError, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

export class Summaries extends Context.Service<Summaries, {
  readonly summarize: (article: string) => Effect.Effect<string, ClaudeError.ClaudeError>
}>()("examples/Summaries") {
  static readonly layer = Layer.effect(
    Summaries,
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      return Summaries.of({
        summarize: (article) =>
          Claude.text(`Summarize in one sentence:\n${article}`, { max_tokens: 200 }).pipe(
            Policy.apply(Policy.standard),
            Effect.provideService(Claude.Claude, claude)
          )
      })
    })
  )
}

export const program = Effect.gen(function*() {
  const summaries = yield* Summaries
  return yield* Effect.forEach(["First article.", "Second article."], summaries.summarize, { concurrency: 2 })
}).pipe(Effect.tap(Console.log))

export const live = Summaries.layer.pipe(Layer.provide(NodeAnthropic.layerConfig()), Layer.provide(CallLog.layer))

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(live)))
