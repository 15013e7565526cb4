/**
 * The server of the benchmarks, run as a child process: `node bench/server.ts [writes]`.
 *
 * Its answer is prepared before the first request: a message in JSON, or the events of a stream in `writes` pieces.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { events, headers, json } from "./reply.ts"

const writes = Math.min(Number(process.argv[2] ?? 1), events.length)
const pieces = Array.from({ length: writes }, (_, i) =>
  Buffer.from(
    events.slice(Math.round(i * events.length / writes), Math.round((i + 1) * events.length / writes)).join("")
  ))

const body = Buffer.from(json)
const jsonHead = [...headers, "content-type", "application/json", "content-length", String(body.length)]
const sseHead = [...headers, "content-type", "text/event-stream; charset=utf-8", "cache-control", "no-cache"]

const server = createServer((request, response) => {
  let streams = false
  request.on("data", (chunk: Buffer) => {
    if (chunk.includes(`"stream":true`)) streams = true
  })
  request.on("end", () => {
    if (!streams) {
      response.writeHead(200, jsonHead)
      return void response.end(body)
    }
    response.writeHead(200, sseHead)
    let next = 0
    const write = () => {
      const piece = pieces[next++]
      if (next === pieces.length) return void response.end(piece)
      response.write(piece)
      // A pause in which the client reads the piece, as it does when a model writes its events one by one.
      setTimeout(write, 1)
    }
    write()
  })
})
// Longer than the time between two slices of a client, so that its connections stay open.
server.keepAliveTimeout = 600_000
server.listen(0, "127.0.0.1", () => {
  // The address of a server that listens on a port is an object.
  const { port } = server.address() as AddressInfo
  if (process.send === undefined) console.log(`http://127.0.0.1:${port}`)
  else process.send({ port })
})
process.on("disconnect", () => process.exit())
