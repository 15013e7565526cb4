/** `nth` counts from 0; the ids count from 1. */
export const requestId = (nth: number): string => `req_fake_${String(nth + 1).padStart(4, "0")}`

/** The placeholder for the request id in the body of a scripted error. */
export const anyId = "req_011Cfake7Qm2Zk9v4T1xLwPa"

/** Replaces the placeholder in a text with the id of the request. A `Uint8Array`, which `drip` makes, is unchanged. */
export const withId = <B extends string | Uint8Array>(bytes: B, nth: number): B | string =>
  typeof bytes === "string" ? bytes.replaceAll(anyId, requestId(nth)) : bytes
