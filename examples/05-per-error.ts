/** A typed answer, a policy with its own waits for each kind of error, and a fallback that the type checker can see. */
import { Console, Effect, Schema } from "effect"
import { Claude, Fallback, Policy, Retry } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

class Invoice extends Schema.Class<Invoice>("Invoice")({
  supplier: Schema.String,
  total: Schema.Finite,
  dueDate: Schema.String
}) {}

// Under `retry`, each kind of error has its own waits. A kind that is not listed is not retried.
export const patient: Policy.Policy = {
  firstToken: "15 seconds",
  idle: "20 seconds",
  retry: {
    RateLimited: Retry.backoff({ times: 8, base: "2 seconds" }),
    Overloaded: Retry.backoff({ times: 4, base: "2 seconds" })
  },
  reask: 2,
  models: ["claude-haiku-5-5"],
  overall: "2 minutes"
}

export const readInvoice = (scan: string) =>
  Claude.object(Invoice, `Extract the invoice:\n${scan}`).pipe(
    Policy.apply(patient),
    // Handles `Refused`, and removes it from the error type.
    Effect.catchTag("Refused", () => Effect.succeed("needs a human" as const)),
    // Turns all other errors into a text for the user, so that no error is left.
    Fallback.notice()
  )

export const program = Effect.forEach(["scan-1", "scan-2"], readInvoice, { concurrency: "unbounded" }).pipe(
  Effect.tap(Console.log)
)

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
