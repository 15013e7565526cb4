/** Decodes an answer into a value, or into issues. */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { MalformedOutput, redact } from "../ClaudeError.ts"
import type { Reply } from "../Message.ts"
import type { Codec, Output } from "./codec.ts"
import * as Exact from "./exactJson.ts"
import * as Json from "./extractJson.ts"
import { type Flaws, flawsOf, oneFlaw } from "./flaws.ts"
import { exact } from "./plainJson.ts"

/**
 * Decodes a complete answer: the text after the last tool block, or else the whole text, because Claude may give a value,
 * search, and then only confirm the value. Issues refer to the user's schema, if possible, and not to the API's form of it.
 */
export const decode = <A, RD>(
  output: Output<A, RD>,
  codec: Codec<A, RD>,
  reply: Reply
): Effect.Effect<A, MalformedOutput, RD> => {
  const last = lastText(reply)
  const all = decodeText(output, codec, reply, reply.text)
  if (last === reply.text || last.trim() === "") return all
  return Effect.catch(decodeText(output, codec, reply, last), (error) => Effect.mapError(all, () => error))
}

/** The text after the last block that is not a text block. */
const lastText = ({ message: { content } }: Reply): string =>
  content.slice(content.findLastIndex(({ type }) => type !== "text") + 1)
    .map((block) => block.type === "text" ? block.text : "").join("")

const decodeText = <A, RD>(
  { words }: Output<A, RD>,
  codec: Codec<A, RD>,
  reply: Reply,
  text: string
): Effect.Effect<A, MalformedOutput, RD> =>
  Result.match(Json.find(text), {
    onFailure: (message) => Effect.fail(malformed(reply, oneFlaw(message, "plain"))),
    onSuccess: (values) => {
      const [value, ...more] = values
      if (value === undefined || more.length > 0) return decodeOneOf(codec, values, reply)
      return Effect.catch(decodeValue(codec, value), (flaws) =>
        codec === words.codec ? Effect.fail(malformed(reply, flaws)) : Effect.matchEffect(
          decodeValue(words.codec, value),
          {
            onFailure: (plain) =>
              Effect.fail(malformed(reply, plain)),
            onSuccess: () => Effect.fail(malformed(reply, flaws))
          }
        ))
    }
  })

/** Bounds the work: an answer with more values fails. */
const mostTried = 32

/** Decodes the only value that fits the schema: another may be a footnote like `[1]`. Two fitting values are an error. */
const decodeOneOf = <A, RD>(
  codec: Codec<A, RD>,
  values: ReadonlyArray<Exact.Parsed>,
  reply: Reply
): Effect.Effect<A, MalformedOutput, RD> =>
  Effect.flatMap(
    Effect.forEach(
      values.length > mostTried ? [] : values,
      (value) => Effect.option(decodeValue(codec, value))
    ),
    (decoded) => {
      const [only, ...more] = Arr.getSomes(decoded)
      return only === undefined || more.length > 0
        ? Effect.fail(malformed(reply, oneFlaw(Json.notOne(values), "plain")))
        : Effect.succeed(only)
    }
  )

/** Decodes a value. A number that JavaScript cannot hold is exact, or an issue. */
export const decodeValue = <A, RD>(codec: Codec<A, RD>, parsed: Exact.Parsed): Effect.Effect<A, Flaws, RD> => {
  const { long, value } = parsed
  if (long === undefined) return decodeOnce(codec, value)
  const exactly = exact(codec)
  return Effect.catch(
    decodeOnce(exactly, value),
    (flaws) =>
      Effect.mapError(
        decodeOnce(exactly, long),
        () => ({ ...flaws, issues: Exact.explained(flaws.issues, parsed) })
      )
  )
}

/** A defect of the schema counts as an issue. */
const decodeOnce = <A, RD>(codec: Codec<A, RD>, value: unknown): Effect.Effect<A, Flaws, RD> =>
  Effect.suspend(() => Schema.decodeUnknownEffect(codec, { errors: "all" })(value)).pipe(
    Effect.mapError(({ issue }) => flawsOf(issue)),
    Effect.catchDefect((defect) => Effect.fail(oneFlaw(`the schema cannot decode it: ${String(defect)}`)))
  )

export const malformed = (
  { model, requestId, stopReason, text, usage }: Reply,
  { issues, outline }: Flaws,
  more?: Partial<Pick<MalformedOutput, "blocks" | "detail" | "toolUses">>
) =>
  new MalformedOutput({
    model,
    requestId,
    usage,
    text: redact(text),
    issues: Redacted.make(issues),
    stopReason: stopReason ?? undefined,
    detail: outline,
    ...more
  })
