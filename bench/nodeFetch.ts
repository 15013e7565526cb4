/**
 * Loads the `fetch` of Node before anything loads the package `undici`: imported first, for its effect.
 *
 * The two share a global dispatcher, which is the first one's. The bare SDK is measured on what a program without
 * that package has.
 */
void new Headers()
