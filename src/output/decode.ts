import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
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
 * Decodes a complete answer. Claude may write a value, use a tool, write a corrected value, and then only confirm it. So
 * `decode` takes the last text between tool blocks that contains a value of the schema; a footnote like `[1]` does not
 * count. If no text contains such a value, or that text contains two, it decodes the whole text, because a tool block may
 * split a value. Issues refer to the caller's schema, if possible, and not to the form of that schema for the API.
 */
export const decode = <A, RD>(
  output: Output<A, RD>,
  codec: Codec<A, RD>,
  reply: Reply
): Effect.Effect<A, MalformedOutput, RD> => {
  const texts = textsOf(reply)
  const decodeIn = (text: string) => decodeText(output, codec, reply, text)
  if (texts.length <= 1) return decodeIn(reply.text)
  return Effect.flatMap(lastFitting(codec, texts), (value) =>
    Option.isSome(value)
      ? Effect.succeed(value.value)
      : Effect.catch(decodeIn(reply.text), (error) =>
        // Decodes once more only for better issues. A success is discarded, because the value may be a footnote.
        Effect.andThen(decodeIn(lastWithJson(texts) ?? reply.text), Effect.fail(error))))
}

/** The last text with a value other than a footnote, or in which the search for values fails. */
const lastWithJson = (texts: ReadonlyArray<string>): string | undefined =>
  texts.findLast((text) => {
    const found = Json.find(text)
    return Result.isFailure(found) || found.success.some(({ isFootnote }) => !isFootnote)
  })

/** The texts between blocks of other types, such as tool uses. Blank texts are left out. */
const textsOf = ({ message: { content } }: Reply): ReadonlyArray<string> => {
  const texts = [""]
  for (const block of content) {
    if (block.type === "text") texts.push((texts.pop() ?? "") + block.text)
    else texts.push("")
  }
  return texts.filter((text) => text.trim() !== "")
}

/**
 * Searches the texts from the last to the first for values that fit the schema, without footnotes like `[1]`, and stops at
 * the first text that has such a value. None if that text has several, or if the search fails in it or in a later text.
 */
const lastFitting = <A, RD>(
  codec: Codec<A, RD>,
  texts: ReadonlyArray<string>
): Effect.Effect<Option.Option<A>, never, RD> => {
  const last = texts.at(-1)
  if (last === undefined) return Effect.succeedNone
  return Result.match(Json.find(last), {
    onFailure: () => Effect.succeedNone,
    onSuccess: (values) =>
      Effect.flatMap(
        fitting(codec, values.filter(({ isFootnote }) => !isFootnote)),
        (found) =>
          Arr.isReadonlyArrayNonEmpty(found)
            ? Effect.succeed(found.length === 1 ? Option.some(found[0]) : Option.none())
            : lastFitting(codec, texts.slice(0, -1))
      )
  })
}

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

/** The most values that are decoded to find the one that fits. It bounds the work. */
const mostTried = 32

/** The values that fit the schema; none if there are more than `mostTried` values to try. */
const fitting = <A, RD>(
  codec: Codec<A, RD>,
  values: ReadonlyArray<Exact.Parsed>
): Effect.Effect<ReadonlyArray<A>, never, RD> =>
  Effect.map(
    Effect.forEach(
      values.length > mostTried ? [] : values,
      (value) => Effect.option(decodeValue(codec, value))
    ),
    Arr.getSomes
  )

/** Decodes the only value that fits the schema: any other value may be a footnote like `[1]`. Fails if two values fit. */
const decodeOneOf = <A, RD>(
  codec: Codec<A, RD>,
  values: ReadonlyArray<Exact.Parsed>,
  reply: Reply
): Effect.Effect<A, MalformedOutput, RD> =>
  Effect.flatMap(fitting(codec, values), (found) =>
    Arr.isReadonlyArrayNonEmpty(found) && found.length === 1
      ? Effect.succeed(found[0])
      : Effect.fail(malformed(reply, oneFlaw(Json.notOne(values), "plain"))))

/** Decodes a value. A number that would lose digits in JavaScript is decoded with all of them, or it is an issue. */
export const decodeValue = <A, RD>(codec: Codec<A, RD>, parsed: Exact.Parsed): Effect.Effect<A, Flaws, RD> => {
  const { long, value } = parsed
  if (long === undefined) return decodeOnce(codec, value)
  const exactly = exact(codec)
  return Effect.catch(
    decodeOnce(exactly, value),
    (flaws) =>
      Effect.catch(
        Effect.suspend(() => decodeOnce(exactly, Exact.withLong(parsed, flaws.issues))),
        () =>
          Effect.flatMap(issuesOf(exactly, Exact.shortened(value)), (others) =>
            Effect.fail({ ...flaws, issues: Exact.explained(flaws.issues, others, parsed) }))
      ).pipe(
        // The stack may be too short for a deeply nested value.
        Effect.catchDefect(() =>
          Effect.fail(flaws)
        )
      )
  )
}

const issuesOf = <A, RD>(codec: Codec<A, RD>, value: unknown): Effect.Effect<Flaws["issues"], never, RD> =>
  Effect.match(decodeOnce(codec, value), { onFailure: ({ issues }) => issues, onSuccess: () => [] })

/** A defect while decoding becomes an issue: a schema of the caller may throw. */
const decodeOnce = <A, RD>(codec: Codec<A, RD>, value: unknown): Effect.Effect<A, Flaws, RD> =>
  Effect.suspend(() => Schema.decodeUnknownEffect(codec, { errors: "all" })(value)).pipe(
    Effect.mapError(({ issue }) => flawsOf(issue)),
    Effect.catchDefect((defect) => Effect.fail(oneFlaw(`the schema cannot decode the value: ${String(defect)}`)))
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
