/** The stores of guards. One that was given is waited for with patience; what is in our memory is there at once. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as CallLog from "../../CallLog.ts"
import { nameOf } from "../../errorOf.ts"
import { patient } from "../../storePatience.ts"
import type * as Circuit from "../circuit/Circuit.ts"
import * as Quota from "../quota/Quota.ts"

/** Where circuits are kept, if that was given. */
export const circuits = (given: Circuit.Store | undefined): Circuit.Store | undefined => {
  if (given === undefined) return undefined
  const within = patient()
  return { modify: (key, f) => within(() => given.modify(key, f)) }
}

/** Where levels are kept. A store may fail: then nobody is limited. */
export const quota = (given: Quota.Store | undefined, onStoreError: OnStoreError): Quota.Levels => {
  if (given === undefined) return Quota.memory()
  const within = patient()
  const asked = <A, B>(ask: () => Effect.Effect<A, unknown>, otherwise: B): Effect.Effect<A | B> =>
    Effect.catchCause(within(ask), (cause) => Effect.as(onStoreError(cause), otherwise))
  return {
    take: (...about) => asked(() => given.take(...about), 0),
    add: (...about) => asked(() => given.add(...about), undefined),
    sync: (...about) => asked(() => given.sync(...about), undefined),
    levels: (...about) => asked(() => given.levels(...about), undefined)
  }
}

/** Told when a store fails. */
type OnStoreError = (cause: Cause.Cause<unknown>) => Effect.Effect<void>

/** How often to say that a store fails, in milliseconds. */
const reportEvery = 60_000

/** Tells the log that a store fails, now and then: by the name of the error, for its words may quote a secret. */
export const reporting = (log: CallLog.CallLog) => {
  let reportedAt = -Infinity
  return (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      if (Cause.hasInterruptsOnly(cause) || at - reportedAt < reportEvery) return Effect.void
      reportedAt = at
      const message = `a store of the guards failed (${nameOf(cause)}): calls go on as if it were empty`
      return log.emit({ _tag: "Warning", at, call: undefined, model: "*", code: "GuardStoreFailed", message })
    })
}
