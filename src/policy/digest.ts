/** SHA-256, by the platform's own `crypto.subtle`. The only file that knows Effect's module for it. */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"

/** The SHA-256 of a text in UTF-8, in hex. Dies where the platform has no `crypto.subtle`. */
export const sha256 = (text: string): Effect.Effect<string> =>
  Effect.provide(
    Effect.flatMap(Digest.Digest, (digest) => digest.digestHex(Digest.sha256, encoder.encode(text))),
    Digest.layerWebCrypto
  )

const encoder = new TextEncoder()
