/** All queues of an account, one per class of models, behind one guard. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { atNow } from "../../atNow.ts"
import { type ClaudeError, Saturated } from "../../ClaudeError.ts"
import type { Request } from "../../Message.ts"
import type { Catalogue } from "../../models/catalogue.ts"
import type * as Guard from "../Guard.ts"
import type { Compiled } from "../guards/record.ts"
import { forget } from "../idle.ts"
import type * as Meter from "../quota/meter.ts"
import type * as Quota from "../quota/Quota.ts"
import * as Admission from "./guard.ts"

export interface Place extends Pick<Meter.Place, "countTokens"> {
  readonly catalogue: Catalogue
  readonly store: Quota.Levels
  /** Done when the process is about to stop. */
  readonly draining: Deferred.Deferred<void>
  readonly scope: Scope.Scope
}

export interface Queues {
  readonly guards: Pick<Compiled, "account" | "concurrency" | "quota">
  readonly place: Place
  readonly byClass: Map<string, Admission.Admission>
  readonly byModel: Map<string, Admission.Admission>
}

export const make = (guards: Queues["guards"], place: Place): Queues => ({
  guards,
  place,
  byClass: new Map(),
  byModel: new Map()
})

export const guard = (queues: Queues): Guard.Guard => ({
  gate: ({ params: { model } }) =>
    Deferred.isDoneUnsafe(queues.place.draining) ? Effect.fail(new Saturated({ model, by: "drain" })) : Effect.void,
  admit: (request) => admit(queues, request)
})

const admit = (queues: Queues, request: Request): Effect.Effect<Guard.Lease, ClaudeError> => {
  const { params: { model } } = request
  const known = queues.byModel.get(model)
  if (known !== undefined) return known.admit(request)
  return atNow((now) => added(queues, model, now).admit(request))
}

/**
 * Models of one line (such as `opus`) have one queue, because the API gives them common limits. A model for which the
 * options set limits has a separate queue.
 */
const added = (queues: Queues, model: string, now: number): Admission.Admission => {
  const line = queues.place.catalogue.models.get(model)?.line
  const { limits, name } = queues.guards.quota?.classOf(line, model) ?? { name: line ?? model, limits: undefined }
  const found = queues.byClass.get(name) ?? opened(queues, name, limits, now)
  queues.byModel.set(model, found)
  return found
}

const opened = (
  { byClass, byModel, guards: { account, concurrency, quota }, place: { countTokens, scope, store } }: Queues,
  name: string,
  limits: Quota.Amount | undefined,
  now: number
): Admission.Admission => {
  forget([byClass, byModel], now)
  const made = Admission.make({
    countTokens,
    scope,
    key: `${account}/${name}`,
    concurrency,
    quota: quota && limits && { ...quota, limits, store }
  })
  byClass.set(name, made)
  return made
}
