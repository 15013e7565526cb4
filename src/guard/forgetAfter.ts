/**
 * In milliseconds. State of a model without calls for this long is dropped, because model names may come from outside
 * the program and must not fill the memory. An hour is longer than an answer takes, and than the
 * default window of a circuit.
 */
export const forgetAfter = 3_600_000
