/** Asks for one entry of a list. The type of the answer is the union of the entries, so a table by answer is complete. */
import { Console, Effect } from "effect"
import { Claude, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

const queues = ["billing", "technical", "sales", "other"] as const
type Queue = typeof queues[number]

/** What happens to a ticket in each queue. A queue without an entry does not compile. */
const next: { readonly [Q in Queue]: string } = {
  billing: "answered within a day, by whoever can see the account",
  technical: "answered within an hour, by whoever is on call",
  sales: "answered the next morning",
  other: "read by a person, and given to one of the others"
}

export const triage = (ticket: string) =>
  Claude.choice(queues, `Which queue does this ticket belong to?\n${ticket}`).pipe(Policy.apply(Policy.standard))

export const program = Effect.gen(function*() {
  const queue = yield* triage("I was charged twice for October.")
  yield* Console.log(`${queue}: ${next[queue]}`)
  return queue
})

if (import.meta.main) await Effect.runPromise(program.pipe(Effect.provide(NodeAnthropic.layerConfig())))
