/** The time that the current attempt has waited at guards. */
import * as Context from "effect/Context"

/**
 * In milliseconds, summed over all guards that the attempt has passed. Each guard adds its wait to the sum and provides
 * it to the guards and the wire below.
 */
export const Queued = Context.Reference<number>("resilient-claude/Queued", { defaultValue: () => 0 })
