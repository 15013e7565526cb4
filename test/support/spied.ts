/** A Claude that records the exit of each answer's scope, which guards read. */
import { Cause, Context, Effect, Exit, Layer, Scope } from "effect"
import { CallLog, Claude, type ClaudeError } from "../../src/index.ts"
import { FakeClaude, type Faults } from "../../src/testing/index.ts"

class Ends extends Context.Service<Ends, Array<string>>()("test/Ends") {}

const verdict = (exit: Exit.Exit<unknown, ClaudeError.ClaudeError>) =>
  Exit.isSuccess(exit)
    ? "success"
    : Cause.hasInterrupts(exit.cause)
    ? "neutral"
    : Cause.findErrorOption(exit.cause).pipe((error) => error._tag === "Some" ? error.value._tag : "defect")

/** A Claude that records the end of each answer. */
export const spied = (playable: Faults.Playable) =>
  Layer.effectContext(Effect.gen(function*() {
    const ends: Array<string> = []
    const claude = yield* Claude.Claude
    const open: Claude.Claude["Service"]["open"] = (request) =>
      Effect.flatMap(Effect.scope, (scope) =>
        Effect.andThen(
          Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => void ends.push(verdict(exit)))),
          claude.open(request)
        ))
    return Context.make(Ends, ends).pipe(Context.add(Claude.Claude, { ...claude, open }))
  })).pipe(Layer.provideMerge(FakeClaude.layer(playable)), Layer.provide(CallLog.layerNoop))

/** The ends of the answers, in order. */
export const ends = Effect.map(Ends, (all) => [...all])
