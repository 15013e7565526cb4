import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

/**
 * A cheaper `Effect.addFinalizer`: the finalizer runs in `context`. Effect's version also merges the context of the
 * fiber that closes the scope, which costs as much as a guard (`node bench/ops.ts`).
 */
export const onScopeExit = (
  context: Context.Context<Scope.Scope>,
  finalizer: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
): Effect.Effect<void> =>
  Scope.addFinalizerExit(
    Context.get(context, Scope.Scope),
    (exit) => Effect.setContext(finalizer(exit), context)
  )
