/**
 * What a resilient call costs beside a bare one, over real HTTP: `node bench/call.ts`.
 *
 * Ours streams on the wire, is limited, retried, logged and classified; the bare one is `messages.create` as a user of
 * the SDK would write it. All variants take turns in one process, the server has a process of its own. Ends with exit
 * code 1 if ours costs more than `goal` of the bare one.
 */
import "./nodeFetch.ts"
import { Anthropic as Sdk } from "@anthropic-ai/sdk"
import { ManagedRuntime } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Agent, request } from "undici"
import * as Anthropic from "../src/Anthropic.ts"
import { Claude, Policy } from "../src/index.ts"
import * as NodeAnthropic from "../src/NodeAnthropic.ts"
import { count, cpu, lowerQuartile, median, pin, shuffled, startServer, table, whole } from "./measure.ts"

/** The most CPU a resilient call may cost, as a share of a bare one. */
const goal = 0.65

const { values: flags } = parseArgs({
  options: {
    "no-goal": { type: "boolean", default: false },
    "no-pin": { type: "boolean", default: false },
    rounds: { type: "string", default: "21" },
    slice: { type: "string", default: "300" },
    writes: { type: "string", default: "1" },
    concurrency: { type: "string", default: "1,16,128" },
    only: { type: "string" }
  }
})
const rounds = count("rounds", flags.rounds)
const slice = count("slice", flags.slice)
const writes = count("writes", flags.writes)
const levels = flags.concurrency.split(",").map((level) => count("concurrency", level))

// -----------------------------------------------------------------------------
// Variants
// -----------------------------------------------------------------------------

interface Variant {
  readonly key: string
  readonly name: string
  /** One call, to its last byte. Gives the text, where it reads one. */
  readonly call: () => Promise<string | undefined>
  readonly close: () => Promise<void>
}

const prompt = "Explain in a few sentences what a circuit breaker does, and when it should not be used."
const params = {
  model: "claude-sonnet-5-5",
  max_tokens: 4096,
  messages: [{ role: "user" as const, content: prompt }]
}
const apiKey = "sk-ant-bench"

const nothing = () => Promise.resolve()

const makeVariants = (baseUrl: string): ReadonlyArray<Variant> => {
  const sdk = new Sdk({ apiKey, baseURL: baseUrl, maxRetries: 0 })
  const onUndici = ManagedRuntime.make(NodeAnthropic.layerWith({ apiKey, baseUrl }))
  const onFetch = ManagedRuntime.make(Anthropic.layerWith({ apiKey, baseUrl }))
  const agent = new Agent()
  const body = JSON.stringify({ ...params, stream: true })
  const resilient = Policy.apply(Policy.standard)

  return [
    {
      key: "bare",
      name: "bare SDK, create",
      call: async () => {
        const { content: [block] } = await sdk.messages.create(params)
        return block?.type === "text" ? block.text : undefined
      },
      close: nothing
    },
    {
      key: "ours",
      name: "ours, Policy.standard, NodeAnthropic",
      call: () => onUndici.runPromise(Claude.text(prompt).pipe(resilient)),
      close: () => onUndici.dispose()
    },
    {
      key: "bare-stream",
      name: "bare SDK, stream: true, iterated",
      call: async () => {
        let text = ""
        for await (const event of await sdk.messages.create({ ...params, stream: true })) {
          if (event.type === "content_block_delta" && event.delta.type === "text_delta") text += event.delta.text
        }
        return text
      },
      close: nothing
    },
    {
      key: "ours-plain",
      name: "ours, no policy, NodeAnthropic",
      call: () => onUndici.runPromise(Claude.text(prompt)),
      close: nothing
    },
    {
      key: "ours-fetch",
      name: "ours, Policy.standard, Anthropic (fetch)",
      call: () => onFetch.runPromise(Claude.text(prompt).pipe(resilient)),
      close: () => onFetch.dispose()
    },
    {
      key: "floor",
      name: "undici.request, streamed, bytes only",
      call: async () => {
        const reply = await request(`${baseUrl}/v1/messages`, {
          method: "POST",
          body,
          headers: { "content-type": "application/json", "x-api-key": apiKey },
          dispatcher: agent
        })
        for await (const _ of reply.body);
        return undefined
      },
      close: () => agent.close()
    }
  ]
}

