import { defineConfig } from "vitest/config"

// No test waits for the clock on the wall for long; the limit is for machines with more to do than this.
export default defineConfig({ test: { include: ["test/**/*.test.ts"], testTimeout: 30_000 } })
