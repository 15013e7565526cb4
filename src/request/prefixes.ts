/** Remembers which prompt prefixes the API has cached, according to the usage in its answers. */
import type { Usage } from "../Message.ts"
import type { Content, Prefix } from "./content.ts"

interface Cached {
  /** When the API drops the prefix, in milliseconds since the epoch. */
  readonly until: number
  readonly tokens: number
}

/** Beyond this number, the oldest prefix is forgotten. */
const maxPrefixes = 1000

export class Prefixes {
  readonly known = new Map<number, Cached>()

  /** The longest prefix of a request that is still cached, and its tokens. */
  find({ prefixes }: Content, now: number): readonly [prefix: Prefix, tokens: number] | undefined {
    for (let i = prefixes.length - 1; i >= 0; i--) {
      const prefix = prefixes[i]
      const known = prefix && this.known.get(prefix.name)
      if (prefix !== undefined && known !== undefined && known.until > now) return [prefix, known.tokens]
    }
    return undefined
  }

  /** Remembers the marked prefix of a request, or forgets it if the API neither read nor wrote cached tokens. */
  learn({ cached, keptFor }: Content, usage: Usage, now: number): void {
    if (cached === undefined) return
    const tokens = (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0)
    // Delete before inserting, so that the entry moves to the end and the first entry is the oldest.
    this.known.delete(cached.name)
    if (tokens === 0) return
    this.known.set(cached.name, { until: now + keptFor, tokens })
    const [oldest] = this.known.keys()
    if (this.known.size > maxPrefixes && oldest !== undefined) this.known.delete(oldest)
  }
}
