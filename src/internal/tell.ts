/** Events from places that may or may not be inside a call. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Event } from "../CallLog.ts"
import { Claude } from "../Claude.ts"
import * as Current from "../Current.ts"

/** Tells the log of the `Claude` in context, if there is one: it adds nothing to the requirements. */
export const tell = (event: (at: number, model: string) => Event): Effect.Effect<void> =>
  Effect.flatMap(Effect.serviceOption(Claude), (claude) =>
    claude._tag === "None"
      ? Effect.void
      : Effect.flatMap(Clock.currentTimeMillis, (at) =>
        Effect.flatMap(Current.Model, (model) =>
          Effect.flatMap(Current.Substitute, (substitute) =>
            claude.value.log.emit(event(at, substitute ?? model))))))
