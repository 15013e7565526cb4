/** The time that the current attempt has waited at guards. */
import * as Context from "effect/Context"

/**
 * In milliseconds, over all guards that it has passed. Each guard adds its wait for the guards and the wire below it.
 */
export const Queued = Context.Reference<number>("resilient-claude/Queued", { defaultValue: () => 0 })
