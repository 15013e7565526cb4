/** In which order calls that wait are served: the lower rank first. */
import type * as Fiber from "effect/Fiber"
import * as Current from "../Current.ts"

const ranks: { readonly [P in typeof Current.Priority.Service]: number } = { interactive: 0, default: 1, background: 2 }

/** How many ranks there are. */
export const count = 3

/** The rank of the call of a fiber. */
export const rankOf = (fiber: Fiber.Fiber<unknown, unknown>): number =>
  ranks[fiber.getRef(Current.Priority)] ?? ranks.default
