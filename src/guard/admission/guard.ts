import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ClaudeError } from "../../ClaudeError.ts"
import type { CountParams } from "../../Message.ts"
import { Estimator } from "../../request/tokenEstimate.ts"
import * as Guard from "../Guard.ts"
import * as Amounts from "../quota/amounts.ts"
import * as Meter from "../quota/meter.ts"
import type * as Quota from "../quota/Quota.ts"
import type * as QuotaSettings from "../quota/settings.ts"
import * as Steady from "../steadyClock.ts"
import * as Turnstile from "../waitQueue.ts"
import { Limit } from "./aimd.ts"
import * as Brake from "./brake.ts"
import { Pace } from "./pace.ts"
import * as Queue from "./queue.ts"
import type { Settings } from "./settings.ts"
import type * as Ticket from "./ticket.ts"

export interface Status {
  readonly running: number
  readonly waiting: number
  /** The current concurrency limit. */
  readonly limit: number
  readonly remaining: Quota.Amount | undefined
}

/** The queue of one class of models. */
export interface Admission extends Guard.Guard {
  readonly status: Effect.Effect<Status>
  readonly capacity: () => Quota.Amount | undefined
  /** Whether no call runs or waits, and no call arrived in the last `length` ms. */
  readonly isIdle: (length: number, now: number) => boolean
}

export interface Place {
  /** Account and class of models: the key in the store. */
  readonly key: string
  readonly countTokens: (params: CountParams) => Effect.Effect<number, ClaudeError>
  readonly concurrency: Settings
  readonly quota: QuotaSettings.Settings & { readonly limits: Quota.Amount; readonly store: Quota.Levels } | undefined
  /** The fibers of the queue run in this scope. After it closes, they run detached until no call waits. */
  readonly scope: Scope.Scope
}

export const make = ({ concurrency, quota, scope, ...place }: Place): Admission => {
  const estimator = new Estimator()
  const queue: Queue.Queue = {
    concurrency,
    steady: Steady.make(),
    estimator,
    meter: quota && new Meter.Meter({ ...place, quota }, estimator),
    limit: new Limit(concurrency),
    brake: Brake.make(),
    pace: new Pace(),
    turnstile: Turnstile.make<Ticket.Ticket>({
      rank: (ticket) => Queue.rank(queue, ticket),
      tenant: ({ tenant }) => tenant,
      load: ({ priced }) => priced === undefined ? Amounts.zero : queue.meter?.least(priced) ?? Amounts.zero,
      room: concurrency.queue,
      turn: (ticket, ahead, clock) => Queue.turn(queue, ticket, ahead, queue.steady(clock)),
      take: (ticket, clock) => Queue.take(queue, ticket, queue.steady(clock)),
      putBack: (ticket, clock) => Queue.putBack(queue, ticket, queue.steady(clock))
    }, scope),
    running: 0,
    sent: 0,
    askedAt: -Infinity
  }
  return {
    gate: Guard.open,
    admit: (request) => Queue.admit(queue, request),
    capacity: () => queue.meter?.limits.buckets.capacity,
    isIdle: (length, clock) =>
      queue.running + queue.turnstile.size() === 0 && queue.steady(clock) - queue.askedAt >= length,
    status: status(queue)
  }
}

const status = Effect.fnUntraced(function*(queue: Queue.Queue): Effect.fn.Return<Status> {
  const remaining = queue.meter && (yield* queue.meter.left(yield* Queue.timeIn(queue)))
  return { running: queue.running, waiting: queue.turnstile.size(), limit: queue.limit.most, remaining }
})
