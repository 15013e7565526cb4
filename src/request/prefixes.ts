/** Remembers which prompt prefixes are in the API's cache, as its answers report. */
import type { Usage } from "../Message.ts"
import type { Content, Prefix } from "./content.ts"

interface Known {
  readonly until: number
  readonly tokens: number
}

/** The most prefixes that one `Prefixes` remembers; the oldest are dropped. */
const most = 1000

/** The cached prefixes of one class of models. */
export class Prefixes {
  readonly known = new Map<number, Known>()

  /** The longest cached prefix of a request, and its tokens. */
  find({ prefixes }: Content, now: number): readonly [prefix: Prefix, tokens: number] | undefined {
    for (let i = prefixes.length - 1; i >= 0; i--) {
      const prefix = prefixes[i]
      const known = prefix && this.known.get(prefix.name)
      if (prefix !== undefined && known !== undefined && known.until > now) return [prefix, known.tokens]
    }
    return undefined
  }

  /** Learns from the usage of an answer whether the marked prefix of its request is in the cache now. */
  learn({ cached, keptFor }: Content, usage: Usage, now: number): void {
    if (cached === undefined) return
    const tokens = (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0)
    // Delete before inserting, so that the entry moves to the end and the first entry is the oldest.
    this.known.delete(cached.name)
    if (tokens === 0) return
    this.known.set(cached.name, { until: now + keptFor, tokens })
    const [oldest] = this.known.keys()
    if (this.known.size > most && oldest !== undefined) this.known.delete(oldest)
  }
}
