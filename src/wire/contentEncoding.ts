/**
 * Decompresses response bodies, with the encodings that `fetch` supports.
 *
 * Some proxies and CDNs compress bodies even if the request did not ask for it. The decoders
 * flush as often as they can, so that events are not delayed. undici has a
 * decompressing interceptor, but it prints a warning and cannot read raw deflate.
 */
import { type Duplex, pipeline, Readable } from "node:stream"
import * as Zlib from "node:zlib"

type Chunks = AsyncIterable<Uint8Array>
type Decoder = (source: Chunks) => Chunks

const { BROTLI_OPERATION_FLUSH, Z_SYNC_FLUSH } = Zlib.constants

/** Flushes every chunk. `finishFlush`: a cut body is no error here, because the reader notices an incomplete message. */
const flush = { flush: Z_SYNC_FLUSH, finishFlush: Z_SYNC_FLUSH }
const flushBrotli = { flush: BROTLI_OPERATION_FLUSH, finishFlush: BROTLI_OPERATION_FLUSH }

const through = (make: () => Duplex): Decoder => (source) => pipeline(Readable.from(source), make(), () => {})

const gunzip = through(() => Zlib.createGunzip(flush))

/**
 * Decodes `deflate`. The standard means zlib's format, whose first byte has 8 in its lower four bits (RFC 1950), but some
 * servers send raw deflate.
 */
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

/** The maximum number of encodings of one body: a longer list is an attack (GHSA-gm62-xv2j-4w53). */
const mostEncodings = 5

/** `undefined` if the header is missing, names an unknown encoding, or names more than `mostEncodings` encodings. */
export const decoderOf = (contentEncoding: string | undefined): Decoder | undefined => {
  if (contentEncoding === undefined) return undefined
  const names = contentEncoding.toLowerCase().split(",").map((name) => name.trim())
  const found = names.toReversed().map((name) => decoders.get(name))
  return found.length > mostEncodings || !found.every((decoder) => decoder !== undefined)
    ? undefined
    : (source) => found.reduce((chunks, decoder) => decoder(chunks), source)
}
