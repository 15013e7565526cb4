/** What a call tells: by its number, to the log of its `Claude`. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Event } from "../CallLog.ts"
import type { Claude } from "../Claude.ts"
import * as Current from "../Current.ts"

/** What every event says. */
interface Common {
  readonly at: number
  readonly call: string
  readonly model: string
}

/** The events of one call. */
export class Telling {
  readonly claude: Claude["Service"] | undefined
  readonly clock: Clock.Clock
  readonly call: Current.Call
  /** What was done or told already: once in a call is enough. */
  done: Set<string> | undefined

  constructor(claude: Claude["Service"] | undefined, clock: Clock.Clock, call: Current.Call) {
    this.claude = claude
    this.clock = clock
    this.call = call
  }

  tell(event: (common: Common) => Event): Effect.Effect<void> {
    const { call, claude, clock } = this
    return claude === undefined ?
      Effect.void :
      Effect.withFiber((fiber) =>
        claude.log.emit(
          event({ at: clock.currentTimeMillisUnsafe(), call: call.id, model: call.model ?? modelOf(fiber) })
        )
      )
  }

  /** Warns, once of the same. */
  warn(model: string, code: string, message: string): Effect.Effect<void> {
    return this.isFirst(`${model} ${message}`)
      ? this.tell((common) => ({ _tag: "Warning", ...common, model, code, message: message.slice(0, 200) }))
      : Effect.void
  }

  isFirst(what: string): boolean {
    this.done ??= new Set()
    const isFirst = !this.done.has(what)
    this.done.add(what)
    return isFirst
  }
}

/** The model that is asked where a call names none. */
export const modelOf = (fiber: Fiber.Fiber<unknown, unknown>): string =>
  fiber.getRef(Current.Substitute) ?? fiber.getRef(Current.Model)
