import { assert, describe, it } from "@effect/vitest"
import { type Defaults, limitsOf } from "../../src/answer/defaultLimits.ts"
import type { Message } from "../../src/index.ts"

const tool = { name: "look", input_schema: { type: "object" as const } }
const params = (more: Partial<Message.Params> = {}): Message.Params => ({
  model: "claude-sonnet-5-5",
  max_tokens: 4096,
  messages: [{ role: "user", content: "hi" }],
  ...more
})
/** The parameters with a prompt of `n` tokens, which are estimated as three characters each. */
const tokens = (n: number) => params({ messages: [{ role: "user", content: "abc".repeat(n) }] })
const thinking = params({ thinking: { type: "adaptive" } })

describe("default time limits", () => {
  const cases: ReadonlyArray<
    readonly [name: string, params: Message.Params, third: number, streamed: boolean, expected: Partial<Defaults>]
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
    ["allow the usual pauses in a stream even with a deadline of 24 seconds", params(), 8000, true, {
      connect: 8000,
      firstToken: 8000,
      idle: 30_000,
      contentIdle: 60_000
    }],
    ["allow pauses of at least 5 seconds", params(), 1000, false, { idle: 5000, contentIdle: 5000 }],
    ["are longer for a request with thinking", thinking, Infinity, false, {
      connect: 10_000,
      firstToken: 120_000,
      idle: 45_000,
      contentIdle: 180_000,
      thinking: { idle: 45_000, contentIdle: 180_000 }
    }],
    ["stay long for a request with thinking and a deadline of 24 seconds", thinking, 8000, false, {
      firstToken: 120_000,
      idle: 45_000,
      contentIdle: 180_000
    }],
    [
      "allow long pauses in thinking that the request does not ask for",
      params({ max_tokens: 64_000 }),
      8000,
      false,
      {
        idle: 8000,
        contentIdle: 8000,
        thinking: { idle: 45_000, contentIdle: 640_000 }
      }
    ],
    ["are not longer if thinking is disabled", params({ thinking: { type: "disabled" } }), 8000, false, {
      firstToken: 8000
    }],
    ["allow at least 45 s of silence in the input of a tool", params({ tools: [tool] }), 8000, false, {
      firstToken: 120_000,
      idle: 45_000,
      contentIdle: 180_000,
      tool: { idle: 45_000, contentIdle: 180_000 }
    }],
    [
      "allow 10 s of silence for each 1,000 tokens of max_tokens in the input of a tool",
      params({ tools: [tool], max_tokens: 64_000 }),
      Infinity,
      true,
      {
        firstToken: 120_000,
        idle: 45_000,
        contentIdle: 180_000,
        tool: { idle: 640_000, contentIdle: 640_000 }
      }
    ],
    ["are not longer if the list of tools is empty", params({ tools: [] }), 8000, false, {
      idle: 8000,
      tool: { idle: 8000, contentIdle: 8000 }
    }],
    ["ignore a max_tokens that is not a number", params({ tools: [tool], max_tokens: NaN }), 8000, false, {
      tool: { idle: 45_000, contentIdle: 180_000 }
    }]
  ]
  it.each(cases)("%s", (_, params, third, streamed, expected) => {
    assert.deepInclude({ ...limitsOf(params, third, streamed) }, expected)
  })

  it("allow 30 to 40 s for connect and firstToken with a prompt of 90,000 tokens, even if a deadline in 24 s lowers idle to 8 s", () => {
    const { connect, firstToken, idle } = limitsOf(tokens(90_000), 8000, false)
    assert.isAbove(connect, 30_000)
    assert.isBelow(connect, 40_000)
    assert.strictEqual(firstToken, connect)
    assert.strictEqual(idle, 8000)
  })

  it("allow 38 to 40 s for connect with a document of unknown length, even if a deadline in 24 s lowers idle to 8 s", () => {
    const source = { type: "url" as const, url: "https://example.com/a.pdf" }
    const { connect } = limitsOf(
      params({ messages: [{ role: "user", content: [{ type: "document", source }] }] }),
      8000,
      false
    )
    assert.isAbove(connect, 38_000)
    assert.isBelow(connect, 40_000)
  })
})
