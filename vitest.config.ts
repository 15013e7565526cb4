import { defineConfig } from "vitest/config"

/** `--mode long` tries all that there is to try; without it, tests try a share (`test/support/effort.ts`). */
export default defineConfig(({ mode }) => ({
  // Examples import the package by its name: here, that is its source (`exports` of package.json).
  ssr: { resolve: { conditions: ["resilient-claude-source", "module", "node", "development|production"] } },
  test: {
    include: ["test/**/*.test.ts"],
    // Files share their modules: to load Effect for each of them takes as long as most of the tests.
    isolate: false,
    // What Node compiled for one program that a test starts, it need not compile for the next.
    env: { LONG: mode === "long" ? "1" : "", NODE_COMPILE_CACHE: `${import.meta.dirname}/node_modules/.cache/compile` },
    // No test waits for the clock on the wall for long; the limit is for machines with more to do than this.
    testTimeout: 30_000
  }
}))
