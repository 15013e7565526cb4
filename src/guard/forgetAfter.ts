/**
 * Milliseconds without calls after which the state of a model may be dropped: model names may come from outside the
 * program and must not fill the memory. An hour is longer than an answer takes, and longer than the default window of a
 * circuit.
 */
export const forgetAfter = 3_600_000
