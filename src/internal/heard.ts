/**
 * What is asked inside an effect, and whether that was answered.
 *
 * Answers do not say which question they are to. Where several are open at a
 * time, it is enough that there are as many: what is doubtful is not whole.
 */
import * as Fiber from "effect/Fiber"
import { isObject } from "effect/Predicate"
import * as Result from "effect/Result"
import * as Current from "../Current.ts"

/** What was asked inside, and what came of it. */
export interface Heard extends Current.Listener {
  /** What the answer is remembered under: nothing, if nothing was asked or no single thing. */
  readonly id: () => string | undefined
  /** Whether the questions are too many for one answer, and there is no key for all of them. */
  readonly needsKey: () => boolean
  /** Whether every question was answered as a whole, and nothing was refused after the last of them was put. */
  readonly isWhole: () => boolean
}

/** Hears what is asked inside, and tells it to who listens outside. */
export const listen = (
  name: string,
  key: string | undefined,
  tenant: string | undefined,
  outer: Current.Listener | undefined
): Heard => {
  const toId = (asker: string | undefined, question: string): string =>
    JSON.stringify([name, asker ?? null, ...key === undefined ? ["request", question] : ["key", key]])
  const ids = new Set<string>()
  // The questions that are not yet answered, in the order they were put.
  const open = new Set<string>()
  let spoiled = false
  return {
    asked: (params) => {
      outer?.asked(params)
      // The tenant may be named inside.
      const fiber = Fiber.getCurrent()
      const asker = fiber === undefined ? tenant : fiber.getRef(Current.Tenant)
      const question = Result.getOrElse(Result.try(() => canonical(params)), () => undefined)
      const put = JSON.stringify([asker ?? null, question])
      spoiled = question === undefined
      open.delete(put)
      open.add(put)
      if (question !== undefined) ids.add(toId(asker, question))
    },
    answered: (whole) => {
      outer?.answered(whole)
      // Whose answer it is, is not said: it is taken for that of the last.
      if (whole) open.delete([...open].at(-1) ?? "")
      else spoiled = true
    },
    id: () =>
      ids.size > 1 ? undefined : ids.size === 1 ? [...ids][0] : key === undefined ? undefined : toId(tenant, key),
    needsKey: () => ids.size > 1 && key === undefined,
    isWhole: () => ids.size > 0 && open.size === 0 && !spoiled
  }
}

/** The same text for the same parameters, in whatever order they are written. */
const canonical = (params: object): string =>
  JSON.stringify(params, (_, part: unknown) =>
    isObject(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([one], [other]) => one < other ? -1 : 1))
      : part)