// -----------------------------------------------------------------------------
// Measuring
// -----------------------------------------------------------------------------

interface Sample {
  readonly cpu: number
  readonly p50: number
  readonly calls: number
}

/** Calls from so many loops for a slice, and waits for what is left over: closing is part of the cost. */
const sample = async (variant: Variant, concurrency: number, duration: number): Promise<Sample> => {
  const waits: Array<number> = []
  const cpuBefore = cpu()
  const end = performance.now() + duration
  await Promise.all(Array.from({ length: concurrency }, async () => {
    for (let start = performance.now(); start < end; start = performance.now()) {
      await variant.call()
      waits.push((performance.now() - start) * 1000)
    }
  }))
  await sleep(5)
  return { cpu: (cpu() - cpuBefore) / waits.length, p50: median(waits), calls: waits.length }
}

/** The ratio of ours to the bare SDK, where both are measured. */
const measure = async (variants: ReadonlyArray<Variant>, concurrency: number): Promise<number | undefined> => {
  const samples = new Map(variants.map((variant) => [variant, [] as Array<Sample>]))
  for (const variant of variants) await sample(variant, concurrency, 800)
  for (let round = 0; round < rounds; round++) {
    for (const variant of shuffled(variants)) samples.get(variant)?.push(await sample(variant, concurrency, slice))
  }
  const costs = new Map(
    [...samples].map(([{ key }, taken]) => [key, lowerQuartile(taken.map((sample) => sample.cpu))])
  )
  const bare = costs.get("bare") ?? NaN
  const rows = [...samples].map(([{ key, name }, taken]) => {
    const cost = costs.get(key) ?? NaN
    return [
      name,
      whole(cost),
      Number.isNaN(bare) ? "" : (cost / bare).toFixed(2),
      whole(lowerQuartile(taken.map(({ p50 }) => p50))),
      whole(taken.reduce((sum, { calls }) => sum + calls, 0))
    ]
  })
  console.log(`\n${table([`concurrency ${concurrency}`, "cpu us/call", "x bare", "p50 us", "calls"], rows)}`)
  const ours = costs.get("ours")
  return ours === undefined || Number.isNaN(bare) ? undefined : ours / bare
}

// -----------------------------------------------------------------------------
// Run
// -----------------------------------------------------------------------------

const { server, url } = await startServer(writes)
try {
  const pinned = !flags["no-pin"] && server.pid !== undefined && pin(server.pid, 1) && pin(process.pid, 0)
  console.log(
    `${rounds} slices of ${slice} ms per variant, lower quartiles; events in ${writes} ${
      writes === 1 ? "write" : "writes"
    }; ${pinned ? "client and server pinned to a processor each" : "not pinned"}`
  )
  const all = makeVariants(url)
  const wanted = flags.only?.split(",")
  const variants = all.filter(({ key }) => wanted?.includes(key) ?? true)

  // A variant that does less than the others would win.
  const texts = new Set((await Promise.all(variants.map(({ call }) => call()))).filter((text) => text !== undefined))
  if (texts.size > 1) throw new Error("the variants do not read the same text")

  const ratios: Array<readonly [level: number, ratio: number]> = []
  for (const level of levels) {
    const ratio = await measure(variants, level)
    if (ratio !== undefined) ratios.push([level, ratio])
  }
  for (const { close } of all) await close()

  const missed = ratios.filter(([, ratio]) => ratio > goal)
  if (!flags["no-goal"] && ratios.length > 0) {
    const list = (pairs: typeof ratios) => pairs.map(([level, ratio]) => `${ratio.toFixed(3)} at ${level}`).join(", ")
    if (missed.length > 0) {
      console.error(
        `\nA resilient call costs more than ${goal} of the CPU of a bare one: ${list(missed)} (concurrency).`
      )
      process.exitCode = 1
    } else {
      console.log(`\nGoal met: at most ${goal} of the CPU of a bare call (${list(ratios)}).`)
    }
  }
} finally {
  server.kill()
}
