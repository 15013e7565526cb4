/**
 * Measures one way to call, as a child process of `call.ts`, which sends the slices: `node bench/variant.ts <key> <url>`.
 *
 * Imports only the modules of that way, because the package undici and Node's `fetch` share a global dispatcher, and
 * whichever is loaded first sets it.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { cpu, median } from "./measure.ts"
import { text } from "./reply.ts"

/** A time in which `concurrency` loops make calls. */
export interface Slice {
  readonly concurrency: number
  readonly millis: number
}

/** The cost of a call in a slice, in microseconds: its CPU time, and the median of its duration (`p50`). */
export interface Sample {
  readonly cpu: number
  readonly p50: number
  readonly calls: number
}

/** Makes one call and reads it to its end. Returns the text, if the variant reads it. */
type Call = () => Promise<string | undefined>

const [key = "", baseUrl = ""] = process.argv.slice(2)
const apiKey = "sk-ant-bench"
const prompt = "Explain in a few sentences what a circuit breaker does, and when it should not be used."
const params = {
  model: "claude-sonnet-5-5",
  max_tokens: 4096,
  messages: [{ role: "user" as const, content: prompt }]
}

const bare = async () => {
  const { Anthropic } = await import("@anthropic-ai/sdk")
  return new Anthropic({ apiKey, baseURL: baseUrl, maxRetries: 0 })
}

const makeCall: Readonly<Record<string, () => Promise<Call>>> = {
  bare: async () => {
    const sdk = await bare()
    return async () => {
      const { content: [block] } = await sdk.messages.create(params)
      return block?.type === "text" ? block.text : undefined
    }
  },
  "bare-stream": async () => {
    const sdk = await bare()
    return async () => {
      let text = ""
      for await (const event of await sdk.messages.create({ ...params, stream: true })) {
        if (event.type === "content_block_delta" && event.delta.type === "text_delta") text += event.delta.text
      }
      return text
    }
  },
  ours: async () => {
    const { Claude, Policy, runtime } = await onUndici()
    const resilient = Policy.apply(Policy.standard)
    return () => runtime.runPromise(Claude.text(prompt).pipe(resilient))
  },
  "ours-guarded": async () => {
    const [[{ ManagedRuntime }, { Claude, Guards, Policy }], NodeAnthropic] = await withUndici()
    const guards = Guards.apply({
      ...Guards.standard,
      concurrency: { max: 256, queue: 1000 },
      quota: { requests: 1e9, inputTokens: 1e12, outputTokens: 1e12 }
    })
    const runtime = ManagedRuntime.make(guards(NodeAnthropic.layer({ apiKey, baseUrl })))
    const resilient = Policy.apply(Policy.standard)
    return () => runtime.runPromise(Claude.text(prompt).pipe(resilient))
  },
  "ours-plain": async () => {
    const { Claude, runtime } = await onUndici()
    return () => runtime.runPromise(Claude.text(prompt))
  },
  "ours-fetch": async () => {
    const [{ ManagedRuntime }, { Anthropic, Claude, Policy }] = await library()
    const runtime = ManagedRuntime.make(Anthropic.layer({ apiKey, baseUrl }))
    const resilient = Policy.apply(Policy.standard)
    return () => runtime.runPromise(Claude.text(prompt).pipe(resilient))
  },
  floor: async () => {
    const { Agent, request } = await import("undici")
    const dispatcher = new Agent()
    const body = JSON.stringify({ ...params, stream: true })
    return async () => {
      const reply = await request(`${baseUrl}/v1/messages`, {
        method: "POST",
        body,
        headers: { "content-type": "application/json", "x-api-key": apiKey },
        dispatcher
      })
      for await (const _ of reply.body);
      return undefined
    }
  }
}

const library = () => Promise.all([import("effect"), import("../src/index.ts")])

const withUndici = () => Promise.all([library(), import("../src/NodeAnthropic.ts")])

const onUndici = async () => {
  const [[{ ManagedRuntime }, { Claude, Policy }], NodeAnthropic] = await withUndici()
  return { Claude, Policy, runtime: ManagedRuntime.make(NodeAnthropic.layer({ apiKey, baseUrl })) }
}

/** Makes calls for a slice, and then waits for the work that they left for later, which is part of their cost. */
const sample = async (call: Call, { concurrency, millis }: Slice): Promise<Sample> => {
  const waits: Array<number> = []
  const cpuBefore = cpu()
  const end = performance.now() + millis
  await Promise.all(Array.from({ length: concurrency }, async () => {
    for (let start = performance.now(); start < end; start = performance.now()) {
      await call()
      waits.push((performance.now() - start) * 1000)
    }
  }))
  await sleep(5)
  return { cpu: (cpu() - cpuBefore) / waits.length, p50: median(waits), calls: waits.length }
}

const make = makeCall[key]
if (make === undefined) throw new RangeError(`there is no variant ${key}: ${Object.keys(makeCall).join(", ")}`)
const call = await make()
// A variant that read less than the others would look faster.
const read = await call()
if (read !== undefined && read !== text) throw new Error(`${key} does not read the whole text`)
process.on("message", (slice: Slice) => void sample(call, slice).then((taken) => process.send?.(taken)))
process.on("disconnect", () => process.exit())
process.send?.({})
