/**
 * The server that the calls are made to, run as a child process: `node bench/server.ts [writes]`.
 *
 * It does as little as it can: both replies are bytes before the first request comes. One text, as a message in JSON
 * or as the events of a stream, with the headers of the API. The events go out in as many writes as are asked for.
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
      // Long enough for the client to have read it: a model writes its events one by one.
      setTimeout(write, 1)
    }
    write()
  })
})
// No connection is closed between two slices of one client.
server.keepAliveTimeout = 600_000
server.listen(0, "127.0.0.1", () => {
  // A server that listens on a port has such an address.
  const { port } = server.address() as AddressInfo
  if (process.send === undefined) console.log(`http://127.0.0.1:${port}`)
  else process.send({ port })
})
process.on("disconnect", () => process.exit())
