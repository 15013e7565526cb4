/**
 * The scenarios of the lab: incidents, rate limits and mixes of traffic in which this library or a rival did badly.
 *
 * `measured` has the results over real sockets, with the requests in brackets (bench/README.md describes the set-up).
 */
import type { Entry } from "./scenarios/entry.ts"
import { measured } from "./scenarios/measured.ts"
import { wanting } from "./scenarios/wanting.ts"

export { type Column, columns, type Entry } from "./scenarios/entry.ts"

/** All scenarios, in the order of the printed table. */
export const scenarios: ReadonlyArray<Entry> = [...measured, ...wanting]
