/** Which turn comes when. */
import * as Effect from "effect/Effect"
import { isString } from "effect/Predicate"
import * as Random from "effect/Random"
import { fails } from "./failures.ts"
import { named, type Turn } from "./turn.ts"

/** What a script is asked: which request this is (from 0), when (milliseconds since the start), and what it says. */
export interface Question {
  readonly index: number
  readonly elapsed: number
  readonly params: Readonly<Record<string, unknown>>
}

/** Decides what happens to each request. */
export type Script = (question: Question) => Effect.Effect<Turn>

/** What can be played: a script, or turns in their order. */
export type Playable = Script | ReadonlyArray<Turn>

/** Plays turns in their order. One request more is told that the script has run out. */
export const sequence = (...turns: ReadonlyArray<Turn>): Script => ({ index }) =>
  Effect.succeed(turns[index] ?? ranOut(index, turns.length))

/** Plays turns in their order, again and again. */
export const cycle = (...turns: readonly [Turn, ...ReadonlyArray<Turn>]): Script => ({ index }) =>
  Effect.succeed(turns[index % turns.length] ?? turns[0])

/** Plays turns in their order, and the last one ever after. */
export const untilLast = (...turns: readonly [Turn, ...ReadonlyArray<Turn>]): Script => ({ index }) =>
  Effect.succeed(turns[Math.min(index, turns.length - 1)] ?? turns[0])

/** Decides by time and request. */
export const by = (decide: (question: Question) => Turn): Script => (question) => Effect.sync(() => decide(question))

/** Plays each fault at its rate (0.1: one in ten), and `otherwise` the rest of the time. The same seed, the same play. */
export const random = (options: {
  readonly seed: string
  readonly faults: ReadonlyArray<readonly [rate: number, turn: Turn]>
  readonly otherwise: Turn
}): Script =>
({ index }) =>
  Effect.map(Random.next, (draw) => {
    let left = draw
    return options.faults.find(([rate]) => (left -= rate) < 0)?.[1] ?? options.otherwise
  }).pipe(Random.withSeed(`${options.seed}/${index}`))

/** Makes a script of what can be played, in which the model answers that was asked, where a turn names none. */
export const toScript = (playable: Playable): Script => {
  const script = typeof playable === "function" ? playable : sequence(...playable)
  return (question) => Effect.map(script(question), (turn) => answeredBy(turn, question.params["model"]))
}

const answeredBy = (turn: Turn, model: unknown): Turn =>
  turn.anyModel !== true || !isString(model) ? turn : {
    ...turn,
    body: turn.body.map(({ after, bytes }) => ({
      after,
      bytes: isString(bytes) && bytes.startsWith("event: message_start")
        ? bytes.replace(unnamed, () => `"model":${JSON.stringify(model)}`)
        : bytes
    }))
  }

/** What `events` writes where no model is named. */
const unnamed = `"model":"claude-sonnet-5-5"`

const ranOut = (index: number, length: number): Turn =>
  named(
    "the end of the script",
    fails(
      400,
      "invalid_request_error",
      `the fault script ran out: it has ${length} ${length === 1 ? "turn" : "turns"}, and this is request ${
        index + 1
      }. Add a turn, or use Faults.cycle or Faults.untilLast.`
    )
  )
