/**
 * Reads an invoice by a schema with nested lines, a date that is decoded, and a check of the total. The API enforces the
 * shape. The check runs when the answer is decoded; if it fails, Claude is asked again with the mistake.
 */
import { Console, DateTime, Effect, Schema } from "effect"
import { Claude, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

const Line = Schema.Struct({
  what: Schema.String,
  quantity: Schema.Int,
  cents: Schema.Int.annotate({ description: "the price of one, in cents" })
})

export const Invoice = Schema.Struct({
  supplier: Schema.String,
  lines: Schema.Array(Line),
  totalCents: Schema.Int,
  due: Schema.DateTimeUtcFromString
}).check(Schema.makeFilter(({ lines, totalCents }) => {
  const sum = lines.reduce((sum, { cents, quantity }) => sum + cents * quantity, 0)
  return sum === totalCents || `the lines come to ${sum} cents, and the total says ${totalCents}`
}))

export const readInvoice = (scan: string) =>
  Claude.object(Invoice, `Extract the invoice. All amounts are in cents.\n${scan}`).pipe(
    Policy.apply({ reask: 2, overall: "2 minutes" }),
    Policy.outcome
  )

export const program = Effect.gen(function*() {
  const outcome = yield* readInvoice(
    "ACME Ltd. 3 anvils at $40.00, 1 rocket at $99.50. Total $219.50, due December 1, 2026."
  )
  if (outcome.status === "success") {
    const { due, supplier, totalCents } = outcome.data
    yield* Console.log(`${supplier} wants ${totalCents} cents by ${DateTime.formatIsoDateUtc(due)}`)
  } else {
    yield* Console.log(outcome.error.message)
  }
  // The cost of all attempts, malformed answers included.
  const { atLeast, dollars } = outcome.cost
  yield* Console.log(`It cost ${atLeast ? "at least " : ""}$${dollars.toFixed(4)}.`)
  return outcome
})

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
