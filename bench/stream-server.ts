/**
 * The server that streams are read from, run as a child process: `node bench/stream-server.ts [events]`.
 *
 * The same answer of so many pieces of text, in two ways: under `/bulk` as fast as the socket takes it, under `/chunks`
 * every event in a write of its own, one for each turn of the event loop. Both are bytes before the first request comes.
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
// No connection is closed between two slices of one client.
server.keepAliveTimeout = 600_000
server.listen(0, "127.0.0.1", () => {
  // A server that listens on a port has such an address.
  const { port } = server.address() as AddressInfo
  if (process.send === undefined) console.log(`http://127.0.0.1:${port}`)
  else process.send({ port })
})
process.on("disconnect", () => process.exit())
