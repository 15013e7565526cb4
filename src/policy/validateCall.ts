import * as Effect from "effect/Effect"
import { beforeAnswer } from "../answer/unstreamed.ts"
import type { Asked } from "../callContext.ts"
import { type ClaudeError, ContextWindowExceeded, InvalidRequest, type Issue } from "../ClaudeError.ts"
import type { Params } from "../Message.ts"
import type { Catalogue, Model } from "../models/catalogue.ts"
import { countable } from "../request/build.ts"
import { inspect } from "../request/inspect.ts"
import * as Runtime from "../runtime.ts"
import * as Validate from "./Validate.ts"

export interface How {
  readonly strict: boolean
  /** Whether the API counts the tokens of the prompt before the request is sent. */
  readonly count: boolean
}

export interface Place {
  readonly asked: Asked
  readonly warn: (model: string, code: string, message: string) => Effect.Effect<void>
  /** Whether the call counts this prompt for the first time. */
  readonly isUncounted: (params: Params) => boolean
}

/**
 * The effect to run before a request is sent. `undefined`, the usual case, if there is nothing to report and the tokens
 * of the prompt need not be counted.
 */
export const validate = (params: Params, how: How, place: Place): Effect.Effect<void, ClaudeError> | undefined => {
  const { models } = Runtime.of(place.asked).catalogue
  const { errors, warnings } = inspect(params, models, how.strict)
  const model = models.get(params.model)
  return errors.length === 0 && warnings.length === 0 && model?.lifecycle !== "deprecated" && !how.count
    ? undefined
    : found(params, model, errors, warnings, how, place)
}

const found = (
  params: Params,
  model: Model | undefined,
  errors: ReadonlyArray<Issue>,
  warnings: ReadonlyArray<Issue>,
  how: How,
  place: Place
): Effect.Effect<void, ClaudeError> | undefined => {
  const { catalogue } = Runtime.of(place.asked)
  const warn = (code: string, message: string) => place.warn(params.model, code, message)
  if (errors.length > 0) {
    const more = errors.length > mostShown ? [`and ${errors.length - mostShown} more`] : []
    const detail = [...errors.slice(0, mostShown).map(Validate.show), ...more].join("; ")
    return Effect.fail(new InvalidRequest({ sent: false, model: modelOf(params), detail, issues: errors }))
  }
  const logs: Array<Effect.Effect<void, ClaudeError>> = warnings.filter((issue) =>
    isToBeTold(issue, params.model, catalogue)
  ).map((issue) => warn("Validation", Validate.show(issue)))
  if (model?.lifecycle === "deprecated" && once(catalogue, `deprecated ${model.id}`)) {
    logs.push(warn("DeprecatedModel", deprecation(model)))
  }
  if (how.count && place.isUncounted(params)) logs.push(count(params, model, place))
  return logs.length === 0 ? undefined : Effect.all(logs, { discard: true })
}

/** How many issues the message of an error shows; its `issues` has all of them. */
const mostShown = 10

/**
 * Fails if the tokens of the prompt, counted by the API, do not fit the model. If counting fails, logs a warning
 * instead of failing, so the request is sent without this check.
 */
const count = (params: Params, model: Model | undefined, place: Place): Effect.Effect<void, ClaudeError> => {
  const window = model?.contextWindow
  if (window === undefined) return Effect.void
  return Effect.matchEffect(beforeAnswer(place.asked.countTokens(countable(params))), {
    onFailure: (error) =>
      place.warn(
        params.model,
        "PrecheckFailed",
        `the tokens of the prompt could not be counted, so it is sent without this check: ${error.message}`
      ),
    onSuccess: (input) =>
      input <= window ? Effect.void : Effect.fail(
        new ContextWindowExceeded({
          model: params.model,
          detail:
            `the prompt has ${input} tokens, but the context window has only ${window}, so nothing was sent: shorten the prompt`
        })
      )
  })
}

const deprecation = ({ id, retiresAt }: Model): string =>
  `${id} is deprecated${retiresAt === undefined ? "" : ` and retires on ${retiresAt}`}: move to a newer model`

/** A warning about a model is logged once for each `Claude`; any other warning is logged for each call. */
const isToBeTold = ({ message, path }: Issue, model: string, catalogue: Catalogue): boolean =>
  path[0] !== "model" || once(catalogue, `${model}: ${message}`)

/** How many logged warnings are remembered. At this number all are forgotten, so a warning may be logged again. */
const mostWarned = 1000

const once = ({ warned }: Catalogue, key: string): boolean => {
  if (warned.has(key)) return false
  if (warned.size >= mostWarned) warned.clear()
  warned.add(key)
  return true
}

/** The model, if it is a string: untyped code may pass anything. */
const modelOf = ({ model }: Params): string | undefined => typeof model === "string" ? model : undefined
