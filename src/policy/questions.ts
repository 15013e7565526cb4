/**
 * What is asked inside an effect, and whether all of that was answered.
 *
 * A question is known by its parameters, of which long texts are compared and
 * not copied: only what is looked up or kept is written out, once.
 */
import { isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Current from "../Current.ts"

/** What the answer to what was asked may be remembered under. */
type Subject = "nothing" | "ambiguous" | {
  readonly id: string
  /** How many of the questions were answered as a whole. */
  readonly whole: "all" | "some" | "none"
}

/** What was asked inside, and what came of it. */
export interface Heard extends Current.Listener {
  readonly subject: () => Subject
  /** The last call inside, if a policy ran it. */
  readonly call: () => string | undefined
}

/** How often a question was put without an answer yet, and how it was answered. A failure that was put again is none. */
interface Count {
  readonly asker: string | undefined
  open: number
  whole: number
  not: number
  /** Left early: that of two which lost is not needed, and one that was alone was not whole. */
  left: number
}

/** Hears what is asked inside, and tells it to who listens outside. */
export const listen = (
  name: string,
  key: string | undefined,
  tenant: string | undefined,
  outer: Current.Listener | undefined
): Heard => {
  const counts = new Map<string, Count>()
  const texts = new Map<string, number>()
  let call: string | undefined
  let isUnknown = false
  /** The same for the same parameters, in whatever order they are written: each text is the number of its first use. */
  const outline = (params: object): string =>
    JSON.stringify(params, (_, part: unknown) => {
      if (isString(part)) {
        const number = texts.get(part) ?? texts.size
        texts.set(part, number)
        return `${number}`
      }
      return isObject(part)
        ? Object.fromEntries(Object.entries(part).toSorted(([one], [other]) => one < other ? -1 : 1))
        : part
    })

  return {
    asked: (params, by) => {
      const tell = outer?.asked(params, by)
      // The tenant may be named inside.
      const asker = by.tenant
      call = by.call ?? call
      const question = Result.getOrUndefined(Result.try(() => outline(params)))
      if (question === undefined) isUnknown = true
      const put = JSON.stringify([asker ?? null, question])
      const count = counts.get(put) ?? { asker, open: 0, whole: 0, not: 0, left: 0 }
      counts.set(put, count)
      count.open++
      if (count.not > 0) count.not--
      return (how) => {
        tell?.(how)
        count.open--
        count[how]++
      }
    },
    subject: () => {
      const [first, ...more] = counts.values()
      if (key === undefined && (isUnknown || first === undefined)) return "nothing"
      if (more.some(({ asker }) => key === undefined || asker !== first?.asker)) return "ambiguous"
      const asker = first === undefined ? tenant : first.asker
      const id = [
        name,
        asker ?? null,
        ...key === undefined ? ["request", ...counts.keys(), ...texts.keys()] : ["key", key]
      ]
      const whole = [...counts.values()].filter(({ not, open, whole }) => whole > 0 && open + not === 0).length
      return { id: JSON.stringify(id), whole: whole === 0 ? "none" : whole === counts.size ? "all" : "some" }
    },
    call: () => call
  }
}
