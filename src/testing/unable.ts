/**
 * Requests the API refuses because of the model they are for.
 *
 * What a model can do is from the built-in catalogue, whatever the catalogue of
 * the program says: the server is another program. A model that is not in it
 * takes everything, and so does one of which nothing is known. Refused are:
 *
 * - a beginning of the answer, where the model takes none, or with a format;
 * - thinking of a type, or an effort, that the model does not know;
 * - a tool that is forced, where none may be, or while thinking is `enabled`.
 */
import { isString } from "effect/Predicate"
import type { Capabilities, Model } from "../models/catalogue.ts"
import * as Models from "../models/known.ts"
import { isForced } from "../request/capabilities.ts"
import { hasFormat, isPrefilled } from "../request/rules/blocks.ts"
import { field, type Given } from "../request/rules/rule.ts"

/** How many tokens a model writes at most. One that nobody knows writes as many as the largest. */
export const maxOutput = (model: unknown): number => known.get(model)?.maxOutput ?? 128_000

/** What the API says about what the model cannot do; nothing, if it can do all of it. */
export const unable = (params: Given): string | undefined => {
  const model = known.get(params.model)
  return model && lacks.find(([isAsked]) => isAsked(params, model.capabilities))?.[1](params, model.capabilities)
}

const known: ReadonlyMap<unknown, Model> = new Map(Models.known.map((model) => [model.id, model]))

/** What cannot be asked of a model, and what is said then. */
type Lack = readonly [
  isAsked: (params: Given, able: Capabilities) => boolean,
  says: (params: Given, able: Capabilities) => string
]

const isBegun = ({ messages }: Given): boolean => Array.isArray(messages) && isPrefilled(messages)
const typeOf = ({ thinking }: Given): unknown => field(thinking, "type")
const effortOf = ({ output_config }: Given): unknown => field(output_config, "effort")
const isUnknown = (value: unknown, known: ReadonlyArray<string> | undefined): boolean =>
  isString(value) && known?.includes(value) === false

const instead = "Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior."

const lacks: ReadonlyArray<Lack> = [
  [
    (params, { prefill }) => prefill === false && isBegun(params),
    () => "This model does not support assistant message prefill. The conversation must end with a user message."
  ],
  [
    (params) => hasFormat(params) && isBegun(params),
    () => "output_config.format: structured outputs cannot be used with assistant message prefill"
  ],
  [
    (params, { thinking }) => isUnknown(typeOf(params), thinking),
    (params) =>
      typeOf(params) === "adaptive"
        ? "adaptive thinking is not supported on this model"
        : `"thinking.type.${typeOf(params)}" is not supported for this model.`
          + (typeOf(params) === "enabled" ? ` ${instead}` : "")
  ],
  [
    (params, { effort }) => isUnknown(effortOf(params), effort),
    (params, { effort = [] }) =>
      effort.length === 0
        ? "This model does not support the effort parameter."
        : `This model does not support effort level '${effortOf(params)}'. Supported levels: ${effort.join(", ")}.`
  ],
  [
    (params) => isForced(params.tool_choice) && typeOf(params) === "enabled",
    () => "Thinking may not be enabled when tool_choice forces tool use."
  ],
  [
    ({ tool_choice }, { forcedTools }) => forcedTools === false && isForced(tool_choice),
    () => "tool_choice: type \"tool\" and \"any\" are not supported for this model."
  ]
]
