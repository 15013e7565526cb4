/**
 * The server for `stream.ts`, run as a child process: `node bench/stream-server.ts [events]`.
 *
 * Sends a prepared answer with `events` pieces of text: under `/bulk` in one write, under `/chunks` each event in its own
 * write, one per turn of the event loop.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { headers, longEvents } from "./reply.ts"

const pieces = longEvents(Number(process.argv[2] ?? 1000)).map((event) => Buffer.from(event))
const bulk = Buffer.concat(pieces)
const head = [...headers, "content-type", "text/event-stream; charset=utf-8", "cache-control", "no-cache"]

const server = createServer((request, response) => {
  request.resume()
  request.on("end", () => {
    response.writeHead(200, head)
    if (request.url?.startsWith("/bulk") === true) return void response.end(bulk)
    let next = 0
    const write = () => {
      const piece = pieces[next++]
      if (next === pieces.length) return void response.end(piece)
      response.write(piece)
      setImmediate(write)
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
