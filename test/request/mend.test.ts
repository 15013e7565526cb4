/** Mending requests that the API would refuse, over real sockets. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Ref } from "effect"
import { CallLog, Claude, Policy, Validate } from "../../src/index.ts"
import type { Params, Prompt } from "../../src/Message.ts"
import { mend, mendings } from "../../src/request/mend.ts"
import { FakeClaude, FakeServer, Faults } from "../../src/testing/index.ts"
import { wires } from "../support/wires.ts"

const base64 = (...bytes: ReadonlyArray<number | string>) =>
  Buffer.concat(bytes.map((one) => typeof one === "string" ? Buffer.from(one, "latin1") : Buffer.from([one])))
    .toString("base64")

const png = base64("\x89PNG\r\n\x1a\n", "\0\0\0\rIHDR", 0xfb, 0xef, 0xff, "rest of the picture")
const jpeg = base64("\xff\xd8\xff\xe0\0\x10JFIF\0")
const gif = base64("GIF89a\x01\0\x01\0\x80\0\0")
const webp = base64("RIFF\x24\0\0\0WEBPVP8 ")
const pdf = base64("%PDF-1.7\n1 0 obj")
const heic = base64("\0\0\0\x18ftypheic\0\0\0\0")

const user = (...content: ReadonlyArray<unknown>) => ({ role: "user", content })
const text = (text: string) => ({ type: "text", text })
const image = (media_type: unknown, data: string) => ({
  type: "image",
  source: { type: "base64", media_type, data }
})
const document = (media_type: unknown, data: string) => ({
  type: "document",
  title: "Terms",
  source: { type: "base64", media_type, data }
})
const use = (id: string, input: object = {}) => ({ type: "tool_use", id, name: "look", input })
const result = (tool_use_id: string, content: unknown = "seen") => ({ type: "tool_result", tool_use_id, content })
const asked = user(text("Look"))

/** The caller's request, the request that is sent, and the change that the log names. */
const mended: ReadonlyArray<readonly [name: string, given: object, sent: object, change: RegExp]> = [
  // github.com/anthropics/claude-code/issues/3277
  [
    "half an emoji at the end of a prompt",
    { messages: [{ role: "user", content: "cut \ud83d" }] },
    { messages: [{ role: "user", content: "cut \ufffd" }] },
    /lone surrogates → U\+FFFD/
  ],
  [
    "lone surrogates in every part, beside escapes and whole emoji",
    {
      system: [text("\udc00 \\ud83d \u0001\n")],
      metadata: { user_id: "\udfff" },
      stop_sequences: ["\ud800"],
      tools: [{
        name: "look",
        description: "😀\ud83d",
        input_schema: { type: "object", properties: { a: { properties: { "\ud83d": {} } } } }
      }],
      messages: [
        user(text("a\ud83db")),
        { role: "assistant", content: [use("a", { "key\ude00": ["\ud83d\ud83d\ude00"] })] },
        user(result("a", [text("\ud83d")]))
      ]
    },
    {
      system: [text("\ufffd \\ud83d \u0001\n")],
      metadata: { user_id: "\ufffd" },
      stop_sequences: ["\ufffd"],
      tools: [{
        name: "look",
        description: "😀\ufffd",
        input_schema: { type: "object", properties: { a: { properties: { "\ufffd": {} } } } }
      }],
      messages: [
        user(text("a\ufffdb")),
        { role: "assistant", content: [use("a", { "key\ufffd": ["\ufffd😀"] })] },
        user(result("a", [text("\ufffd")]))
      ]
    },
    /lone surrogates → U\+FFFD/
  ],
  // github.com/BerriAI/litellm/issues/24900, github.com/home-assistant/core/issues/167208
  [
    "a JPEG with the media type of a PNG",
    { messages: [user(image("image/png", jpeg))] },
    { messages: [user(image("image/jpeg", jpeg))] },
    /image\/png → image\/jpeg/
  ],
  [
    "a WebP, a GIF and a PNG with wrong media types, in a tool result and a document",
    {
      messages: [
        asked,
        { role: "assistant", content: [use("a")] },
        user(
          result("a", [image("image/jpeg", webp), image("image/png", gif)]),
          { type: "document", source: { type: "content", content: [image("image/webp", png)] } }
        )
      ]
    },
    {
      messages: [
        asked,
        { role: "assistant", content: [use("a")] },
        user(
          result("a", [image("image/webp", webp), image("image/gif", gif)]),
          { type: "document", source: { type: "content", content: [image("image/png", png)] } }
        )
      ]
    },
    /image\/jpeg → image\/webp, image\/png → image\/gif, image\/webp → image\/png/
  ],
  [
    "the unofficial media type image/jpg",
    { messages: [user(image("image/jpg", jpeg))] },
    { messages: [user(image("image/jpeg", jpeg))] },
    /image\/jpg → image\/jpeg/
  ],
  [
    "an image without a media type",
    { messages: [user(image(undefined, png))] },
    { messages: [user(image("image/png", png))] },
    /no media type → image\/png/
  ],
  [
    "a PDF with another media type",
    { messages: [user(document("application/x-pdf", pdf))] },
    { messages: [user(document("application/pdf", pdf))] },
    /application\/x-pdf → application\/pdf/
  ],
  [
    "a data URL instead of base64",
    { messages: [user(image("image/png", `data:image/png;base64,${png}`))] },
    { messages: [user(image("image/png", png))] },
    /data → plain base64/
  ],
  [
    "a data URL with space around it, and base64 with tabs",
    {
      messages: [
        user(
          image("image/png", `\n  data:image/png;base64,${png}\n`),
          image("image/png", png.replace(/.{20}/g, "$&\n\t"))
        )
      ]
    },
    { messages: [user(image("image/png", png), image("image/png", png))] },
    /data → plain base64/
  ],
  [
    "base64 with line breaks, and in the alphabet for URLs",
    {
      messages: [user(
        image("image/png", png.replace(/.{20}/g, "$&\r\n")),
        document("application/pdf", `${pdf.slice(0, 8)} ${pdf.slice(8)}\n`),
        image("image/png", png.replaceAll("+", "-").replaceAll("/", "_"))
      )]
    },
    { messages: [user(image("image/png", png), document("application/pdf", pdf), image("image/png", png))] },
    /data → plain base64/
  ],
  [
    "text before the tool results",
    {
      messages: [
        asked,
        { role: "assistant", content: [use("a"), use("b")] },
        user(text("Here:"), result("a"), text("and"), result("b"), text("Go on"))
      ]
    },
    {
      messages: [
        asked,
        { role: "assistant", content: [use("a"), use("b")] },
        user(result("a"), result("b"), text("Here:"), text("and"), text("Go on"))
      ]
    },
    /tool results → before other content/
  ],
  [
    "a message of the user between a tool_use and its result",
    {
      messages: [
        asked,
        { role: "assistant", content: [use("a")] },
        { role: "user", content: "Wait" },
        user(result("a")),
        user(text("Go on"))
      ]
    },
    {
      messages: [
        asked,
        { role: "assistant", content: [use("a")] },
        user(result("a"), text("Wait")),
        user(text("Go on"))
      ]
    },
    /tool results → before other content/
  ]
]

