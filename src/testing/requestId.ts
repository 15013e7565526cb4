/** The ids of requests: in the header, and in the body of an error. */

/** The id of a request, from its number, from 0. */
export const requestId = (nth: number): string => `req_fake_${String(nth + 1).padStart(4, "0")}`

/** Stands in a body for the id of the request that it answers. */
export const anyId = "req_011Cfake7Qm2Zk9v4T1xLwPa"

/** A body with the id of its request. Cut bytes stay. */
export const withId = <B extends string | Uint8Array>(bytes: B, nth: number): B | string =>
  typeof bytes === "string" ? bytes.replaceAll(anyId, requestId(nth)) : bytes
