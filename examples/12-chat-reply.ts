/**
 * Answers the questions of a help page, and always has a text to show: a new answer, or else the last good answer, or else
 * a notice that says what is wrong. The error type is `never`.
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

/** Keeps answers in files, which outlive the process. Without this layer, they are kept in memory. */
export const remembered = PersistedAnswers.layer.pipe(
  Layer.provide(Persistence.layerKvs),
  Layer.provide(KeyValueStore.layerFileSystem("answers")),
  Layer.provide(NodeServices.layer)
)

/** Customers never see each other's remembered answers, because each customer is a tenant. */
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
