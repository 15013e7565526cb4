import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Claude } from "../Claude.ts"
import { type ClaudeError, is, type Tried } from "../ClaudeError.ts"
import { fallback } from "../emit.ts"
import { askedModel, emitHere, warnHere } from "../emitHere.ts"
import { nameOf } from "../errorOf.ts"
import * as History from "../history.ts"
import * as Refuse from "../options.ts"
import { decided, decisive, type On, reported } from "./decisions.ts"

/**
 * Runs before the next account is asked, instead of logging the fallback. Account 1 is the `Claude` in context; the first
 * layer is account 2.
 */
export type OnAccount = (change: { readonly error: ClaudeError; readonly to: number }) => Effect.Effect<void>

/**
 * Runs the same program with the `Claude` in context and then with the `Claude` of each layer, until one answers, or an
 * error leads to no further account. The settings of `Current`, such as the model and the limits, stay the same. So does
 * the error type, because all accounts may fail. If a further account cannot take the request or gives no usable answer,
 * the next one is asked. If no account answers, the effect fails with the last error that means a problem of the service
 * or contains a part of the answer, or else with the first error. The error has the history of all accounts that were
 * asked. Put a policy inside this fallback: a policy around it counts all accounts as one attempt.
 *
 * A layer is built when its account is asked, and closed when the program on this account ends, so a stream that is read
 * outside needs a layer that stays open. An account whose layer fails to build is skipped with a warning. To build a layer
 * once and keep its guards between calls, build the same layer where you provide the program:
 *
 * ```ts
 * const Accounts = Layer.merge(Main, Layer.provide(Layer.empty, Backup))
 * ```
 */
export const accounts = <const Layers extends ReadonlyArray<Layer.Layer<Claude, unknown, unknown>>>(
  layers: Layers,
  options?: {
    /** Overrides which errors lead to a request to another account. */
    readonly on?: On<boolean> | undefined
    readonly onChange?: OnAccount | undefined
  }
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | Layer.Services<Layers[number]>> => {
  if (!Array.isArray(layers) || !layers.every(Layer.isLayer)) {
    Refuse.refuse("Fallback.accounts: it needs a list of layers, one for each further account")
  }
  type LR = Layer.Services<Layers[number]>
  // Safe cast: TypeScript does not infer the services that the layers of a generic list need.
  const others = layers as ReadonlyArray<Layer.Layer<Claude, unknown, LR>>
  const on = decided("Fallback.accounts", "otherAccount", options?.on)
  const change: OnAccount = options?.onChange ?? (({ error, to }) => emitHere(fallback(error, `account ${to}`)))

  return <A, E, R>(self: Effect.Effect<A, E, R>) => {
    type Asked = Effect.Effect<A, E, R | LR>
    interface Failed {
      readonly error: E & ClaudeError
    }
    // Returns the next step as an effect, so that the caller runs it after the layer of this account is closed.
    const ask = (account: number, history: ReadonlyArray<Tried>, first?: Failed): Effect.Effect<Asked, never, R> =>
      Effect.catch(
        Effect.map(self, (answer): Asked => Effect.succeed(answer)),
        (error): Effect.Effect<Asked> => {
          if (!is(error)) return Effect.succeed(Effect.fail(error))
          return Effect.flatMap(askedModel, (model) => {
            const merged = History.remember(history, error, 1, model)
            const ended = reported(first, { error })
            const { gaveUp = "NotRetried" } = ended.error
            const last = account === 1 ? error : History.explain(ended.error, gaveUp, merged)
            return next(account + 1, error, Effect.fail(last), merged, ended)
          })
        }
      )
    /** Runs `change` and asks `account`. Returns `last` if `account` does not exist or `error` does not lead to it. */
    const next = (
      account: number,
      error: ClaudeError,
      last: Effect.Effect<never, E>,
      history: ReadonlyArray<Tried>,
      first: Failed
    ): Effect.Effect<Asked> => {
      const helps = on[decisive(error)]
      const layer = helps === true || helps === "substitute" && account > 2 ? others[account - 2] : undefined
      if (layer === undefined) return Effect.succeed(last)
      const asked = Effect.catchCause(
        Effect.provide(ask(account, history, first), layer),
        (cause): Effect.Effect<Asked> => {
          // Only a layer's own error leads to the next account; a defect or an interrupt passes through.
          if (Cause.hasDies(cause) || Cause.hasInterrupts(cause)) return Effect.failCause(cause as Cause.Cause<never>)
          return Effect.andThen(notBuilt(account, cause), next(account + 1, error, last, history, first))
        }
      )
      return Effect.as(change({ error, to: account }), Effect.flatten(asked))
    }
    return others.length === 0 ? self : Effect.flatten(Effect.suspend(() => ask(1, [])))
  }
}

/** Names the error without its message, which may contain a secret. */
const notBuilt = (account: number, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  warnHere(
    "AccountNotBuilt",
    `the layer of account ${account} failed to build (${nameOf(cause)}), so this account was skipped: check this layer`
  )
