/**
 * What is kept of a model that nobody asked for so many milliseconds is forgotten: names may come from anywhere, and an hour
 * is longer than any window or answer.
 */
export const forgetAfter = 3_600_000
