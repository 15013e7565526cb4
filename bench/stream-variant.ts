/**
 * Measures one way to read a stream, as a child process of `stream.ts`, which sends the slices:
 * `node bench/stream-variant.ts <key> <url> <events>`. Imports only the modules of that way, as `variant.ts` does.
 */
import { cpu, lowerQuartile, median } from "./measure.ts"

/** A time in which streams are read one after the other. `mode`: how the server sends them. */
export interface Slice {
  readonly mode: "bulk" | "chunks"
  readonly millis: number
}

/** Microseconds: the CPU and wall-clock time per event, and the time from a request to its first event (`first`). */
export interface Sample {
  readonly cpu: number
  readonly wall: number
  readonly first: number
  readonly streams: number
}

/** Reads one stream to its end, and calls `onEvent` for each event. */
type Read = (onEvent: () => void) => Promise<unknown>

const [key = "", url = "", expected = ""] = process.argv.slice(2)
const apiKey = "sk-ant-bench"
const prompt = "Write a long story."
const params = {
  model: "claude-sonnet-5-5",
  max_tokens: 4096,
  messages: [{ role: "user" as const, content: prompt }]
}

const bare = async (baseURL: string) => {
  const { Anthropic } = await import("@anthropic-ai/sdk")
  return new Anthropic({ apiKey, baseURL, maxRetries: 0 })
}

const ours = async (baseUrl: string) => {
  const [{ Effect, ManagedRuntime, Stream }, { Claude }, NodeAnthropic] = await Promise.all([
    import("effect"),
    import("../src/index.ts"),
    import("../src/NodeAnthropic.ts")
  ])
  return { Claude, Effect, Stream, runtime: ManagedRuntime.make(NodeAnthropic.layer({ apiKey, baseUrl })) }
}

const makeRead: Readonly<Record<string, (baseUrl: string) => Promise<Read>>> = {
  raw: async (baseUrl) => {
    const sdk = await bare(baseUrl)
    return async (onEvent) => {
      for await (const event of await sdk.messages.create({ ...params, stream: true })) {
        if (event.type === "content_block_delta") onEvent()
      }
    }
  },
  helper: async (baseUrl) => {
    const sdk = await bare(baseUrl)
    return async (onEvent) => {
      for await (const event of sdk.messages.stream(params)) if (event.type === "content_block_delta") onEvent()
    }
  },
  ours: async (baseUrl) => {
    const { Claude, Effect, runtime, Stream } = await ours(baseUrl)
    return (onEvent) =>
      runtime.runPromise(Stream.runForEachArray(Claude.events(prompt), (events) =>
        Effect.sync(() => {
          for (const event of events) if (event.type === "content_block_delta") onEvent()
        })))
  },
  "ours-each": async (baseUrl) => {
    const { Claude, Effect, runtime, Stream } = await ours(baseUrl)
    return (onEvent) =>
      runtime.runPromise(Stream.runForEach(Claude.events(prompt), (event) =>
        Effect.sync(() => {
          if (event.type === "content_block_delta") onEvent()
        })))
  }
}

const sample = async (read: Read, millis: number): Promise<Sample> => {
  const waits: Array<number> = []
  let events = 0
  const cpuBefore = cpu()
  const start = performance.now()
  const end = start + millis
  for (let asked = start; asked < end; asked = performance.now()) {
    const before = events
    await read(() => {
      if (events++ === before) waits.push((performance.now() - asked) * 1000)
    })
    // A variant that read fewer events than the others would look faster.
    if (events - before !== Number(expected)) throw new Error(`${key} read ${events - before} of ${expected} events`)
  }
  return {
    cpu: (cpu() - cpuBefore) / events,
    wall: (performance.now() - start) * 1000 / events,
    first: waits.length > 8 ? lowerQuartile(waits) : median(waits),
    streams: waits.length
  }
}

const make = makeRead[key]
if (make === undefined) throw new RangeError(`there is no variant ${key}: ${Object.keys(makeRead).join(", ")}`)
const reads = { bulk: await make(`${url}/bulk`), chunks: await make(`${url}/chunks`) }
process.on(
  "message",
  ({ millis, mode }: Slice) => void sample(reads[mode], millis).then((taken) => process.send?.(taken))
)
process.on("disconnect", () => process.exit())
process.send?.({})
