/** The first calls of the README, whose types `declarations.test.ts` reads as an editor shows them. */
import { Effect, Schema } from "effect"
import { Claude, Guards, Policy } from "../../../src/index.ts"
import * as NodeAnthropic from "../../../src/NodeAnthropic.ts"

const Invoice = Schema.Struct({ total: Schema.Finite })

export const plain = Claude.text("Write a haiku about patience.")

export const standard = plain.pipe(Policy.apply(Policy.standard))

export const withoutDeadline = plain.pipe(Policy.apply({ models: ["claude-haiku-5-5"] }))

export const invoice = Claude.object(Invoice, "Extract the invoice.").pipe(Policy.apply(Policy.standard))

export const recovered = standard.pipe(
  Effect.catchTag("Refused", () => Effect.succeed("needs a human" as const))
)

export const stream = Claude.stream("Write a haiku about patience.").pipe(Policy.applyStream(Policy.standard))

export const live = NodeAnthropic.layerConfig().pipe(Guards.apply(Guards.standard))