const rest = { model: "claude-opus-5-5", max_tokens: 100 }

describe.each(wires)("%s", (_, wire) => {
  /** The bodies that the server received, the warnings, and the text of the answer. */
  const asking = (given: object, isUnderPolicy: boolean) => {
    // Cast: some requests have types that the SDK does not allow.
    const call = Claude.message({ ...rest, ...given } as Prompt)
    return Effect.gen(function*() {
      const reply = yield* isUnderPolicy ? call.pipe(Policy.apply(Policy.none)) : call
      const { received } = yield* FakeServer.FakeServer
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      const warnings = events.flatMap((event) => event._tag === "Warning" ? [`${event.code}: ${event.message}`] : [])
      return { text: reply.text, sent: (yield* received).map(({ params }) => params), warnings }
    }).pipe(
      Effect.provide(
        Layer.unwrap(Effect.map(FakeServer.FakeServer, ({ url }) => wire(url))).pipe(
          Layer.provideMerge(FakeServer.layer([Faults.answer("hello")])),
          Layer.provideMerge(Layer.fresh(CallLog.layerMemory))
        )
      )
    )
  }

  it.live.each(mended)(
    "mends %s, and logs a warning",
    ([, given, sent, change]) =>
      Effect.gen(function*() {
        for (const isUnderPolicy of [true, false]) {
          const told = yield* asking(given, isUnderPolicy)
          assert.strictEqual(told.text, "hello")
          assert.deepStrictEqual(told.sent, [{ ...rest, ...sent, stream: true }])
          assert.lengthOf(told.warnings, 1)
          assert.match(
            told.warnings[0] ?? "",
            /^Mended: the request was corrected before it was sent, because the API refuses it: /
          )
          assert.match(told.warnings[0] ?? "", change)
        }
      })
  )
})

