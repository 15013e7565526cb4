/**
 * What the library is measured by: the incidents, limits and mixes in which it, or a rival, was found wanting.
 *
 * `measured` is what came over real sockets (bench/README.md has the set-up): calls answered, requests in brackets.
 */
import type { Entry } from "./scenarios/entry.ts"
import { measured } from "./scenarios/measured.ts"
import { wanting } from "./scenarios/wanting.ts"

export { type Column, columns, type Entry } from "./scenarios/entry.ts"

/** All of them, in the order of the table. */
export const scenarios: ReadonlyArray<Entry> = [...measured, ...wanting]
