/**
 * A growing list in a `Ref`, for the events that tests keep: a copy for each of 15,000 events took seconds.
 *
 * The list is public as a `Ref` of an immutable list. A `Ref` cannot be told how to read its value, so the field that
 * holds the value becomes a getter. That `Ref` reads this field is an internal of Effect; a test checks it.
 */
import type * as MutableRef from "effect/MutableRef"
import * as Ref from "effect/Ref"

/** A list in a `Ref`, and `append`, which adds to it without a copy. Only a read after a change copies the list. */
export const make = <A>(): { readonly ref: Ref.Ref<ReadonlyArray<A>>; readonly append: (a: A) => void } => {
  let all: Array<A> = []
  let read: ReadonlyArray<A> | undefined
  const ref = Ref.makeUnsafe<ReadonlyArray<A>>([])
  const field: keyof MutableRef.MutableRef<unknown> = "current"
  Object.defineProperty(ref.ref, field, {
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
