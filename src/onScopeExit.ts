/** What is done when a scope is closed, for what every call does. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

/**
 * `Effect.addFinalizer`, for what runs in every call: it runs in the context of here as it is, where Effect merges it
 * into that of whoever closes the scope, which costs as much as a guard (`node bench/ops.ts`).
 */
export const onScopeExit = (
  context: Context.Context<Scope.Scope>,
  finalizer: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
): Effect.Effect<void> =>
  Scope.addFinalizerExit(
    Context.get(context, Scope.Scope),
    (exit) => Effect.setContext(finalizer(exit), context)
  )
