/**
 * Waiting calls in the order in which they go: by rank, then tenants in turns, then by arrival.
 *
 * Everything but `all` and `reorder` takes the same time however many wait: calls and tenants are in linked lists, and
 * what waits in a rank is summed up as it comes and goes.
 */
import * as Amounts from "./quota/amounts.ts"
import type { Amount } from "./quota/Quota.ts"

/** Where a call stands, and what it will take. */
export interface Standing<in A> {
  /** Lower goes first. */
  readonly rank: (item: A) => number
  /** Tenants take turns within a rank. One for all, where it is not given. */
  readonly tenant?: ((item: A) => string) | undefined
  /** What it will take, to know how much is wanted by those before a newcomer. */
  readonly load?: ((item: A) => Amount) | undefined
}

/** A waiting call, with what its owner keeps of it. */
export interface Waiter<A, S> extends Linked<Waiter<A, S>> {
  readonly item: A
  readonly state: S
  readonly arrival: number
  /** Undefined once it has left. */
  lane: Lane<A, S> | undefined
  load: Amount
}

/** The waiting calls of one tenant in one rank. */
interface Lane<A, S> extends Linked<Lane<A, S>> {
  readonly rank: Rank<A, S>
  readonly tenant: string
  readonly waiters: List<Waiter<A, S>>
}

interface Rank<A, S> {
  readonly rank: number
  /** The tenant whose turn it is comes first. */
  readonly turns: List<Lane<A, S>>
  readonly lanes: Map<string, Lane<A, S>>
  size: number
  load: Amount
}

/** Who waits. */
export class WaitOrder<A, S> {
  readonly standing: Standing<A>
  /** Lowest first. There are few. */
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

  /** Takes it out; whether it was still there. */
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

  /** The same for one whose turn it was: now it is the turn of the other tenants. */
  serve(waiter: Waiter<A, S>): boolean {
    const { lane } = waiter
    const wasThere = this.remove(waiter)
    if (lane?.waiters.first !== undefined && lane.rank.turns.last !== lane) {
      lane.rank.turns.remove(lane)
      lane.rank.turns.add(lane)
    }
    return wasThere
  }

  /** The one that goes next. */
  first(): Waiter<A, S> | undefined {
    return this.ranks[0]?.turns.first?.waiters.first
  }

  /**
   * Whether one more may wait: a tenant has an equal share of the places, one at least, counting those that do not go
   * after it. A newcomer has its share although others, who were alone until then, have more: twice the places at most.
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

  /** What is wanted by those who would go before it, if it came now: of other tenants, as many in turn as of its own. */
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

  /** All in order. */
  all(): ReadonlyArray<Waiter<A, S>> {
    return this.ranks.flatMap(({ turns }) => {
      const lanes = [...turns].map(({ waiters }) => [...waiters])
      const longest = Math.max(...lanes.map((lane) => lane.length))
      return Array.from({ length: longest }, (_, turn) => lanes.flatMap((lane) => lane.slice(turn, turn + 1))).flat()
    })
  }

  /** Puts all where they stand now, where ranks have changed. */
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

/** A doubly linked list: what is in the middle leaves as quickly as what is first. */
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
