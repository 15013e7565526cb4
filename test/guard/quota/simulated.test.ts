/** Ten minutes of three times the allowed load, in virtual time, against providers that count exactly. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Random } from "effect"
import { Claude, ClaudeError, type Message, type Quota } from "../../../src/index.ts"
import * as VirtualClock from "../../../src/testing/simulator/virtualClock.ts"
import { describeLong, effort } from "../../support/effort.ts"
import { every, guarded, logNormal } from "../../support/provider.ts"

/** The usage of one request, by dimension. */
type Used = readonly [requests: number, input: number, output: number]

/** Takes the usage of a request, or nothing if that exceeds the level; returns what is left. */
interface Account {
  readonly take: (used: Used, now: number) => boolean
  readonly left: (now: number) => Used
}

/** Buckets with the capacity of the limits, which refill in a minute. */
const bucketAccount = (limits: Used): Account => {
  let level = limits
  let at = 0
  const fill = (now: number) => {
    const [requests, input, output] = limits
    const share = (now - at) / 60_000
    level = [
      Math.min(requests, level[0] + requests * share),
      Math.min(input, level[1] + input * share),
      Math.min(output, level[2] + output * share)
    ]
    at = now
  }
  return {
    take: (used, now) => {
      fill(now)
      // Tolerance for rounding errors.
      if (used.some((amount, i) => amount > (level[i] ?? 0) + 1e-6)) return false
      level = [level[0] - used[0], level[1] - used[1], level[2] - used[2]]
      return true
    },
    left: (now) => {
      fill(now)
      return level
    }
  }
}

/** At most the limits in any 60 seconds. */
const windowAccount = (limits: Used): Account => {
  let recent: ReadonlyArray<readonly [at: number, used: Used]> = []
  const left = (now: number): Used => {
    recent = recent.filter(([at]) => at > now - 60_000)
    const sum = (i: 0 | 1 | 2) => limits[i] - recent.reduce((total, [, used]) => total + used[i], 0)
    return [sum(0), sum(1), sum(2)]
  }
  return {
    left,
    take: (used, now) => {
      const rest = left(now)
      if (used.some((amount, i) => amount > (rest[i] ?? 0))) return false
      recent = [...recent, [now, used]]
      return true
    }
  }
}

const minutes = 10

/** Returns the used share of the headroom after the first minute, and how many requests the provider rejected. */
const simulate = ({ account: open, limits, options = {}, perMinute, sizes, told = true, seed = "quota" }: {
  readonly account: (limits: Used) => Account
  readonly limits: Used
  readonly options?: Partial<Quota.Options>
  /** Calls per minute. */
  readonly perMinute: number
  /** Mean tokens of a call, log-normally distributed with this sigma. */
  readonly sizes: { readonly input: number; readonly output: number; readonly sigma: number }
  /** Whether the provider reports what is left. */
  readonly told?: boolean
  readonly seed?: string
}) =>
  Effect.gen(function*() {
    const account = open(limits)
    const [requests, inputTokens, outputTokens] = limits
    let refused = 0
    let sum: Used = [0, 0, 0]
    const provider = guarded(({ params }) =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const text = params.messages[0]?.content ?? ""
        // Tokens per character vary at random, so that estimates err.
        const input = Math.ceil(text.length * (0.2 + 0.1 * (yield* Random.next)))
        const output = Math.min(params.max_tokens, yield* around(sizes.output, sizes.sigma))
        if (!account.take([1, input, output], now)) {
          refused++
          return yield* new ClaudeError.RateLimited({})
        }
        if (now >= 60_000 && now < minutes * 60_000) sum = [sum[0] + 1, sum[1] + input, sum[2] + output]
        const left = account.left(now)
        return { first: 1000, rest: output * 10, input, output, rateLimits: told ? rateLimits(limits, left) : {} }
      }), {
      quota: { requests, inputTokens, outputTokens, ...options },
      concurrency: { queue: 200 }
    })
    const ask = Effect.flatMap(around(sizes.input * 4, sizes.sigma), (length) =>
      Effect.ignore(Claude.text("x".repeat(length), { max_tokens: 8 * sizes.output })))
    yield* every(60_000 / perMinute, perMinute * minutes, () =>
      ask).pipe(Effect.provide(provider))
    const { headroom = told ? 0.95 : 0.83 } = options
    const share = (i: 0 | 1 | 2) => sum[i] / (limits[i] * headroom * (minutes - 1))
    return { refused, use: [share(0), share(1), share(2)] as const }
  }).pipe(Random.withSeed(seed), VirtualClock.run)

