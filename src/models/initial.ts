/** What a `Claude` knows of the models before the API was asked. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { byId, type Catalogue, type Models } from "./catalogue.ts"
import { known } from "./known.ts"

/** The models that are known in this place. Set by `Models.layer`, and read when a layer of `Claude` is built. */
export const Initial = Context.Reference<Models>("resilient-claude/Models", { defaultValue: () => byId(known) })

/** A catalogue of its own for the `Claude` that is built here: what one learns of the API, no other one sees. */
export const makeCatalogue: Effect.Effect<Catalogue> = Effect.map(
  Initial,
  (models) => ({ models, warned: new Set() })
)
