/**
 * An imagined Claude: a plain state machine without clock and effects, so that the same rules serve the simulator and a
 * real HTTP server. Times are milliseconds; `now` counts from the start of the run.
 */
import * as Duration from "effect/Duration"
import { type Behaviour, compile, type Compiled } from "./behaviour.ts"
import { type Bucket, bucket, type Limits } from "./buckets.ts"
import * as Chance from "./chance.ts"
import * as Responses from "./responses.ts"
import * as Tokens from "./tokens.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** A fault that all requests meet, or a share of them, for a time. */
export interface Incident {
  readonly from: Duration.Input
  readonly to: Duration.Input
  readonly fault: Responses.Fault
  /** Which share of the requests: 1, all of them. */
  readonly share?: number | undefined
  /** Which models: all. */
  readonly models?: ReadonlyArray<string> | undefined
  /** The `retry-after` of a `rateLimited` incident: a time, rounded up to whole seconds, or until its end. */
  readonly retryAfter?: Duration.Input | "end" | undefined
}

/** An imagined Claude, as data. */
export interface Provider extends Behaviour {
  /** Models that behave in another way; what is not given is that of the others. */
  readonly models?: { readonly [model: string]: Behaviour } | undefined
  /** Shared by all models. */
  readonly limits?: Limits | undefined
  readonly incidents?: ReadonlyArray<Incident> | undefined
  /** A fleet that comes back slowly: from a time on it admits so many requests in each second, and 529 is for the rest. */
  readonly fragility?: { readonly from: Duration.Input; readonly perSecond: number } | undefined
  readonly tokens?: Tokens.Counting | undefined
  /** From the client to the API: uniform, 1 to 5 milliseconds. Without it, requests would arrive in lockstep with the buckets. */
  readonly network?: Chance.Time | undefined
}

/** What is said of the tokens of an answer. */
export interface Usage extends Tokens.Input {
  readonly output: number
}

interface Arrived {
  /** The number of the request, from 0. */
  readonly index: number
  readonly at: number
  /** Why it fails, if it does: a fault, a rate limit of the account, or fragility. */
  readonly because: Responses.Fault | "limit" | "fragility" | undefined
}

/** What becomes of a request. All times are milliseconds after its arrival. */
export type Plan =
  /** A whole response that is not a stream. */
  | Arrived & Responses.Response & { readonly kind: "response"; readonly after: number }
  /** The connection is reset, without a response. */
  | Arrived & { readonly kind: "reset"; readonly after: number }
  /** Nothing ever comes. */
  | Arrived & { readonly kind: "stall" }
  /** An event stream, with the connection reset at `breaksAfter` if that is given. */
  | Arrived & {
    readonly kind: "answer"
    readonly headers: Readonly<Record<string, string>>
    readonly headersAfter: number
    readonly firstAfter: number
    readonly endAfter: number
    readonly breaksAfter: number | undefined
    readonly usage: Usage
  }

/** The state machine. */
export interface Machine {
  /** Milliseconds that the next request takes to arrive. A server on a real network does not use it. */
  readonly travel: () => number
  /** Takes a request. `params` is the body of `POST /v1/messages`. */
  readonly arrive: (now: number, params: { readonly model: string; readonly max_tokens: number }) => Plan
  /** Must be told once per plan: the response is over, or its client has left. */
  readonly leave: (now: number, plan: Plan) => void
}

/** Options of a machine. */
export interface Options {
  /** What time 0 is, in milliseconds since the epoch, for the times in headers: 0. */
  readonly epoch?: number | undefined
}

// -----------------------------------------------------------------------------
// Constructor
// -----------------------------------------------------------------------------

/** Which random number is which. */
const purpose = { fault: 0, incident: 1, headers: 2, first: 3, length: 4, output: 5, error: 6, break: 7 }

