import { BaseAnthropic, type ClientOptions, type Middleware } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Data, Duration, Effect, Exit, Fiber, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { Anthropic, CallLog, Claude, Models, Retry, Timeout } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"

const wires = [["Anthropic", Anthropic], ["NodeAnthropic", NodeAnthropic]] as const

const quiet = Layer.provide(CallLog.layerNoop)

/** Runs a call over a wire to a server. Returns its exit and the authorization headers of its requests. */
const authorized = <A, E>(
  script: Faults.Playable,
  layer: (baseUrl: string) => Layer.Layer<Claude.Claude, Config.ConfigError>,
  call: Effect.Effect<A, E, Claude.Claude>
) =>
  Effect.gen(function*() {
    const { received, url } = yield* FakeServer.FakeServer
    const exit = yield* Effect.exit(Effect.provide(call, layer(url).pipe(quiet)))
    return { exit, sent: (yield* received).map(({ headers }) => headers.authorization) }
  }).pipe(Effect.provide(FakeServer.layer(script)))

/** A key that changes with each read. */
const rotating = () => {
  let reads = 0
  return Effect.sync(() => Redacted.make(`sk-ant-${++reads}`))
}

class VaultDown extends Data.TaggedError("VaultDown")<{ readonly secret: string }> {}

const answers = (times: number) => Array.from({ length: times }, () => Faults.answer("hello"))

