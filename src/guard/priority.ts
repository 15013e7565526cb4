/** In which order calls that wait are served: the lower rank first. */
import type * as Current from "../Current.ts"

const ranks: { readonly [P in typeof Current.Priority.Service]: number } = { interactive: 0, default: 1, background: 2 }

/** How many ranks there are. */
export const count = 3

/** The rank of a priority. Who is not typed may give one that there is not. */
export const rankOf = (priority: typeof Current.Priority.Service): number => ranks[priority] ?? ranks.default