/** Starts an imagined Claude. What the i-th request meets depends on the seed, i, the time and the buckets only. */
export const make = (config: Provider, seed: number | string, { epoch = 0 }: Options = {}): Machine => {
  const chance = Chance.make(seed)
  const count = Tokens.make(config.tokens)
  const { limits = {} } = config
  const requests = bucket("requests", limits.requests)
  const input = bucket("input-tokens", limits.inputTokens)
  const output = bucket("output-tokens", limits.outputTokens)
  const incidents = (config.incidents ?? []).map((incident) => ({
    ...incident,
    from: millis(incident.from),
    to: millis(incident.to),
    retryAfter: incident.retryAfter === undefined || incident.retryAfter === "end"
      ? incident.retryAfter
      : millis(incident.retryAfter)
  }))
  const fragileFrom = config.fragility === undefined ? Infinity : millis(config.fragility.from)
  const behaviours = new Map<string, Compiled>()
  const behaviourOf = (model: string): Compiled => {
    const known = behaviours.get(model)
    if (known !== undefined) return known
    const made = compile({ ...config, ...config.models?.[model] })
    behaviours.set(model, made)
    return made
  }
  /** The second of the last request, and how many came in it. */
  let second = { number: -1, requests: 0 }
  /** Answers that are written, and requests that hang. */
  let running = 0
  let next = 0
  const network = Chance.time(config.network ?? { uniform: [1, 5] })
  const travels = Chance.make(`${seed}/network`)
  let sent = 0

  const limitHeaders = (now: number) => ({
    ...requests.headers(now, epoch),
    ...input.headers(now, epoch),
    ...output.headers(now, epoch)
  })

  /** Seconds until the buckets have room; 0 if they have it now. */
  const refusedFor = (now: number, tokens: number): number => {
    const isShort = ([bucket, amount]: readonly [Bucket, number]) => bucket.level(now) < amount
    const short = ([[requests, 1], [input, tokens], [output, 1]] as const).filter(isShort)
    return short.length === 0
      ? 0
      : Math.max(1, ...short.map(([bucket, amount]) => Math.ceil(bucket.wait(now, amount) / 1000)))
  }

  const isFragile = (now: number): boolean => {
    if (config.fragility === undefined || now < fragileFrom) return false
    const number = Math.floor(now / 1000)
    second = { number, requests: second.number === number ? second.requests + 1 : 1 }
    return second.requests > config.fragility.perSecond
  }

  const arrive: Machine["arrive"] = (now, params) => {
    const index = next++
    const behaviour = behaviourOf(params.model)
    const draw = (from: Chance.Draw, purpose: number) => from(chance, index, purpose)
    const after = draw(behaviour.error, purpose.error)
    const fail = (because: Arrived["because"], response: Responses.Response): Plan => ({
      kind: "response",
      index,
      at: now,
      because,
      after,
      ...response
    })

    const incident = incidents.find((incident) =>
      now >= incident.from && now < incident.to && (incident.models?.includes(params.model) ?? true)
      && chance(index, purpose.incident) < (incident.share ?? 1)
    )
    const fault = incident?.fault ?? behaviour.fault(chance(index, purpose.fault))
    // The account comes first, then its limits, then the model.
    if (fault === "spendCap") return fail(fault, Responses.responses.spendCap(index))

    if (running >= (limits.concurrent ?? Infinity)) {
      return fail("limit", Responses.rateLimited(index, undefined, limitHeaders(now)))
    }
    const tokens = count(now, params)
    const counted = tokens.fresh + tokens.written
    const refused = refusedFor(now, counted)
    if (refused > 0) return fail("limit", Responses.rateLimited(index, refused, limitHeaders(now)))

    if (fault === "stall") {
      running++
      return { kind: "stall", index, at: now, because: fault }
    }
    if (fault === "reset") return { kind: "reset", index, at: now, because: fault, after }
    if (fault !== undefined && fault !== "break") {
      const wait = incident?.retryAfter === "end" ? incident.to - now : incident?.retryAfter
      return fail(fault, Responses.responses[fault](index, wait === undefined ? undefined : Math.ceil(wait / 1000)))
    }
    if (isFragile(now)) return fail("fragility", Responses.responses.overloaded(index))

    running++
    requests.take(now, 1)
    input.take(now, counted)
    const firstAfter = draw(behaviour.firstToken, purpose.first)
    const written = Math.min(params.max_tokens, draw(behaviour.output, purpose.output))
    const length = behaviour.tokensPerSecond === undefined
      ? draw(behaviour.length, purpose.length)
      : Math.round(1000 * written / behaviour.tokensPerSecond)
    return {
      kind: "answer",
      index,
      at: now,
      because: fault,
      headers: Responses.streamHeaders(index, limitHeaders(now)),
      headersAfter: Math.min(
        firstAfter,
        behaviour.headers === undefined ? firstAfter : draw(behaviour.headers, purpose.headers)
      ),
      firstAfter,
      endAfter: firstAfter + length,
      breaksAfter: fault === "break" ? firstAfter + Math.round(length * chance(index, purpose.break)) : undefined,
      usage: { ...tokens, output: written }
    }
  }

  return {
    travel: () => network(travels, sent++, 0),
    arrive,
    leave: (now, plan) => {
      if (plan.kind === "answer" || plan.kind === "stall") running--
      if (plan.kind !== "answer") return
      const { at, endAfter, firstAfter, usage } = plan
      const share = now - at >= endAfter ? 1 : Math.max(0, (now - at - firstAfter) / (endAfter - firstAfter))
      output.take(now, usage.output * share)
    }
  }
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))
