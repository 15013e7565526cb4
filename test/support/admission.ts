/** Shared by the tests of the queue and the quota: requests of a known size, and calls that end on command. */
import { Cause, Deferred, Effect, Exit, type Fiber, Scope } from "effect"
import type * as Admission from "../../src/guard/admission/Admission.ts"
import * as AdmissionGuard from "../../src/guard/admission/guard.ts"
import * as AdmissionSettings from "../../src/guard/admission/settings.ts"
import * as Stores from "../../src/guard/guards/stores.ts"
import * as QuotaSettings from "../../src/guard/quota/settings.ts"
import { type ClaudeError, Current, type Message, type Quota } from "../../src/index.ts"

export const model = "claude-sonnet-5-5"

/** A request whose text is its number of tokens, which `count` reads. */
export const request = (input: number, more: Partial<Message.Params> = {}): Message.Request => ({
  params: { model, max_tokens: 100, messages: [{ role: "user", content: `${input}` }], ...more },
  limits: {}
})

const textOf = ({ content } = { content: "" as unknown }) => Number(content)

export interface Options {
  readonly concurrency?: Admission.Concurrency
  readonly quota?: Quota.Options
  readonly store?: Quota.Store
  readonly countTokens?: AdmissionGuard.Place["countTokens"]
}

/** A queue, and the failures of its store. */
export const make = ({ concurrency = {}, countTokens, quota, store }: Options) =>
  Effect.map(Scope.make(), (scope) => {
    const settings = quota && QuotaSettings.settings(quota)
    const failures: Array<unknown> = []
    const admission = AdmissionGuard.make({
      key: "default/sonnet",
      concurrency: AdmissionSettings.settings(concurrency),
      quota: settings && {
        ...settings,
        limits: settings.classOf("sonnet", model).limits,
        store: Stores.quota(store, (cause) => Effect.sync(() => void failures.push(Cause.squash(cause))))
      },
      countTokens: countTokens ?? (({ messages }) => Effect.succeed(textOf(messages[0]))),
      scope
    })
    return { admission, failures, scope }
  })

export const usage = (
  input_tokens: number,
  output_tokens: number,
  more: Partial<Message.Usage> = {}
): Message.Usage => ({
  cache_creation: null,
  cache_creation_input_tokens: null,
  cache_read_input_tokens: null,
  inference_geo: null,
  input_tokens,
  output_tokens,
  output_tokens_details: null,
  server_tool_use: null,
  service_tier: null,
  speed: null,
  ...more
})

/** The exit and the usage with which a test ends a call. */
export interface End {
  readonly exit: Exit.Exit<unknown, ClaudeError.ClaudeError>
  readonly usage?: Message.Usage | undefined
}

export interface Call {
  readonly id: number
  readonly fiber: Fiber.Fiber<unknown, ClaudeError.ClaudeError>
  readonly end: Deferred.Deferred<End>
}

/** Numbered calls that record when they are admitted. */
export const caller = (admission: AdmissionGuard.Admission) => {
  const calls: Array<Call> = []
  /** The ids of the admitted calls, in the order of admission. */
  const entered: Array<number> = []
  const running = new Set<number>()
  const call = (
    asked: Message.Request,
    priority: typeof Current.Priority.Service = "default",
    deadline = Infinity,
    tenant: string | undefined = undefined
  ): Effect.Effect<Call> =>
    Effect.gen(function*() {
      const id = calls.length
      const end = Deferred.makeUnsafe<End>()
      const fiber = yield* Effect.acquireUseRelease(
        // Record the admission at once, even if an interrupt follows directly.
        Effect.map(admission.admit(asked), (lease) => {
          entered.push(id)
          running.add(id)
          return lease
        }),
        () => Deferred.await(end),
        (lease, exit) => {
          running.delete(id)
          return Exit.isSuccess(exit) ? lease.settle(exit.value.exit, exit.value.usage) : lease.settle(exit)
        }
      ).pipe(
        Effect.provideService(Current.Priority, priority),
        Effect.provideService(Current.Deadline, deadline),
        Effect.provideService(Current.Tenant, tenant),
        Effect.forkChild({ startImmediately: true })
      )
      const made = { id, fiber, end }
      calls.push(made)
      return made
    })
  return { calls, entered, running, call }
}

/** The error of a call. */
export const failureOf = ({ fiber }: Call): ClaudeError.ClaudeError | undefined => {
  const exit = fiber.pollUnsafe()
  if (exit === undefined || Exit.isSuccess(exit)) return undefined
  const error = Cause.findErrorOption(exit.cause)
  return error._tag === "Some" ? error.value : undefined
}
