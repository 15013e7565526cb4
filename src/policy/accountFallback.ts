/** The same program with another account, where one cannot answer. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Claude } from "../Claude.ts"
import { type ClaudeError, is, type Tag, type Tried } from "../ClaudeError.ts"
import { fallback } from "../emit.ts"
import { askedModel, emitHere, warnHere } from "../emitHere.ts"
import { nameOf } from "../errorOf.ts"
import * as History from "../history.ts"
import * as Refuse from "../options.ts"
import { decided, decisive } from "./decisions.ts"

/** Told before the next account is asked. The one outside is account 1. */
export type OnAccount = (change: { readonly error: ClaudeError; readonly to: number }) => Effect.Effect<void>

/**
 * Runs the same program with the `Claude` of each layer in turn, until one answers. Model, limits and all else that is
 * current stay. Removes no error: the last account may fail with any. The error has the history of all accounts; a
 * policy belongs inside, because outside it would take all of them for one attempt.
 *
 * A layer is built when its account is needed, and closed when that is done: what is opened inside and read outside
 * needs one that stays open. An account whose layer cannot be built is passed over, with a warning. To build a layer
 * once, and to keep its guards from call to call, name the same layer where the program is provided: what is built
 * there is not built again, for effects that run inside of it.
 *
 * ```ts
 * const Accounts = Layer.merge(Main, Layer.provide(Layer.empty, Backup))
 * ```
 */
export const accounts = <const Layers extends ReadonlyArray<Layer.Layer<Claude, unknown, unknown>>>(
  layers: Layers,
  options?: {
    /** For which errors, where that differs from the usual. */
    readonly on?: { readonly [T in Tag]?: boolean | undefined } | undefined
    readonly onChange?: OnAccount | undefined
  }
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | Layer.Services<Layers[number]>> => {
  if (!Array.isArray(layers) || !layers.every(Layer.isLayer)) {
    Refuse.refuse("Fallback.accounts: it must be given a list of layers, one for each further account")
  }
  type LR = Layer.Services<Layers[number]>
  // The compiler does not gather what the members of a list that it knows by name need.
  const others = layers as ReadonlyArray<Layer.Layer<Claude, unknown, LR>>
  const on = decided("Fallback.accounts", "otherAccount", options?.on)
  const change: OnAccount = options?.onChange ?? (({ error, to }) => emitHere(fallback(error, `account ${to}`)))

  return <A, E, R>(self: Effect.Effect<A, E, R>) => {
    type Asked = Effect.Effect<A, E, R | LR>
    // What comes next is given to the outside: what this account was built for is closed before, and was told first.
    const ask = (account: number, history: ReadonlyArray<Tried>): Effect.Effect<Asked, never, R> =>
      Effect.catch(
        Effect.map(self, (answer): Asked => Effect.succeed(answer)),
        (error): Effect.Effect<Asked> => {
          if (!is(error)) return Effect.succeed(Effect.fail(error))
          return Effect.flatMap(askedModel, (model) => {
            const merged = History.remember(history, error, 1, model)
            const last = account === 1 ? error : History.explain(error, error.gaveUp ?? "NotRetried", merged)
            return next(account + 1, error, Effect.fail(last), merged)
          })
        }
      )
    /** Tells that an account is asked next, and gives what asks it: where none is left, the last failure. */
    const next = (
      account: number,
      error: ClaudeError,
      last: Effect.Effect<never, E>,
      history: ReadonlyArray<Tried>
    ): Effect.Effect<Asked> => {
      const layer = on[decisive(error)] ? others[account - 2] : undefined
      if (layer === undefined) return Effect.succeed(last)
      const asked = Effect.catchCause(Effect.provide(ask(account, history), layer), (cause): Effect.Effect<Asked> => {
        // A defect or an interrupt is nothing that another account makes good.
        if (Cause.hasDies(cause) || Cause.hasInterrupts(cause)) return Effect.failCause(cause as Cause.Cause<never>)
        return Effect.andThen(notBuilt(account, cause), next(account + 1, error, last, history))
      })
      return Effect.as(change({ error, to: account }), Effect.flatten(asked))
    }
    return others.length === 0 ? self : Effect.flatten(Effect.suspend(() => ask(1, [])))
  }
}

/** Tells that an account cannot be used, and why: by the name of the error, for its words may quote a secret. */
const notBuilt = (account: number, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  warnHere("AccountNotBuilt", `account ${account}: its layer was not built (${nameOf(cause)})`)
