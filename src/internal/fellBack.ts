/** What is told when something else answers. */
import * as Effect from "effect/Effect"
import type { ClaudeError } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { tell } from "./tell.ts"

/** Tells what answers instead, and because of which error. */
export const fellBack = (error: ClaudeError, to: string): Effect.Effect<void> =>
  Effect.flatMap(
    Current.Call,
    (call) => tell((at, model) => ({ _tag: "FellBack", at, call: call?.id, model: error.model ?? model, to, error }))
  )