/** Log-normal with this mean. */
const around = (mean: number, sigma: number) =>
  Effect.map(logNormal(mean * Math.exp(-sigma * sigma / 2), sigma), (tokens) => Math.max(1, tokens))

const rateLimits = (limits: Used, left: Used): Message.RateLimits => {
  const of = (i: 0 | 1 | 2): Message.RateLimit => ({
    limit: limits[i],
    remaining: Math.floor(left[i]),
    reset: undefined
  })
  return { requests: of(0), inputTokens: of(1), outputTokens: of(2) }
}

const small = { input: 500, output: 200, sigma: 0.5 }
const requests = { limits: [60, 1_000_000, 1_000_000], perMinute: 150, sizes: small } as const
const input = {
  limits: [1000, 40_000, 1_000_000],
  perMinute: 200,
  sizes: { input: 500, output: 100, sigma: 1 }
} as const
const output = {
  limits: [1000, 1_000_000, 20_000],
  perMinute: 200,
  sizes: { input: 500, output: 250, sigma: 1 }
} as const

describe("a quota, against a provider with buckets of requests and tokens", () => {
  it.effect(
    "of requests is used to at least 95 % without a 429, whether the provider reports what is left or not",
    () =>
      Effect.gen(function*() {
        for (const told of effort([true, false], [true])) {
          const { refused, use } = yield* simulate({ account: bucketAccount, ...requests, told })
          assert.strictEqual(refused, 0)
          assert.isAtLeast(use[0], 0.95)
          // The initial burst is over by then.
          assert.isAtMost(use[0], 1.01)
        }
      }),
    60_000
  )

  it.effect(
    "of input tokens is used to at least 95 % without a 429 by prompts of different sizes",
    () =>
      Effect.gen(function*() {
        const { refused, use } = yield* simulate({ account: bucketAccount, ...input })
        assert.strictEqual(refused, 0)
        assert.isAtLeast(use[1], 0.95)
      }),
    60_000
  )

  it.effect(
    "of output tokens is used to at least 95 % without a 429 by answers of different lengths",
    () =>
      Effect.gen(function*() {
        const figures = yield* simulate({ account: bucketAccount, ...output })
        assert.strictEqual(figures.refused, 0)
        assert.isAtLeast(figures.use[2], 0.95)
        // G10: the same seed gives the same figures.
        assert.deepStrictEqual(yield* simulate({ account: bucketAccount, ...output }), figures)
      }),
    60_000
  )
})

describeLong("a quota with a small burst, against a provider with a sliding window", () => {
  const options = { headroom: 0.83, burst: 0.17 }

  it.effect(
    "of requests is used to at least 95 % without a 429, whether the provider reports what is left or not",
    () =>
      Effect.gen(function*() {
        for (const told of effort([true, false], [true])) {
          const { refused, use } = yield* simulate({ account: windowAccount, options, ...requests, told })
          assert.strictEqual(refused, 0)
          assert.isAtLeast(use[0], 0.95)
        }
      }),
    60_000
  )

  it.effect(
    "of tokens is used to at least 85 % without a 429 if the provider reports what is left",
    () =>
      Effect.gen(function*() {
        const ofInput = yield* simulate({ account: windowAccount, options, ...input })
        const ofOutput = yield* simulate({ account: windowAccount, options, ...output })
        assert.deepStrictEqual([ofInput.refused, ofOutput.refused], [0, 0])
        assert.isAtLeast(ofInput.use[1], 0.9)
        assert.isAtLeast(ofOutput.use[2], 0.85)
      }),
    60_000
  )
})
