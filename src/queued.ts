/** How long the attempt that runs has waited at guards. */
import * as Context from "effect/Context"

/** In milliseconds, over all guards that it has passed so far. Guards set it for what is opened behind them. */
export const Queued = Context.Reference<number>("resilient-claude/Queued", { defaultValue: () => 0 })
