/** The ids of requests: in the header, and in the body of an error. */

/** The id of the request with this number; the first request is number 0. */
export const requestId = (nth: number): string => `req_fake_${String(nth + 1).padStart(4, "0")}`

/** The placeholder for the request id in the body of an error. */
export const anyId = "req_011Cfake7Qm2Zk9v4T1xLwPa"

/** Replaces the placeholder in a text with the id of the request. Bytes, which `drip` makes, stay as they are. */
export const withId = <B extends string | Uint8Array>(bytes: B, nth: number): B | string =>
  typeof bytes === "string" ? bytes.replaceAll(anyId, requestId(nth)) : bytes
