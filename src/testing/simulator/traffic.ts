import * as Duration from "effect/Duration"
import type * as Current from "../../Current.ts"
import type { Params } from "../../Message.ts"
import * as Chance from "./chance.ts"

/** The default is a short text, without images and documents. */
export interface PromptSize {
  /** Characters of text. Default: 40. */
  readonly characters?: number | undefined
  /** The number of images, each sent as a `file_id`. Default: 0. */
  readonly images?: number | undefined
  /** The number of documents, each sent as a `file_id`. Default: 0. */
  readonly documents?: number | undefined
  /** Characters of a cached system prompt. Default: no system prompt. */
  readonly cached?: number | undefined
  /** Whether Claude may search the web. Default: false. */
  readonly webSearch?: boolean | undefined
  /** Default: 1,024. */
  readonly max_tokens?: number | undefined
}

/** A stream of calls, as an open loop: calls start when they are due, whether or not earlier calls have ended. */
export interface Traffic {
  /**
   * `perSecond`: evenly spaced calls. `poisson`: a Poisson process with this mean number of calls per second. `burst`: this
   * many calls at once, then again after each `every`.
   */
  readonly arrivals:
    | { readonly perSecond: number }
    | { readonly poisson: number }
    | { readonly burst: number; readonly every: Duration.Input }
    /** This many calls, all at `from`. */
    | { readonly jobs: number }
  /** The start of the traffic, from the start of the run. Default: 0. */
  readonly from?: Duration.Input | undefined
  /**
   * The end of the traffic, from the start of the run: no call starts later. `jobs` ignores it. Default: 0, with which the
   * other kinds of arrivals start no call.
   */
  readonly to?: Duration.Input | undefined
  /**
   * How long a caller waits for the answer. Default: 25 seconds. The caller leaves one millisecond later, so that a policy
   * whose deadline is the patience fails first.
   */
  readonly patience?: Duration.Input | undefined
  readonly priority?: typeof Current.Priority.Service | undefined
  /** The tenant of the calls. Default: none; the result then has the calls under `everybody`. */
  readonly tenant?: string | undefined
  /** Default: `claude-sonnet-5-5`. */
  readonly model?: string | undefined
  /** The fallback models, in order. Only a contender that reads this field uses them. */
  readonly fallbacks?: ReadonlyArray<string> | undefined
  readonly prompt?: PromptSize | undefined
}

export interface Due {
  /** Milliseconds from the start of the run. */
  readonly at: number
  /** An index in the traffic of the scenario. */
  readonly traffic: number
}

const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))

/** In milliseconds. */
export const patienceOf = ({ patience = "25 seconds" }: Traffic): number => millis(patience)

export const modelOf = ({ model = "claude-sonnet-5-5" }: Traffic): string => model

export const due = (traffic: ReadonlyArray<Traffic>, seed: number | string): ReadonlyArray<Due> =>
  traffic
    .flatMap((one, index) => times(one, Chance.make(`${seed}/traffic/${index}`)).map((at) => ({ at, traffic: index })))
    .toSorted((a, b) => a.at - b.at)

const times = ({ arrivals, from = 0, to = 0 }: Traffic, chance: Chance.Chance): ReadonlyArray<number> => {
  const start = millis(from)
  const end = millis(to)
  if ("jobs" in arrivals) return Array.from({ length: arrivals.jobs }, () => start)
  if ("perSecond" in arrivals) {
    const count = Math.round((end - start) / 1000 * arrivals.perSecond)
    return Array.from({ length: count }, (_, index) => start + Math.round(index * 1000 / arrivals.perSecond))
  }
  if ("burst" in arrivals) {
    const bursts = Math.ceil((end - start) / millis(arrivals.every))
    const burst = Array.from({ length: arrivals.burst })
    return Array.from({ length: bursts }, (_, index) => burst.map(() => start + index * millis(arrivals.every))).flat()
  }
  const all: Array<number> = []
  for (let at = start;;) {
    at -= Math.log(1 - chance(all.length, 0)) * 1000 / arrivals.poisson
    if (at >= end) return all
    all.push(Math.round(at))
  }
}

export const askOf = (traffic: Traffic): Params => {
  const { cached, characters = 40, documents = 0, images = 0, max_tokens = 1024, webSearch = false } = traffic.prompt ??
    {}
  const files = (type: "image" | "document", count: number) =>
    Array.from(
      { length: count },
      (_, index) => ({ type, source: { type: "file", file_id: `file_${type}_${index}` } } as const)
    )
  return {
    model: modelOf(traffic),
    max_tokens,
    messages: [{
      role: "user",
      content: [
        ...files("image", images),
        ...files("document", documents),
        { type: "text", text: "x".repeat(characters) }
      ]
    }],
    ...(cached !== undefined &&
      { system: [{ type: "text", text: "y".repeat(cached), cache_control: { type: "ephemeral" } }] }),
    ...(webSearch && { tools: [{ type: "web_search_20250305", name: "web_search" }] })
  }
}
