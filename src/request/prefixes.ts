/** Which beginnings of prompts are in the cache of the API, as far as its answers said. */
import type { Usage } from "../Message.ts"
import type { Content, Prefix } from "./content.ts"

interface Known {
  readonly until: number
  /** How many tokens it is. */
  readonly tokens: number
}

/** More are not remembered at once. */
const most = 1000

/** What is cached for one class of models. */
export class Prefixes {
  readonly known = new Map<number, Known>()

  /** The longest beginning of a request that is read from the cache, and its tokens. */
  find({ prefixes }: Content, now: number): readonly [prefix: Prefix, tokens: number] | undefined {
    for (let i = prefixes.length - 1; i >= 0; i--) {
      const prefix = prefixes[i]
      const known = prefix && this.known.get(prefix.name)
      if (prefix !== undefined && known !== undefined && known.until > now) return [prefix, known.tokens]
    }
    return undefined
  }

  /** An answer says whether its beginning was read from the cache or written to it: others may read it from now on. */
  learn({ cached, keptFor }: Content, usage: Usage, now: number): void {
    if (cached === undefined) return
    const tokens = (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0)
    // The last is the newest.
    this.known.delete(cached.name)
    if (tokens === 0) return
    this.known.set(cached.name, { until: now + keptFor, tokens })
    const [oldest] = this.known.keys()
    if (this.known.size > most && oldest !== undefined) this.known.delete(oldest)
  }
}
