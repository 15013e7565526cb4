/** Masks API keys in the text of errors. */

/** What replaces a key. */
export const mask = "***"

/** Masks everything that looks like a key of the API. */
export const withoutKeys = (words: string): string => words.replace(/\bsk-ant-[\w-]{4,}/g, mask)
