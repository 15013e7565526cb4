/** One of a list, and nothing else: the type of the answer is the union of the list, so that a table can be complete. */
import { Console, Effect } from "effect"
import { Claude, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

const queues = ["billing", "technical", "sales", "other"] as const
type Queue = typeof queues[number]

/** What each queue does. A queue without a line here does not compile. */
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
