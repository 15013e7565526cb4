/**
 * What a policy and guards cost beside cockatiel's retry, circuit breaker, time-out and bulkhead: `node bench/guards.ts`,
 * after `npm install --prefix bench`.
 *
 * Cockatiel runs a function that does nothing. Ours is a whole call over a wire that does nothing: it builds and
 * validates a request, reads the six events of the shortest answer, and puts it together. Ends with exit code 1 if that
 * costs more than `goal` times as much.
 *
 * Three other ratios are printed, which have no goal: what policy and guards add to a call without them; both around an
 * `open` that does nothing, which is as much as cockatiel does; and a call over a wire that waits once. Only for a wire
 * that waits do our limits start a timer; cockatiel's time-out does for every call, and that is most of what it costs.
 */
import { Cause, Effect, Layer, ManagedRuntime } from "effect"
import { Claude, Guards, type Message, Policy } from "../src/index.ts"
import { type Case, compare, type Cost, idle, inFiber, short, turn, wire } from "./micro.ts"

/** The most that a call under `Policy.standard` and guards may cost, in time and in bytes, as a multiple of cockatiel's. */
const goal = 1.5

/** As much of cockatiel 4 as is used here: it is installed in this folder only. */
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
    throw new Error("cockatiel is not there: npm install --prefix bench")
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

/** A service that has an answer at once, in which there is nothing. */
const empty = Layer.effect(
  Claude.Claude,
  Effect.map(Claude.make(idle), (claude) => {
    // Of an answer that nobody reads, only the end is looked at.
    const usage = {} as Message.Usage
    const reply = {} as Message.Reply
    const opened: Claude.Opened = {
      requestId: undefined,
      rateLimits: {},
      pull: Cause.done(),
      reply: () => reply,
      usage: () => usage,
      isWhole: () => true
    }
    return { ...claude, open: () => Effect.succeed(opened) }
  })
)
const nothing = ManagedRuntime.make(empty.pipe(Guards.apply(guards)))
const request: Message.Request = {
  params: { model: "claude-sonnet-5-5", max_tokens: 1, messages: [{ role: "user", content: "hi" }] },
  limits: {}
}
const open = () => policy(Effect.scoped(Effect.flatMap(Claude.Claude, (claude) => claude.open(request))))

const rival = "cockatiel: retry, breaker, timeout, bulkhead"
const bare = "text"
const ours = "text, Policy.standard, guards"
const alone = "Policy.standard, guards, an open that does nothing"
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
  { name: alone, run: inFiber(nothing, open) },
  { name: waits, run: inFiber(waiting, standard) }
]

const costs = await compare(import.meta.url, cases)
const [theirs, without, withAll, around, late] = [rival, bare, ours, alone, waits].map((name) => costs?.get(name))
if (
  theirs !== undefined && without !== undefined && withAll !== undefined && around !== undefined && late !== undefined
) {
  const ratios = (cost: Cost, { bytes, nanos }: Cost = { nanos: 0, bytes: 0 }) => ({
    time: (cost.nanos - nanos) / theirs.nanos,
    memory: (cost.bytes - bytes) / theirs.bytes
  })
  const shown = ({ memory, time }: ReturnType<typeof ratios>) =>
    `${time.toFixed(2)} of the time, ${memory.toFixed(2)} of the bytes`
  const whole = ratios(withAll)
  console.log("\nBeside cockatiel:")
  console.log(`  a whole call                           ${shown(whole)}`)
  console.log(`  what policy and guards add to it       ${shown(ratios(withAll, without))}`)
  console.log(`  both, around an open that does nothing ${shown(ratios(around))}`)
  console.log(`  a whole call, over a wire that waits   ${shown(ratios(late))}`)
  if (!process.argv.includes("--no-goal") && (whole.time > goal || whole.memory > goal)) {
    console.error(`\nA whole call costs more than ${goal} of cockatiel's.`)
    process.exitCode = 1
  }
}
await Promise.all([plain, guarded, metered, nothing, waiting].map((runtime) => runtime.dispose()))
