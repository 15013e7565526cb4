/** Wraps the stores that users provide: adds a time-out, and reports failures. Stores in memory need neither. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as CallLog from "../../CallLog.ts"
import { nameOf } from "../../errorOf.ts"
import { patient } from "../../storePatience.ts"
import type * as Circuit from "../circuit/Circuit.ts"
import * as Quota from "../quota/Quota.ts"

export const circuits = (given: Circuit.Store | undefined): Circuit.Store | undefined => {
  if (given === undefined) return undefined
  const within = patient()
  return { modify: (key, f) => within(() => given.modify(key, f)) }
}

/** If the user's store fails, calls go on without a limit. */
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

type OnStoreError = (cause: Cause.Cause<unknown>) => Effect.Effect<void>

/** The minimum time between two reports of a failing store, in milliseconds. */
const reportEvery = 60_000

/** Logs the failure of a store with the name of the error, but without its message, which may contain a secret. */
export const reporting = (log: CallLog.CallLog) => {
  let reportedAt = -Infinity
  return (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      if (Cause.hasInterruptsOnly(cause) || at - reportedAt < reportEvery) return Effect.void
      reportedAt = at
      const message = `a store of the guards failed (${
        nameOf(cause)
      }): calls go on as if it were empty, so circuits and quotas stop no calls until it works again`
      return log.emit({ _tag: "Warning", at, call: undefined, model: "*", code: "GuardStoreFailed", message })
    })
}
