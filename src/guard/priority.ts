/** The order in which waiting calls are served: lower ranks first. */
import type * as Current from "../Current.ts"

const ranks: { readonly [P in typeof Current.Priority.Service]: number } = { interactive: 0, default: 1, background: 2 }

export const count = 3

/** An unknown priority, from a caller without types, ranks as `default`. */
export const rankOf = (priority: typeof Current.Priority.Service): number => ranks[priority] ?? ranks.default
