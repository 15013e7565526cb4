import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { getGlobalDispatcher } from "undici"
import { Anthropic, CallLog, Claude } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"
import * as Ambient from "../../src/wire/ambientFetch.ts"
import * as Sdk from "../../src/wire/sdkClient.ts"
import * as UndiciFetch from "../../src/wire/undiciFetch.ts"

const apiKey = "sk-ant-test"
const params = { model: "claude-sonnet-5-5", max_tokens: 10, messages: [{ role: "user" as const, content: "hi" }] }
const bodyOf = (init: RequestInit | undefined): unknown => JSON.parse(String(init?.body))

/** Marks a `fetch` as one that takes plain headers, like the two of this library. */
const plain = (fetch: Sdk.Fetch): Sdk.Fetch => Object.assign(fetch, { [Sdk.takesPlain]: true })

describe("a sender", () => {
  it("can recognize both fetch functions of this library by their mark `takesPlain`", () => {
    for (const fetch of [Ambient.fetch, UndiciFetch.make(getGlobalDispatcher)]) assert.isTrue(fetch[Sdk.takesPlain])
  })

  it.live("that reuses URL and headers sends the same request as the SDK", () =>
    Effect.gen(function*() {
      const { received, url } = yield* FakeServer.FakeServer
      const options = { apiKey, baseUrl: `${url}/` }
      const ask = Effect.andThen(Claude.text("one"), Claude.text("two"))
      yield* Effect.provide(ask, Anthropic.layer(options))
      yield* Effect.provide(ask, NodeAnthropic.layer(options))
      const sent = (yield* received).map(({ headers, method, params, path }) => ({
        method,
        path,
        params,
        // Headers that only one of the two transports adds are not compared.
        headers: Object.entries(headers).filter(([name]) =>
          /^(x-stainless|anthropic|accept$|authorization|content-type|user-agent)/.test(name)
        ).toSorted()
      }))
      assert.lengthOf(sent, 4)
      assert.isAbove(sent[0]?.headers.length ?? 0, 8)
      assert.deepStrictEqual(sent[2], sent[0])
      assert.deepStrictEqual(sent[3], sent[1])
    }).pipe(
      Effect.provide([FakeServer.layer(Array.from({ length: 4 }, () => Faults.answer("hello"))), CallLog.layerNoop])
    ))

  it.effect("sends the next request without the changes that the caller's fetch made to the headers", () =>
    Effect.gen(function*() {
      const seen: Array<Headers> = []
      const sender = Sdk.make({
        apiKey,
        fetch: (_, init) => {
          const headers = init?.headers as Headers
          seen.push(new Headers(headers))
          headers.set("idempotency-key", "first")
          headers.delete("authorization")
          return Promise.resolve(new Response())
        }
      })
      yield* Effect.promise(() => sender.message(params, new AbortController().signal))
      yield* Effect.promise(() => sender.message(params, new AbortController().signal))
      assert.deepStrictEqual(seen.map((headers) => headers.get("authorization")), [
        `Bearer ${apiKey}`,
        `Bearer ${apiKey}`
      ])
      assert.deepStrictEqual(seen.map((headers) => headers.get("idempotency-key")), [null, null])
    }))

  it.effect("sends user_profile_id as a header and not in the body", () =>
    Effect.gen(function*() {
      const seen: Array<{ readonly owner: string | null; readonly body: unknown }> = []
      const fetch = plain((_, init) => {
        seen.push({ owner: new Headers(init?.headers as Headers).get("anthropic-user-profile-id"), body: bodyOf(init) })
        return Promise.resolve(new Response())
      })
      const { signal } = new AbortController()
      const sender = Sdk.make({ apiKey, fetch })
      yield* Effect.promise(() => sender.message(params, signal))
      yield* Effect.promise(() => sender.message({ ...params, user_profile_id: "uprof_1" }, signal))
      const body = { ...params, stream: true }
      assert.deepStrictEqual(seen, [{ owner: null, body }, { owner: "uprof_1", body }])
    }))

  it.effect("sends nothing if the request is aborted before it is sent", () =>
    Effect.gen(function*() {
      let sent = 0
      const fetch = plain(() => {
        sent++
        return Promise.resolve(new Response())
      })
      const controller = new AbortController()
      const request = Sdk.make({ apiKey, fetch }).message(params, controller.signal)
      controller.abort()
      assert.match(String(yield* Effect.flip(Effect.tryPromise(() => request))), /./)
      assert.strictEqual(sent, 0)
    }))
})
