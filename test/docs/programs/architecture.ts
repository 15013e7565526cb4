import { Console, Effect, Layer } from "effect"
import { Claude } from "resilient-claude"
import { FakeClaude, Faults } from "resilient-claude/testing"

/** Wraps a wire, and prints the model of each attempt. */
const printing = (inner: Claude.Wire): Claude.Wire => ({
  ...inner,
  open: (request) => Effect.andThen(Console.log(`asking ${request.params.model}`), inner.open(request))
})

const scripted = FakeClaude.wire([Faults.answer("Paris.")])

export const ClaudeLive = Layer.unwrap(Effect.map(scripted, (wire) => Claude.layer(printing(wire))))

export const program = Claude.text("What is the capital of France?").pipe(Effect.tap(Console.log))

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(ClaudeLive)))
