/**
 * The imagined Claude of the simulator behind a real socket.
 *
 * It decides nothing: which request meets which fault is decided by the same state machine, with the same seed. An answer is
 * a stream of events if the request asks for one, else a message in one piece when the stream would have ended.
 */
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import type { Entry } from "../lab/scenarios.ts"
import * as Events from "../src/testing/simulator/events.ts"
import * as Provider from "../src/testing/simulator/provider.ts"
import { now } from "./measure.ts"

/** A server on a free port of 127.0.0.1. */
export interface Served {
  readonly url: string
  /** Begins the scenario at a time, in milliseconds since the epoch. Must be told before the first request. */
  readonly begin: (start: number) => void
  /** Requests that have arrived. */
  readonly requests: () => number
  readonly close: () => void
}

/** Serves one scenario with one seed. */
export const serve = async ({ provider }: Entry, seed: number): Promise<Served> => {
  let epoch = now()
  // Until it begins, all is well: processes warm up.
  let machine = Provider.make({}, seed)
  let requests = 0
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => void chunks.push(chunk))
    request.on("end", () => {
      // Our own clients send what the API takes.
      const params: Params = JSON.parse(Buffer.concat(chunks).toString())
      requests++
      const plan = machine.arrive(now() - epoch, params)
      response.on("close", () => machine.leave(now() - epoch, plan))
      void write(plan, params, response)
    })
  })
  // A connection that the server closes while a request is under way would be a fault that is not in the plan.
  server.keepAliveTimeout = 600_000
  server.requestTimeout = 0
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  // A server that listens on a port has such an address.
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    begin: (start) => {
      epoch = start
      machine = Provider.make(provider, seed, { epoch })
      requests = 0
    },
    requests: () => requests,
    close: () => {
      server.close()
      server.closeAllConnections()
    }
  }
}

/** What is read of a request. */
interface Params {
  readonly model: string
  readonly max_tokens: number
  readonly stream?: boolean
}

/** Something that happens to a response, in milliseconds after its request. */
interface Step {
  readonly after: number
  readonly act: (response: ServerResponse) => unknown
}

const stepsOf = (plan: Provider.Plan, { model, stream = false }: Params): ReadonlyArray<Step> => {
  switch (plan.kind) {
    case "stall":
      return []
    case "reset":
      return [{ after: plan.after, act: reset }]
    case "response":
      return [{
        after: plan.after,
        act: (response) => response.writeHead(plan.status, plan.headers).end(plan.body)
      }]
  }
  const { breaksAfter = Infinity, endAfter, firstAfter, headers, headersAfter } = plan
  const steps: Array<Step> = []
  if (stream) {
    steps.push({ after: headersAfter, act: (response) => response.writeHead(200, headers).flushHeaders() })
    steps.push({ after: firstAfter, act: (response) => response.write(Events.begin(plan, model).join("")) })
    for (let after = firstAfter + Events.quiet; after < endAfter; after += Events.quiet) {
      steps.push({ after, act: (response) => response.write(Events.more) })
    }
    steps.push({ after: endAfter, act: (response) => response.end(Events.end(plan).join("")) })
  } else {
    const json = { ...headers, "content-type": "application/json" }
    steps.push({ after: endAfter, act: (response) => response.writeHead(200, json).end(messageOf(plan, model)) })
  }
  return breaksAfter === Infinity
    ? steps
    : [...steps.filter(({ after }) => after <= breaksAfter && after < endAfter), { after: breaksAfter, act: reset }]
}

const reset = (response: ServerResponse) => response.socket?.resetAndDestroy()

/** One step after the other, also where the process is late. */
const write = async (plan: Provider.Plan, params: Params, response: ServerResponse) => {
  const arrived = now()
  for (const { act, after } of stepsOf(plan, params)) {
    await sleep(Math.max(0, arrived + after - now()))
    // Its client may have left.
    if (response.destroyed) return
    act(response)
  }
}

/** The answer in one piece. */
const messageOf = (plan: Events.Answer, model: string): string =>
  JSON.stringify({
    id: `msg_${plan.index}`,
    type: "message",
    role: "assistant",
    model,
    content: [{ type: "text", text: "Well.", citations: null }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { ...Events.usageOf(plan), output_tokens: plan.usage.output }
  })
