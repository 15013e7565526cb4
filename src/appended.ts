/** A `Ref` of a list that grows, for what is kept in tests: 15,000 events took seconds when each one copied the list. */
import * as Ref from "effect/Ref"

/** A `Ref` of a list, and a way to add to it without a copy. The list is copied when it is read after a change. */
export const make = <A>(): { readonly ref: Ref.Ref<ReadonlyArray<A>>; readonly append: (a: A) => void } => {
  let all: Array<A> = []
  let read: ReadonlyArray<A> | undefined
  const ref = Ref.makeUnsafe<ReadonlyArray<A>>([])
  Object.defineProperty(ref.ref, "current", {
    get: () => read ??= [...all],
    set: (list: ReadonlyArray<A>) => {
      all = [...list]
      read = undefined
    }
  })
  return {
    ref,
    append: (a) => {
      all.push(a)
      read = undefined
    }
  }
}
