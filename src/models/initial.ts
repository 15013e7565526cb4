import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { byId, type Catalogue, type Models } from "./catalogue.ts"
import { known } from "./known.ts"

/** Set by `Models.layer`, and read when a layer of `Claude` is built. */
export const Initial = Context.Reference<Models>("resilient-claude/Models", { defaultValue: () => byId(known) })

/** Each `Claude` gets a new catalogue, so that a refresh does not affect another `Claude`. */
export const makeCatalogue: Effect.Effect<Catalogue> = Effect.map(
  Initial,
  (models) => ({ models, warned: new Set() })
)
