/**
 * Measures a successful call without a network: `node bench/noop.ts`.
 *
 * The wire in memory returns all events of an answer as one prepared item. So the time is the library's own: for the
 * request, the time-outs, collecting the answer, the log and the policy.
 */
import { Effect, ManagedRuntime } from "effect"
import { Claude, Policy, Retry } from "../src/index.ts"
import { compare, inFiber, item, promised, turn, wire } from "./micro.ts"

/** Headers and body are available at once. */
const ready = ManagedRuntime.make(Claude.layer(wire()))

/** Headers and body each come a microtask later, so that the time-outs have to start, as they do with a network. */
const waiting = ManagedRuntime.make(Claude.layer(wire(Effect.as(turn, item), turn)))

const text = () => Claude.text("What does a circuit breaker do?")
const under = (policy: Policy.Policy) => {
  const applied = Policy.apply(policy)
  return () => applied(text())
}
const standard = under(Policy.standard)

await compare([
  { name: "Effect.runPromise alone", run: promised(ready, () => Effect.void) },
  { name: "text", run: promised(ready, text) },
  { name: "text, Policy.none", run: promised(ready, under(Policy.none)) },
  { name: "text, retry only", run: promised(ready, under({ retry: Retry.standard, maxRetries: 8 })) },
  { name: "text, overall only", run: promised(ready, under({ overall: "5 minutes" })) },
  { name: "text, Policy.standard", run: promised(ready, standard) },
  { name: "text, Policy.standard, in one fiber", run: inFiber(ready, standard) },
  { name: "text, wire waits", run: promised(waiting, text) },
  { name: "text, Policy.standard, wire waits", run: promised(waiting, standard) },
  { name: "text, Policy.standard, wire waits, in one fiber", run: inFiber(waiting, standard) }
])
await ready.dispose()
await waiting.dispose()
