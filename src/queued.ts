import * as Context from "effect/Context"

/**
 * How long the current attempt has waited, in milliseconds, summed over all guards that it has passed. Each guard adds its
 * wait, and provides the sum to the guards and the wire inside it.
 */
export const Queued = Context.Reference<number>("resilient-claude/Queued", { defaultValue: () => 0 })
