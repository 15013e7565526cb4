import * as Effect from "effect/Effect"
import { isString } from "effect/Predicate"
import * as Random from "effect/Random"
import { fails } from "./failures.ts"
import { named, type Turn } from "./turn.ts"

/** A request that a script answers. */
export interface Question {
  /** Counts the requests to the script, from 0. */
  readonly index: number
  /** Milliseconds since the fake started. */
  readonly elapsed: number
  readonly params: Readonly<Record<string, unknown>>
}

/** Picks the turn for each request. */
export type Script = (question: Question) => Effect.Effect<Turn>

/** A script, or a list of turns to play in order. */
export type Playable = Script | ReadonlyArray<Turn>

/** Plays turns in order. Later requests get a 400, which says that the script ran out. */
export const sequence = (...turns: ReadonlyArray<Turn>): Script => ({ index }) =>
  Effect.succeed(turns[index] ?? ranOut(index, turns.length))

/** Plays turns in order, again and again. */
export const cycle = (...turns: readonly [Turn, ...ReadonlyArray<Turn>]): Script => ({ index }) =>
  Effect.succeed(turns[index % turns.length] ?? turns[0])

/** Plays turns in order, then repeats the last one. */
export const untilLast = (...turns: readonly [Turn, ...ReadonlyArray<Turn>]): Script => ({ index }) =>
  Effect.succeed(turns[Math.min(index, turns.length - 1)] ?? turns[0])

export const by = (decide: (question: Question) => Turn): Script => (question) => Effect.sync(() => decide(question))

/**
 * Plays each fault at its rate (0.1: for one request in ten), and `otherwise` for all other requests. The same seed gives
 * the same turns.
 */
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

/** A list becomes a `sequence`. In turns with `anyModel`, the answer names the model of the request. */
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

/** The default model, as `events` writes it into `message_start`. */
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
