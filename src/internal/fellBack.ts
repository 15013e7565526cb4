/** What is told when something else answers. */
import * as Effect from "effect/Effect"
import { hasProperty, isString } from "effect/Predicate"
import type { ClaudeError } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { tell } from "./tell.ts"

/** Tells what answers instead, because of which error, and in which call, where that is known only to the caller. */
export const fellBack = (error: ClaudeError, to: string, call?: string): Effect.Effect<void> =>
  Effect.flatMap(
    Current.Call,
    (current) =>
      tell((at, model) => ({
        _tag: "FellBack",
        at,
        call: current?.id ?? call,
        model: error.model ?? model,
        to,
        error
      }))
  )

/** Tells of something that somebody should look at. */
export const warn = (code: string, message: string, call?: string): Effect.Effect<void> =>
  Effect.flatMap(
    Current.Call,
    (current) =>
      tell((at, model) => ({
        _tag: "Warning",
        at,
        call: current?.id ?? call,
        model,
        code,
        message: message.slice(0, 200)
      }))
  )

/** The name of an error, where its words may not be told. */
export const nameOf = (error: unknown): string =>
  hasProperty(error, "_tag") && isString(error._tag) ? error._tag : error instanceof Error ? error.name : typeof error
