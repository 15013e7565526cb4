/** The stores of guards, asked in time. What is in memory is there at once, and asked as it is. */
import * as Circuit from "../guard/Circuit.ts"
import * as Quota from "../guard/Quota.ts"
import { patient } from "./patience.ts"

/** Where circuits are kept. */
export const circuits = (given: Circuit.Store | undefined): Circuit.Store => {
  const store = given ?? Circuit.memory()
  if (store.unsafe !== undefined) return store
  const within = patient()
  return { modify: (key, f) => within(() => store.modify(key, f)) }
}

/** Where levels are kept. */
export const quota = (given: Quota.Store | undefined): Quota.Store => {
  const store = given ?? Quota.memory()
  if (store.unsafe !== undefined) return store
  const within = patient()
  return {
    take: (key, buckets, cost, now) => within(() => store.take(key, buckets, cost, now)),
    add: (key, buckets, amount, now) => within(() => store.add(key, buckets, amount, now)),
    sync: (key, buckets, seen, now) => within(() => store.sync(key, buckets, seen, now)),
    levels: (key, buckets, now) => within(() => store.levels(key, buckets, now))
  }
}