describe("a request", () => {
  it.each<readonly [string, object]>([
    ["that needs no change", { messages: [user(text("Hello 😀"), image("image/png", png))] }],
    ["with tool results first", {
      messages: [asked, { role: "assistant", content: [use("a")] }, user(result("a"), asked)]
    }],
    ["with data of an unknown format", {
      messages: [user(image("image/png", "AAAA"), image("image/png", "????"))]
    }],
    ["with blocks of an invalid shape", { messages: [user(null, "text", 5, { type: "image" }, { type: "document" })] }],
    ["with nested blocks of an invalid shape", {
      messages: [user(result("a", [null, 5, { type: "image", source: null }]), {
        type: "document",
        source: { type: "content", content: [null, { type: "image", source: 5 }] }
      })]
    }],
    ["without messages", { messages: undefined }],
    ["with messages of an invalid shape", { messages: [null, 5, { role: "user" }] }]
  ])("%s stays the same", (_, given) => {
    // Cast: most of these values are no valid requests.
    const params = { ...rest, ...given } as Params
    assert.deepStrictEqual(mend(params), { params, changes: [] })
    assert.strictEqual(mend(params).params, params)
  })

  it.each(["\ud83d", "whole"])("that contains itself and the text %j stays the same", (text) => {
    const input: { [key: string]: unknown } = { text }
    input["self"] = input
    input["again"] = [input, { input }, input]
    const params = { ...rest, messages: [{ role: "assistant", content: [use("a", input)] }] } as Params
    assert.strictEqual(mend(params).params, params)
  })

  it("of 200,000 tokens is checked by `mend` in less than 25 milliseconds", () => {
    const params = {
      ...rest,
      messages: [user(...Array.from({ length: 800 }, () => text("é→😀 word ".repeat(100))))]
    } as Params
    mend(params)
    const start = performance.now()
    for (let i = 0; i < 10; i++) mend(params)
    assert.isBelow((performance.now() - start) / 10, 25)
  })

  it("of 40,000 messages is checked by `mend` in less than a second", () => {
    const messages = Array.from(
      { length: 40_000 },
      (_, i) => i % 2 === 0 ? asked : { role: "assistant", content: "ok" }
    )
    const start = performance.now()
    mend({ ...rest, messages } as Params)
    assert.isBelow(performance.now() - start, 1000)
  })

  it.effect.each<readonly [string, object, string, RegExp]>([
    [
      "a PDF in an image",
      { messages: [user(image("image/png", pdf))] },
      "messages.0.content.0.source.data",
      /the media type is "image\/png", but the data is application\/pdf/
    ],
    [
      "an image in a document",
      { messages: [user(document("application/pdf", png))] },
      "messages.0.content.0.source.data",
      /the media type is "application\/pdf", but the data is image\/png/
    ],
    [
      "a HEIC photo with the media type of a JPEG",
      { messages: [user(image("image/jpeg", heic))] },
      "messages.0.content.0.source.data",
      /the media type is "image\/jpeg", but the data is image\/heic/
    ],
    // github.com/headroomlabs-ai/headroom/issues/2939
    [
      "a one-hour cache mark in the messages after a five-minute mark on a tool",
      {
        tools: [{ name: "look", input_schema: { type: "object" }, cache_control: { type: "ephemeral" } }],
        messages: [user({ ...text("Hi"), cache_control: { type: "ephemeral", ttl: "1h" } })]
      },
      "messages.0.content.0.cache_control.ttl",
      /a cache_control of 1 hour comes after one of 5 minutes/
    ],
    [
      "a one-hour cache mark for the whole request after a five-minute mark",
      {
        cache_control: { type: "ephemeral", ttl: "1h" },
        system: [{ ...text("Be brief"), cache_control: { type: "ephemeral", ttl: "5m" } }],
        messages: [user(text("Hi"))]
      },
      "cache_control.ttl",
      /a cache_control of 1 hour comes after one of 5 minutes/
    ],
    [
      "a one-hour cache mark in a tool result after a five-minute mark",
      {
        system: [{ ...text("Be brief"), cache_control: { type: "ephemeral", ttl: "5m" } }],
        messages: [
          asked,
          { role: "assistant", content: [use("a")] },
          user(result("a", [{ ...text("Hi"), cache_control: { type: "ephemeral", ttl: "1h" } }]))
        ]
      },
      "messages.2.content.0.content.0.cache_control.ttl",
      /a cache_control of 1 hour comes after one of 5 minutes/
    ]
  ])(
    "with %s is sent with a warning, and is not sent under `strict`",
    ([, given, path, message]) =>
      Effect.gen(function*() {
        // Cast: a media type and a lifetime are literals in the types of the SDK.
        const params = { ...rest, ...given } as Params
        const [warning, ...more] = Validate.check(params).warnings
        assert.lengthOf(more, 0)
        assert.strictEqual(warning?.path.join("."), path)
        assert.match(warning?.message ?? "", message)
        assert.strictEqual((yield* Claude.message(params).pipe(Policy.apply(Policy.none))).text, "hello")
        const error = yield* Effect.flip(
          Claude.message(params).pipe(Policy.apply({ ...Policy.none, strict: true }))
        )
        assert.deepInclude({ ...error }, { _tag: "InvalidRequest", sent: false })
      }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("hello")]).pipe(Layer.provide(CallLog.layerNoop))))
  )

  it.each<readonly [string, object]>([
    ["five-minute cache marks after one-hour cache marks", {
      tools: [{ name: "look", input_schema: { type: "object" }, cache_control: { type: "ephemeral", ttl: "1h" } }],
      messages: [user({ ...text("Hi"), cache_control: { type: "ephemeral" } })]
    }],
    ["only one-hour cache marks", {
      cache_control: { type: "ephemeral", ttl: "1h" },
      messages: [user({ ...text("Hi"), cache_control: { type: "ephemeral", ttl: "1h" } })]
    }]
  ])("with %s has no issue", (_, given) => {
    const params = { ...rest, ...given } as Params
    assert.deepStrictEqual(Validate.check(params), { errors: [], warnings: [] })
  })
})

describe("the mendings", () => {
  it("each name a message of the API or a page of its documentation as the source", () => {
    for (const { source } of mendings) assert.match(source, /^(API|platform\.claude\.com)/)
  })
})
