/**
 * Answers to the questions of a help page: whatever happens, there is something to show. The best that can be had comes
 * first: an answer, then the last good one, then words that say what is wrong. No error is left, and the type says so.
 */
import { NodeServices } from "@effect/platform-node"
import { Console, Duration, Effect, Layer, Predicate, Schema } from "effect"
import { KeyValueStore, Persistence } from "effect/persistence"
import { Claude, Current, Fallback, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"
import * as PersistedAnswers from "resilient-claude/PersistedAnswers"

const policy = { ...Policy.standard, models: ["claude-haiku-5-5"], overall: "20 seconds" } as const

interface Question {
  readonly id: string
  readonly text: string
}

/** `Effect<string | Stale<string> | Notice, never, Claude>` */
export const reply = ({ id, text }: Question) =>
  Claude.text(text).pipe(
    Policy.apply(policy),
    Fallback.lastGood({ key: `help/${id}`, schema: Schema.String, maxAge: "1 day" }),
    Fallback.notice()
  )

const show = (answer: Effect.Success<ReturnType<typeof reply>>): string => {
  if (Predicate.isString(answer)) return answer
  if (answer._tag === "Notice") return answer.text
  const minutes = Math.floor(Duration.toMinutes(answer.age))
  return `${answer.value}\n(${minutes === 0 ? "just now" : `${Duration.format(Duration.minutes(minutes))} old`})`
}

/** Answers in files outlive the process; without this, they are in its memory. */
export const remembered = PersistedAnswers.layer.pipe(
  Layer.provide(Persistence.layerKvs),
  Layer.provide(KeyValueStore.layerFileSystem("answers")),
  Layer.provide(NodeServices.layer)
)

/** What is remembered for one customer is never shown to another. */
export const program = (question: Question, customer: string) =>
  reply(question).pipe(
    Effect.map(show),
    Effect.tap(Console.log),
    Effect.provideService(Current.Tenant, customer)
  )

if (import.meta.main) {
  await Effect.runPromise(
    program({ id: "opening-hours", text: "When do you open?" }, "acme").pipe(
      Effect.provide([NodeAnthropic.layerConfig(), remembered])
    )
  )
}