describe.each(wires)("the key of %s", (_, { layer, layerConfig }) => {
  it.live("can be a bearer token", () =>
    Effect.gen(function*() {
      const { sent } = yield* authorized(
        answers(1),
        (baseUrl) => layer({ authToken: Redacted.make("token-1"), baseUrl }),
        Claude.text("hi")
      )
      assert.deepStrictEqual(sent, ["Bearer token-1"])
    }))

  it.live("is read for each attempt if it is an effect", () =>
    Effect.gen(function*() {
      const { exit, sent } = yield* authorized(
        [Faults.overloaded, Faults.answer("one"), Faults.answer("two")],
        (baseUrl) => layer({ apiKey: rotating(), baseUrl }),
        Effect.andThen(
          Effect.retry(Claude.text("hi"), Retry.backoff({ times: 1, base: "1 millis" })),
          Claude.text("again", { user_profile_id: "uprof_1" })
        )
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(sent, ["Bearer sk-ant-1", "Bearer sk-ant-2", "Bearer sk-ant-3"])
    }))

  it.live("is also read to count tokens and to list models", () =>
    Effect.gen(function*() {
      const { sent } = yield* authorized(
        answers(1),
        (baseUrl) => layer({ authToken: rotating(), baseUrl }),
        Effect.andThen(Effect.exit(Claude.countTokens("hi")), Effect.exit(Models.refresh))
      )
      assert.deepStrictEqual(sent, ["Bearer sk-ant-1", "Bearer sk-ant-2"])
    }))

  it.live("is read once more after a 401 if it is an effect", () =>
    Effect.gen(function*() {
      const { exit, sent } = yield* authorized(
        [Faults.unauthorized, Faults.answer("hello")],
        (baseUrl) => layer({ apiKey: rotating(), baseUrl }),
        Claude.text("hi")
      )
      assert.deepStrictEqual(exit, Exit.succeed("hello"))
      assert.deepStrictEqual(sent, ["Bearer sk-ant-1", "Bearer sk-ant-2"])

      const refused = yield* authorized(
        [Faults.unauthorized, Faults.unauthorized, Faults.answer("hello")],
        (baseUrl) => layer({ apiKey: rotating(), baseUrl }),
        Effect.flip(Claude.text("hi"))
      )
      assert.strictEqual(Exit.isSuccess(refused.exit) && refused.exit.value._tag, "AuthenticationFailed")
      assert.lengthOf(refused.sent, 2)
    }))

  it.live("is not sent again after a 401 if it is a string and not an effect", () =>
    Effect.gen(function*() {
      const { sent } = yield* authorized(
        [Faults.unauthorized, Faults.answer("hello")],
        (baseUrl) => layer({ apiKey: "sk-ant-1", baseUrl }),
        Claude.text("hi")
      )
      assert.deepStrictEqual(sent, ["Bearer sk-ant-1"])
    }))

  const unreadable: ReadonlyArray<readonly [what: string, key: Anthropic.Credential, words: string]> = [
    [
      "fails",
      Effect.fail(new VaultDown({ secret: "sk-ant-secret" })),
      "the effect that reads the key failed with VaultDown"
    ],
    ["fails with a string", Effect.fail("sk-ant-secret"), "the effect that reads the key failed with string"],
    ["dies", Effect.die(new TypeError("sk-ant-secret")), "the effect that reads the key failed with TypeError"],
    ["interrupts itself", Effect.interrupt, "the effect that reads the key failed with "],
    ["returns an empty key", Effect.succeed(""), "the key is empty"],
    [
      "returns a key with a line break",
      Effect.succeed(Redacted.make("sk-ant-secret\n")),
      "characters that are not allowed in a header"
    ],
    // The types forbid this value, but untyped code can return it.
    ["returns null", Effect.succeed(JSON.parse("null")), "the key is missing"],
    ["returns an object", Effect.succeed(Object({})), "the key is not a text"]
  ]

  it.live.each(unreadable)(
    "causes AuthenticationFailed, with no key in the error and no request, if its effect %s",
    ([, key, words]) =>
      Effect.gen(function*() {
        const { exit, sent } = yield* authorized(
          answers(1),
          (baseUrl) => layer({ apiKey: key, baseUrl }),
          Effect.flip(Claude.text("hi"))
        )
        assert.isTrue(Exit.isSuccess(exit))
        if (Exit.isFailure(exit)) return
        const { value: error } = exit
        assert.strictEqual(error._tag, "AuthenticationFailed")
        assert.include(error.message, words)
        assert.isString(error.model)
        for (const printed of [String(error), JSON.stringify(error), error.stack ?? "", String(error.cause)]) {
          assert.notInclude(printed, "secret")
        }
        assert.deepStrictEqual(sent, [])
      })
  )

  const never = () => {
    let left = 0
    return { left: () => left, apiKey: Effect.onInterrupt(Effect.never, () => Effect.sync(() => left++)) }
  }

  it.effect("causes TimedOut if it is not read within the connect limit", () => {
    const { apiKey, left } = never()
    return Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(
        Timeout.limits({ connect: "5 seconds" }),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepInclude({ ...(yield* Fiber.join(call)) }, { _tag: "TimedOut", scope: "connect" })
      assert.strictEqual(left(), 1)
    }).pipe(Effect.provide(layer({ apiKey }).pipe(quiet)))
  })

  it.effect("is abandoned at the connect limit, even if its effect never ends and cannot be interrupted", () =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(
        Timeout.limits({ connect: "5 seconds" }),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude({ ...(yield* Fiber.join(call)) }, { _tag: "TimedOut", scope: "connect" })
    }).pipe(Effect.provide(layer({ apiKey: Effect.uninterruptible(Effect.never) }).pipe(quiet))))

  it.effect("is read by an effect that is interrupted together with the attempt", () => {
    const { apiKey, left } = never()
    return Effect.gen(function*() {
      const call = yield* Effect.forkChild(Claude.text("hi"), { startImmediately: true })
      yield* TestClock.adjust(Duration.seconds(1))
      assert.strictEqual(left(), 0)
      yield* Fiber.interrupt(call)
      assert.strictEqual(left(), 1)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(call)))
    }).pipe(Effect.provide(layer({ apiKey }).pipe(quiet)))
  })

  // ---------------------------------------------------------------------------
  // Keys from the configuration
  // ---------------------------------------------------------------------------

  const configured = (
    config: Parameters<typeof layerConfig>[0],
    env: (url: string) => Readonly<Record<string, string>>
  ) =>
    authorized(
      answers(2),
      (url) =>
        layerConfig(config).pipe(
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: { ANTHROPIC_BASE_URL: url, ...env(url) } })))
        ),
      Effect.andThen(Claude.text("one"), Claude.text("two"))
    )

  const found: ReadonlyArray<
    readonly [
      what: string,
      config: Parameters<typeof layerConfig>[0],
      env: Readonly<Record<string, string>>,
      key: string
    ]
  > = [
    ["ANTHROPIC_API_KEY", {}, { ANTHROPIC_API_KEY: "a" }, "a"],
    ["ANTHROPIC_AUTH_TOKEN", undefined, { ANTHROPIC_AUTH_TOKEN: "b" }, "b"],
    ["ANTHROPIC_API_KEY if both variables are set", {}, { ANTHROPIC_API_KEY: "a", ANTHROPIC_AUTH_TOKEN: "b" }, "a"],
    [
      "ANTHROPIC_AUTH_TOKEN if ANTHROPIC_API_KEY is empty",
      {},
      { ANTHROPIC_API_KEY: "", ANTHROPIC_AUTH_TOKEN: "b" },
      "b"
    ],
    ["the option apiKey", { apiKey: "c" }, { ANTHROPIC_API_KEY: "a b" }, "c"],
    ["the option authToken", { authToken: Redacted.make("c") }, { ANTHROPIC_API_KEY: "a" }, "c"],
    [
      "another variable that the option apiKey names",
      { apiKey: Config.Redacted("MY_KEY") },
      { MY_KEY: "d", ANTHROPIC_API_KEY: "a" },
      "d"
    ]
  ]

  it.live.each(found)("is read by layerConfig from %s", ([, config, env, key]) =>
    Effect.gen(function*() {
      const { exit, sent } = yield* configured(config, () => env)
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(sent, [`Bearer ${key}`, `Bearer ${key}`])
    }))

  it.live("can be an effect in layerConfig, and the address can come from another variable", () =>
    Effect.gen(function*() {
      const { sent } = yield* configured(
        { apiKey: rotating(), baseUrl: Config.String("MY_URL") },
        (url) => ({ MY_URL: url, ANTHROPIC_BASE_URL: "not read" })
      )
      assert.deepStrictEqual(sent, ["Bearer sk-ant-1", "Bearer sk-ant-2"])
    }))
})

