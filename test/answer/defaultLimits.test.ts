import { assert, describe, it } from "@effect/vitest"
import { type Lengths, limitsOf } from "../../src/answer/defaultLimits.ts"
import type { Message } from "../../src/index.ts"

const tool = { name: "look", input_schema: { type: "object" as const } }
const params = (more: Partial<Message.Params> = {}): Message.Params => ({
  model: "claude-sonnet-5-5",
  max_tokens: 4096,
  messages: [{ role: "user", content: "hi" }],
  ...more
})
/** The estimate is three characters per token. */
const tokens = (n: number) => params({ messages: [{ role: "user", content: "abc".repeat(n) }] })
const thinking = params({ thinking: { type: "adaptive" } })

describe("default limits", () => {
  const cases: ReadonlyArray<
    readonly [name: string, params: Message.Params, third: number, streamed: boolean, expected: Partial<Lengths>]
  > = [
    ["have fixed values without a deadline", params(), Infinity, false, {
      connect: 10_000,
      firstToken: 30_000,
      idle: 30_000,
      contentIdle: 60_000,
      attempt: Infinity
    }],
    ["are not longer with a deadline of 5 minutes", params(), 100_000, false, {
      connect: 10_000,
      firstToken: 30_000,
      contentIdle: 60_000
    }],
    ["are a third of a deadline of 24 seconds", params(), 8000, false, {
      connect: 8000,
      firstToken: 8000,
      idle: 8000,
      contentIdle: 8000
    }],
    ["do not shorten the pauses of a stream for a deadline", params(), 8000, true, {
      connect: 8000,
      firstToken: 8000,
      idle: 30_000,
      contentIdle: 60_000
    }],
    ["are at least five seconds", params(), 1000, false, { idle: 5000, contentIdle: 5000 }],
    ["thinking", thinking, Infinity, false, {
      connect: 10_000,
      firstToken: 120_000,
      idle: 30_000,
      contentIdle: 180_000
    }],
    ["thinking in 24 seconds", thinking, 8000, false, { firstToken: 120_000, idle: 30_000, contentIdle: 180_000 }],
    ["are not longer if thinking is disabled", params({ thinking: { type: "disabled" } }), 8000, false, {
      firstToken: 8000
    }],
    ["give the input of a tool 10 s for 1,000 tokens", params({ tools: [tool] }), 8000, false, {
      firstToken: 8000,
      idle: 40_960,
      contentIdle: 40_960
    }],
    ["give a large input of a tool more time", params({ tools: [tool], max_tokens: 64_000 }), Infinity, true, {
      firstToken: 30_000,
      idle: 640_000,
      contentIdle: 640_000
    }],
    ["no tools", params({ tools: [] }), 8000, false, { idle: 8000 }],
    ["ignore tools if max_tokens is not a number", params({ tools: [tool], max_tokens: NaN }), 8000, false, {
      idle: 8000
    }]
  ]
  it.each(cases)("%s", (_, params, third, streamed, expected) => {
    assert.deepInclude({ ...limitsOf(params, third, streamed) }, expected)
  })

  it("give a cold prompt of 90,000 tokens twice the 15 s that its headers take", () => {
    const { connect, firstToken, idle } = limitsOf(tokens(90_000), 8000, false)
    assert.isAbove(connect, 30_000)
    assert.isBelow(connect, 40_000)
    assert.strictEqual(firstToken, connect)
    assert.strictEqual(idle, 8000)
  })
})
