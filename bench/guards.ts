/**
 * Compares the time of a policy and guards, over a wire in memory, with cockatiel's retry, circuit breaker, time-out and
 * bulkhead: `node bench/guards.ts`, after `npm install --prefix bench`.
 *
 * Cockatiel runs a function that does nothing. The library makes a whole call: it builds and validates a request, and
 * reads and collects the six events of the shortest answer. So the comparison has no goal. `call.ts` measures the cost
 * of a realistic call.
 */
import { Effect, ManagedRuntime } from "effect"
import { Claude, Guards, Policy } from "../src/index.ts"
import { type Case, compare, idle, inFiber, short, turn, wire } from "./micro.ts"

/** The part of cockatiel 4 that is used here. Written by hand, because cockatiel is installed in this folder only. */
interface Cockatiel {
  readonly handleAll: object
  readonly retry: (on: object, options: object) => object
  readonly circuitBreaker: (on: object, options: object) => object
  readonly timeout: (millis: number, strategy: string) => object
  readonly bulkhead: (limit: number, queue: number) => object
  readonly wrap: (...policies: ReadonlyArray<object>) => { readonly execute: (f: () => unknown) => Promise<unknown> }
  readonly ExponentialBackoff: new() => object
  readonly SamplingBreaker: new(options: object) => object
}

const load = async (): Promise<Cockatiel> => {
  const name: string = "cockatiel"
  return import(name).catch(() => {
    throw new Error("cockatiel is not installed: run npm install --prefix bench")
  })
}

const { ExponentialBackoff, SamplingBreaker, bulkhead, circuitBreaker, handleAll, retry, timeout, wrap } = await load()
const cockatiel = wrap(
  retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() }),
  circuitBreaker(handleAll, {
    halfOpenAfter: 30_000,
    breaker: new SamplingBreaker({ threshold: 0.5, duration: 60_000 })
  }),
  timeout(30_000, "optimistic"),
  bulkhead(64, 200)
)

const guards: Guards.Guards = { concurrency: { max: 64, queue: 200 }, circuit: {} }
const limited: Guards.Guards = {
  ...guards,
  quota: { requests: 1e9, inputTokens: 1e12, outputTokens: 1e12 }
}

const plain = ManagedRuntime.make(Claude.layer(idle))
const guarded = ManagedRuntime.make(Claude.layer(idle).pipe(Guards.apply(guards)))
const metered = ManagedRuntime.make(Claude.layer(idle).pipe(Guards.apply(limited)))

const waiting = ManagedRuntime.make(
  Claude.layer(wire(Effect.succeed(short), turn)).pipe(Guards.apply(guards))
)

const text = () => Claude.text("What does a circuit breaker do?")
const policy = Policy.apply(Policy.standard)
const standard = () => policy(text())

const rival = "cockatiel: retry, breaker, timeout, bulkhead"
const bare = "text"
const ours = "text, Policy.standard, guards"
const waits = "text, Policy.standard, guards, a wire that waits"
const cases: ReadonlyArray<Case> = [
  {
    name: rival,
    run: async (calls) => {
      for (let i = 0; i < calls; i++) await cockatiel.execute(async () => undefined)
    }
  },
  { name: bare, run: inFiber(plain, text) },
  { name: "text, Policy.standard", run: inFiber(plain, standard) },
  { name: "text, guards", run: inFiber(guarded, text) },
  { name: ours, run: inFiber(guarded, standard) },
  { name: "text, Policy.standard, guards with a quota", run: inFiber(metered, standard) },
  { name: waits, run: inFiber(waiting, standard) }
]

const costs = await compare(cases)
const [theirs, without, withAll, late] = [rival, bare, ours, waits].map((name) => costs.get(name))
if (theirs !== undefined && without !== undefined && withAll !== undefined && late !== undefined) {
  const times = (nanos: number) => `${(nanos / theirs).toFixed(1)} times cockatiel's time`
  console.log(`\n  a whole call                          ${times(withAll)}`)
  console.log(`  what policy and guards add to it      ${times(withAll - without)}`)
  console.log(`  a whole call, over a wire that waits  ${times(late)}`)
}
await Promise.all([plain, guarded, metered, waiting].map((runtime) => runtime.dispose()))
