/**
 * The simulated Claude behind a real socket.
 *
 * The simulator's state machine, with the same seed, decides which request meets which fault. An answer is a stream of
 * events if the request asks for one; otherwise it is one message, sent when the stream would have ended.
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
  /** Begins the scenario at a time, in milliseconds since the epoch. Call it before the first request that counts. */
  readonly begin: (start: number) => void
  /** The number of requests since the scenario began. */
  readonly requests: () => number
  readonly close: () => void
}

/** Serves one scenario with one seed. */
export const serve = async ({ provider }: Entry, seed: number): Promise<Served> => {
  let epoch = now()
  // No faults until the scenario begins, while the clients warm up.
  let machine = Provider.make({}, seed)
  let requests = 0
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => void chunks.push(chunk))
    request.on("end", () => {
      // All clients are part of this benchmark, so their requests are valid.
      const params: Params = JSON.parse(Buffer.concat(chunks).toString())
      requests++
      const plan = machine.arrive(now() - epoch, params)
      response.on("close", () => machine.leave(now() - epoch, plan))
      void write(plan, params, response)
    })
  })
  // If the server closed an idle connection just when a request arrives, that would be a fault outside the scenario.
  server.keepAliveTimeout = 600_000
  server.requestTimeout = 0
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  // The address of a server that listens on a port is an object.
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

/** The part of a request that the server reads. */
interface Params {
  readonly model: string
  readonly max_tokens: number
  readonly stream?: boolean
}

/** A step of a response, `after` milliseconds after its request. */
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

/** Takes the steps in order, even if the process is late. */
const write = async (plan: Provider.Plan, params: Params, response: ServerResponse) => {
  const arrived = now()
  for (const { act, after } of stepsOf(plan, params)) {
    await sleep(Math.max(0, arrived + after - now()))
    if (response.destroyed) return
    act(response)
  }
}

/** The answer as one message. */
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
