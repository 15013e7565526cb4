/**
 * Waiting calls in service order: by rank, then tenants in turn, then by arrival.
 *
 * Everything except `all` and `reorder` takes constant time, however many calls wait: calls and tenants are in linked
 * lists, and the load of each rank is summed up as calls come and go.
 */
import * as Amounts from "./quota/amounts.ts"
import type { Amount } from "./quota/Quota.ts"

/** How to place a waiting call. */
export interface Standing<in A> {
  /** Lower ranks are served first. */
  readonly rank: (item: A) => number
  /** Tenants take turns within a rank. Default: one tenant for all calls. */
  readonly tenant?: ((item: A) => string) | undefined
  /** The amount that the call will take. The sum over the calls ahead tells a new call how long it must wait. */
  readonly load?: ((item: A) => Amount) | undefined
}

export interface Waiter<A, S> extends Linked<Waiter<A, S>> {
  readonly item: A
  readonly state: S
  readonly arrival: number
  /** `undefined` once the call has left. */
  lane: Lane<A, S> | undefined
  load: Amount
}

interface Lane<A, S> extends Linked<Lane<A, S>> {
  readonly rank: Rank<A, S>
  readonly tenant: string
  readonly waiters: List<Waiter<A, S>>
}

interface Rank<A, S> {
  readonly rank: number
  /** The first tenant has the next turn. */
  readonly turns: List<Lane<A, S>>
  readonly lanes: Map<string, Lane<A, S>>
  size: number
  load: Amount
}

export class WaitOrder<A, S> {
  readonly standing: Standing<A>
  /** Lowest rank first. There are few ranks. */
  ranks: ReadonlyArray<Rank<A, S>> = []
  /** How many calls of each tenant wait, over all ranks. */
  readonly tenants = new Map<string, number>()
  size = 0
  arrivals = 0

  constructor(standing: Standing<A>) {
    this.standing = standing
  }

  add(item: A, state: S): Waiter<A, S> {
    const waiter: Waiter<A, S> = {
      item,
      state,
      arrival: this.arrivals++,
      lane: undefined,
      load: Amounts.zero,
      before: undefined,
      after: undefined
    }
    this.put(waiter)
    return waiter
  }

  /** Returns whether the call was still waiting. */
  remove(waiter: Waiter<A, S>): boolean {
    const { lane } = waiter
    if (lane === undefined) return false
    const { rank, tenant } = lane
    waiter.lane = undefined
    lane.waiters.remove(waiter)
    if (lane.waiters.first === undefined) {
      rank.turns.remove(lane)
      rank.lanes.delete(tenant)
    }
    rank.size--
    rank.load = rank.size === 0 ? Amounts.zero : Amounts.minus(rank.load, waiter.load)
    if (rank.size === 0) this.ranks = this.ranks.filter((other) => other !== rank)
    const left = (this.tenants.get(tenant) ?? 1) - 1
    if (left === 0) this.tenants.delete(tenant)
    else this.tenants.set(tenant, left)
    this.size--
    return true
  }

  /** Like `remove`, for a call that was served: the next turn in its rank goes to the next tenant. */
  serve(waiter: Waiter<A, S>): boolean {
    const { lane } = waiter
    const wasThere = this.remove(waiter)
    if (lane?.waiters.first !== undefined && lane.rank.turns.last !== lane) {
      lane.rank.turns.remove(lane)
      lane.rank.turns.add(lane)
    }
    return wasThere
  }

  first(): Waiter<A, S> | undefined {
    return this.ranks[0]?.turns.first?.waiters.first
  }

