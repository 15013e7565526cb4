/**
 * A ladder of models: which one is asked next, and how long each may take.
 *
 * One that hangs must not take the time of those after it, so each has a time
 * of its own, which leaves the others their least.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type ClaudeError, DeadlineExceeded, is, type Table } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { isSignatureError } from "./adapt.ts"
import type { Catalogue } from "./catalogue.ts"
import { WithoutThinking } from "./request.ts"
import { until } from "./until.ts"

/** What is asked, and what after it. */
export interface Ladder {
  /** The model that stands in, if one does. */
  readonly model: Current.ModelId | undefined
  /** Those that are left. */
  readonly models: ReadonlyArray<Current.ModelId>
  /** Those that are asked after a refusal, where they are others. */
  readonly refused: ReadonlyArray<Current.ModelId> | undefined
  /** Which failures another model may help, and which only a larger one. */
  readonly on: Table<boolean | "larger">
  /** What each of those that are left keeps of the time, in milliseconds. */
  readonly reserve: number
}

/** The time of a model is kept for those after it: as much, where nothing is said. Enough for a short answer. */
export const defaultReserve = 10_000

/** Told before a model is asked for which the ladder has changed. */
export type Climb = (error: ClaudeError, to: To) => Effect.Effect<void>

/** A ladder on which another model is asked. */
export type To = Ladder & { readonly model: Current.ModelId }

/** Runs `self` on one model after the other, until one answers or nothing more can be paid for. */
export const climb = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  ladder: Ladder,
  onClimb: Climb,
  isBroke: () => boolean
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const { model } = ladder
    const asked = sane(model === undefined ? self : Effect.provideService(self, Current.Substitute, model))
    const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
    const share = shareOf(ladder, fiber.getRef(Current.Deadline), now)
    let over: DeadlineExceeded | undefined
    const timed = share === undefined
      ? asked
      : until(asked, now + share, () => over ??= timeIsOver(share, model ?? fiber.getRef(Current.Model)))
    return Effect.catch(timed, (error) => {
      const to = !is(error) || isBroke()
        ? undefined
        : error === over
        ? first(ladder)
        : next(ladder, error, fiber.getRef(Current.Catalogue))
      return is(error) && to !== undefined
        ? Effect.andThen(onClimb(error, to), climb(self, to, onClimb, isBroke))
        // What is over is no error of ours to tell: where there is a share, there is a next model.
        : Effect.fail(error as E)
    })
  })

const first = (ladder: Ladder): To | undefined => {
  const [model, ...models] = ladder.models
  return model === undefined ? undefined : { ...ladder, model, models }
}

/** The ladder from the model on that may do better, if there is one. */
export const next = (ladder: Ladder, error: ClaudeError, { models }: Catalogue): To | undefined => {
  if (error._tag === "Refused" && ladder.refused !== undefined) {
    return first({ ...ladder, models: ladder.refused, refused: undefined })
  }
  const helps = ladder.on[error._tag]
  if (helps !== "larger") return helps ? first(ladder) : undefined
  const window = (id: string | undefined) => models.get(id ?? "")?.contextWindow
  const exceeded = window(ladder.model ?? error.model) ?? Infinity
  const at = ladder.models.findIndex((model) => (window(model) ?? 0) > exceeded)
  return at === -1 ? undefined : first({ ...ladder, models: ladder.models.slice(at) })
}

/** Another model may refuse what was thought by the one before: it is asked once more, without that. */
const sane = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catch(self, (error) =>
    is(error) && isSignatureError(error)
      ? Effect.provideService(self, WithoutThinking, true)
      : Effect.fail(error))

/** How long the next model may take, in milliseconds: all but the least of those after it, and never less than a fair share. */
const shareOf = ({ models, reserve }: Ladder, deadline: number, now: number): number | undefined => {
  const left = deadline - now
  return models.length === 0 || left === Infinity
    ? undefined
    : left - Math.min(reserve * models.length, left * models.length / (models.length + 1))
}

const timeIsOver = (share: number, model: string): DeadlineExceeded =>
  new DeadlineExceeded({
    model,
    limit: Duration.millis(share),
    detail: "the models after it keep the rest of the time"
  })
