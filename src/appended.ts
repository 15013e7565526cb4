/**
 * A growing list in a `Ref`, for the events that a test collects. A copy of the list for each of 15,000 events took
 * seconds.
 *
 * Users get a `Ref` of an immutable list. So that a read can make the copy, the field of the `Ref` that holds its value
 * becomes a getter. That field is internal to Effect; a test checks that `Ref` still reads it.
 */
import type * as MutableRef from "effect/MutableRef"
import * as Ref from "effect/Ref"

/** `append` does not copy the list; the first read after a change does. */
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