  /**
   * Whether `item` may wait. Counts only waiting calls of the same or a lower rank. The places are divided equally
   * among the tenants that have waiting calls, at least one place each. A new tenant gets its places even if earlier
   * tenants already use them, so more of these calls than `places` may wait, but at most twice as many.
   */
  hasRoom(item: A, places: number): boolean {
    if (!(places > 0)) return false
    const rank = this.standing.rank(item)
    const tenant = this.tenantOf(item)
    let [own, all] = [0, 0]
    for (const other of this.ranks) {
      if (other.rank > rank) break
      own += other.lanes.get(tenant)?.waiters.size ?? 0
      all += other.size
    }
    const tenants = this.tenants.size + (this.tenants.has(tenant) ? 0 : 1)
    return own < Math.max(1, Math.floor(places / tenants)) && all < 2 * places
  }

  /**
   * The load of the calls that would be served before `item` if it came now. An estimate within its rank: each other
   * tenant has as many turns as the tenant of `item` needs, and each turn takes the average load of the rank.
   */
  ahead(item: A): Amount {
    const rank = this.standing.rank(item)
    let sum = Amounts.zero
    for (const { lanes, load, rank: other, size } of this.ranks) {
      if (other > rank) break
      if (other < rank) sum = Amounts.plus(sum, load)
      else {
        const own = lanes.get(this.tenantOf(item))?.waiters.size ?? 0
        const turns = own * lanes.size + (lanes.size - (own > 0 ? 1 : 0))
        sum = Amounts.plus(sum, Amounts.times(load, Math.min(size, turns) / size))
      }
    }
    return sum
  }

  /** All calls in service order. */
  all(): ReadonlyArray<Waiter<A, S>> {
    return this.ranks.flatMap(({ turns }) => {
      const lanes = [...turns].map(({ waiters }) => [...waiters])
      const longest = Math.max(...lanes.map((lane) => lane.length))
      return Array.from({ length: longest }, (_, turn) => lanes.flatMap((lane) => lane.slice(turn, turn + 1))).flat()
    })
  }

  /** Call when ranks have changed. */
  reorder(): void {
    const waiters = this.all().toSorted((a, b) => a.arrival - b.arrival)
    for (const waiter of waiters) this.remove(waiter)
    for (const waiter of waiters) this.put(waiter)
  }

  tenantOf(item: A): string {
    return this.standing.tenant?.(item) ?? ""
  }

  put(waiter: Waiter<A, S>): void {
    const tenant = this.tenantOf(waiter.item)
    const rank = this.rankOf(this.standing.rank(waiter.item))
    let lane = rank.lanes.get(tenant)
    if (lane === undefined) {
      lane = { rank, tenant, waiters: new List(), before: undefined, after: undefined }
      rank.lanes.set(tenant, lane)
      rank.turns.add(lane)
    }
    waiter.load = this.standing.load?.(waiter.item) ?? Amounts.zero
    waiter.lane = lane
    lane.waiters.add(waiter)
    rank.size++
    rank.load = Amounts.plus(rank.load, waiter.load)
    this.tenants.set(tenant, (this.tenants.get(tenant) ?? 0) + 1)
    this.size++
  }

  rankOf(rank: number): Rank<A, S> {
    const known = this.ranks.find((other) => other.rank === rank)
    if (known !== undefined) return known
    const made: Rank<A, S> = { rank, turns: new List(), lanes: new Map(), size: 0, load: Amounts.zero }
    this.ranks = [...this.ranks, made].toSorted((a, b) => a.rank - b.rank)
    return made
  }
}

interface Linked<N> {
  before: N | undefined
  after: N | undefined
}

/** A doubly linked list: removes any node in constant time. */
class List<N extends Linked<N>> {
  first: N | undefined
  last: N | undefined
  size = 0

  add(node: N): void {
    node.before = this.last
    node.after = undefined
    if (this.last === undefined) this.first = node
    else this.last.after = node
    this.last = node
    this.size++
  }

  remove(node: N): void {
    if (node.before === undefined) this.first = node.after
    else node.before.after = node.after
    if (node.after === undefined) this.last = node.before
    else node.after.before = node.before
    node.before = node.after = undefined
    this.size--
  }

  *[Symbol.iterator](): Generator<N> {
    for (let node = this.first; node !== undefined; node = node.after) yield node
  }
}
