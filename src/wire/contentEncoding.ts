/**
 * Bodies that were compressed on the way: the encodings that `fetch` knows.
 *
 * Proxies and CDNs compress unasked. Every decoder gives what it has as soon as
 * it can, so that a stream of events stays one. Undici has an interceptor for
 * this, which prints a warning that it is experimental, and knows no raw deflate.
 */
import { type Duplex, pipeline, Readable } from "node:stream"
import * as Zlib from "node:zlib"

type Chunks = AsyncIterable<Uint8Array>
type Decoder = (source: Chunks) => Chunks

const { BROTLI_OPERATION_FLUSH, Z_SYNC_FLUSH } = Zlib.constants

/** What comes is given at once. An end that comes too early is no error: the message is incomplete, and that is noticed. */
const flush = { flush: Z_SYNC_FLUSH, finishFlush: Z_SYNC_FLUSH }
const flushBrotli = { flush: BROTLI_OPERATION_FLUSH, finishFlush: BROTLI_OPERATION_FLUSH }

const through = (make: () => Duplex): Decoder => (source) => pipeline(Readable.from(source), make(), () => {})

const gunzip = through(() => Zlib.createGunzip(flush))

/** By the standard this is zlib's format, whose first byte ends in 8 (RFC 1950). Some servers send raw deflate. */
const inflate: Decoder = async function*(source) {
  const chunks = source[Symbol.asyncIterator]()
  const first = await chunks.next()
  if (first.done === true) return
  const isRaw = ((first.value[0] ?? 0) & 15) !== 8
  yield* through(() => isRaw ? Zlib.createInflateRaw(flush) : Zlib.createInflate(flush))(
    startingWith(first.value, chunks)
  )
}

const startingWith = async function*(first: Uint8Array, rest: AsyncIterator<Uint8Array>) {
  yield first
  yield* { [Symbol.asyncIterator]: () => rest }
}

const decoders: ReadonlyMap<string, Decoder> = new Map([
  ["gzip", gunzip],
  ["x-gzip", gunzip],
  ["deflate", inflate],
  ["br", through(() => Zlib.createBrotliDecompress(flushBrotli))],
  ["zstd", through(() => Zlib.createZstdDecompress())]
])

/** The most encodings that one body may have: more is an attack (GHSA-gm62-xv2j-4w53). */
const mostEncodings = 5

/** What decodes a body with this `content-encoding`; nothing, if it is plain or not known. */
export const decoderOf = (contentEncoding: string | undefined): Decoder | undefined => {
  if (contentEncoding === undefined) return undefined
  const names = contentEncoding.toLowerCase().split(",").map((name) => name.trim())
  const found = names.toReversed().map((name) => decoders.get(name))
  return found.length > mostEncodings || !found.every((decoder) => decoder !== undefined)
    ? undefined
    : (source) => found.reduce((chunks, decoder) => decoder(chunks), source)
}