it.live("Anthropic.layerConfig uses the fetch of its options", () =>
  Effect.gen(function*() {
    const urls: Array<string> = []
    const { sent } = yield* authorized(
      answers(1),
      (baseUrl) =>
        Anthropic.layerConfig({
          apiKey: "sk-ant-1",
          baseUrl,
          fetch: (input, init) => {
            urls.push(String(input))
            return fetch(input, init)
          }
        }),
      Claude.text("hi")
    )
    assert.lengthOf(sent, 1)
    assert.lengthOf(urls, 1)
  }))

// -----------------------------------------------------------------------------
// Clients of other platforms
// -----------------------------------------------------------------------------

/** A client like the ones of the SDK's packages for other platforms: without resources, and with a backend middleware. */
class Gateway extends BaseAnthropic {
  readonly region: string

  constructor({ region, ...options }: ClientOptions & { readonly region: string }) {
    super({ ...options, apiKey: null, authToken: null })
    this.region = region
    // `withOptions` of the SDK builds a copy of a client from these options.
    Object.assign(Object(this)["_options"], { region })
  }

  protected override _shouldResolveDefaultCredentials() {
    return false
  }

  protected override validateHeaders() {}

  protected override backendMiddleware(): ReadonlyArray<Middleware> {
    return [(request, next) => {
      const headers = new Headers(request.headers)
      headers.set("authorization", `Bearer signed-for-${this.region}`)
      return next({ ...request, headers })
    }]
  }
}

describe.each(wires)("a client of another platform on %s", (_, { layer, layerConfig }) => {
  it.live("signs the requests itself", () =>
    Effect.gen(function*() {
      for (const make of [layer, layerConfig]) {
        const { exit, sent } = yield* authorized(
          answers(1),
          (baseURL) => make({ client: new Gateway({ baseURL, region: "eu-west-1" }) }),
          Claude.text("hi")
        )
        assert.deepStrictEqual(exit, Exit.succeed("hello"))
        assert.deepStrictEqual(sent, ["Bearer signed-for-eu-west-1"])
      }
    }))
})
