/**
 * The simulated Claude: a state machine without clock or effects, so that it can also run behind a real HTTP server.
 * Times are in milliseconds; `now` counts from the start of the run.
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

/** A fault that all requests, or a fraction of them, get during a time of the run. */
export interface Incident {
  readonly from: Duration.Input
  readonly to: Duration.Input
  readonly fault: Responses.Fault
  /** The fraction of requests that get the fault, from 0 to 1. Default: 1. */
  readonly share?: number | undefined
  /** The models whose requests get the fault. Default: all. */
  readonly models?: ReadonlyArray<string> | undefined
  /**
   * The `retry-after` of a `rateLimited` incident, rounded up to whole seconds. `"end"`: the time that is left of the
   * incident. Default: no `retry-after`.
   */
  readonly retryAfter?: Duration.Input | "end" | undefined
}

/** A simulated Claude, as data. */
export interface Provider extends Behaviour {
  /** By model id: the fields in which a model differs from the provider. */
  readonly models?: { readonly [model: string]: Behaviour } | undefined
  /** Shared by all models. */
  readonly limits?: Limits | undefined
  readonly incidents?: ReadonlyArray<Incident> | undefined
  /**
   * Simulates a fleet that recovers slowly: from `from` on, it accepts `perSecond` requests in each whole second, and
   * answers further requests with a 529.
   */
  readonly fragility?: { readonly from: Duration.Input; readonly perSecond: number } | undefined
  readonly tokens?: Tokens.Counting | undefined
  /**
   * The network time from the client to the API. Default: uniform, 1 to 5 milliseconds. With 0, requests that are
   * sent evenly at the rate of a limit could each arrive at the exact moment when the bucket has refilled for them, which
   * does not happen on a real network.
   */
  readonly network?: Chance.Time | undefined
}

export interface Usage extends Tokens.Input {
  readonly output: number
}

interface Arrived {
  /** The number of the request, from 0. */
  readonly index: number
  readonly at: number
  /** Why the request fails: a fault, a rate limit of the account (`limit`), or the overload that `fragility` sets. */
  readonly because: Responses.Fault | "limit" | "fragility" | undefined
}

/** The response to a request. `at` is its arrival; all other times are in milliseconds after the arrival. */
export type Plan =
  /** A response that is not a stream. */
  | Arrived & Responses.Response & { readonly kind: "response"; readonly after: number }
  | Arrived & { readonly kind: "reset"; readonly after: number }
  /** No response, ever. */
  | Arrived & { readonly kind: "stall" }
  /** An event stream; the connection is reset at `breaksAfter` if it is given. */
  | Arrived & {
    readonly kind: "answer"
    readonly headers: Readonly<Record<string, string>>
    readonly headersAfter: number
    readonly firstAfter: number
    readonly endAfter: number
    readonly breaksAfter: number | undefined
    readonly usage: Usage
  }

export interface Machine {
  /** The network time of the next request, in milliseconds. Unused on a real network. */
  readonly travel: () => number
  /** Plans the response to a request. `params` is the body of `POST /v1/messages`. */
  readonly arrive: (now: number, params: { readonly model: string; readonly max_tokens: number }) => Plan
  /** Call it once per plan, when the response has ended or the client has left. */
  readonly leave: (now: number, plan: Plan) => void
}

export interface Options {
  /** The date at virtual time 0, used in headers, in milliseconds since the epoch. Default: 0. */
  readonly epoch?: number | undefined
}

// -----------------------------------------------------------------------------
// Constructor
// -----------------------------------------------------------------------------

const purpose = { fault: 0, incident: 1, headers: 2, first: 3, length: 4, output: 5, error: 6, break: 7 }

/**
 * Starts a simulated Claude. The response to the i-th request depends only on the seed, on i, on the time, on the request
 * and on the state: the rate limits, the running requests, the requests in this second, and the cached prefixes.
 */
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
  /** Counts the requests in the current second, for `fragility`. */
  let second = { number: -1, requests: 0 }
  /** The number of answers and stalls for which `leave` was not called yet. */
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

  /** Seconds until no rate limit refuses a request with `tokens` input tokens; 0 if none refuses it now. */
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
    // Checked in the order of the API: the account, its rate limits, the model.
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
