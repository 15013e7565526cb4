/**
 * The built-in model catalogue.
 *
 * A fact without a source is missing. `source` is usually the page of the model.
 * Facts that are not on that page are from these pages of
 * https://platform.claude.com/docs/en: about-claude/pricing (prices),
 * about-claude/model-deprecations (lifecycle), build-with-claude/effort,
 * /thinking and /structured-outputs (from 4.5 on), /working-with-messages (no
 * prefill from 4.6 on), /vision and /pdf-support (all active models).
 * `forcedTools` is from models/…/whats-new-… and /migration-guide. It is false where
 * these pages say so. It is true for a model whose successor's page calls the restriction
 * new, and for models that third parties have tried
 * (github.com/langchain-ai/langchain-aws/pull/1141).
 * `fast` is from build-with-claude/fast-mode; false for Opus 4.8, which loses it on 2026-11-30.
 * `retiresAt` is an announced date; "not sooner than" dates are left out.
 */
import type { Capabilities, Model, Prices } from "./catalogue.ts"

const asOf = "2026-11-29"
const docs = "https://platform.claude.com/docs/en"

const large = { lifecycle: "active", contextWindow: 1_000_000, maxOutput: 128_000, asOf } as const
const small = { lifecycle: "active", contextWindow: 200_000, maxOutput: 64_000, asOf } as const

const three = ["low", "medium", "high"]
const four = [...three, "max"]
const five = [...three, "xhigh", "max"]

const able = (effort: ReadonlyArray<string>, thinking: ReadonlyArray<string>): Capabilities => ({
  structuredOutputs: true,
  prefill: false,
  images: true,
  pdfs: true,
  effort,
  thinking,
  fast: false
})
const always = able(five, ["adaptive"])
const optional = able(five, ["adaptive", "disabled"])
const transitional = able(four, ["adaptive", "enabled", "disabled"])
const manual = (effort: ReadonlyArray<string>): Capabilities => ({
  ...able(effort, ["enabled", "disabled"]),
  prefill: true
})

/**
 * A cache write for five minutes costs 1.25 times the input price, and for an hour twice the input price. A cache read
 * costs the input price divided by `cheaper`.
 */
const prices = (input: number, output: number, cheaper = 10): Prices => ({
  input,
  output,
  cacheWrite: input * 1.25,
  cacheWriteHour: input * 2,
  cacheRead: input / cheaper
})

const fable5: Model = {
  ...large,
  id: "claude-fable-5",
  line: "fable",
  // forcedTools is missing: reports disagree (github.com/pydantic/pydantic-ai/issues/5911).
  capabilities: always,
  prices: prices(10, 50),
  source: `${docs}/models/fable-5/overview`
}
const fable51: Model = {
  ...large,
  id: "claude-fable-5-1",
  line: "fable",
  capabilities: { ...always, forcedTools: false },
  prices: prices(10, 50, 40),
  source: `${docs}/models/fable-5-1/overview`
}
// Cache prices, effort levels and forced tools are from third parties that cite Anthropic's pages.
const fable52: Model = {
  ...large,
  id: "claude-fable-5-2",
  line: "fable",
  capabilities: { ...always, forcedTools: false, fast: true },
  prices: prices(8, 40, 40),
  source: `${docs}/models/fable-5-2/whats-new-fable-5-2, ${docs}/models/overview, ` +
    "https://github.com/archid21/rightsize/releases/tag/v0.10.2, " +
    "https://dev.to/akaranjkar08/claude-fable-52-api-migration-what-breaks-what-it-costs-3gi3, " +
    "https://docs.aws.amazon.com/bedrock/latest/userguide/model-card-anthropic-claude-fable-5-2.md"
}

const opus48: Model = {
  ...large,
  id: "claude-opus-4-8",
  line: "opus",
  capabilities: { ...optional, forcedTools: true },
  prices: prices(5, 25),
  source: `${docs}/about-claude/pricing, ` +
    "https://github.com/anthropics/skills/blob/main/skills/claude-api/shared/models.md"
}

const opus45: Model = {
  ...small,
  id: "claude-opus-4-5",
  line: "opus",
  lifecycle: "deprecated",
  retiresAt: "2027-01-22",
  capabilities: manual(three),
  prices: prices(5, 25),
  source: `${docs}/models/opus-4-5/overview, @anthropic-ai/sdk 1.14.0 (src/internal/data/deprecated-models.ts)`
}
const sonnet45: Model = {
  ...small,
  id: "claude-sonnet-4-5",
  line: "sonnet",
  lifecycle: "retired",
  deprecatedAt: "2026-09-30",
  retiresAt: "2026-11-30",
  capabilities: manual([]),
  prices: prices(3, 15),
  source: `${docs}/models/sonnet-4-5/overview`
}
const haiku45: Model = {
  ...small,
  id: "claude-haiku-4-5",
  line: "haiku",
  capabilities: manual([]),
  prices: prices(1, 5),
  source: `${docs}/models/haiku-4-5/overview`
}

/** Newest first, as the SDK lists them. */
export const known: ReadonlyArray<Model> = [
  fable52,
  {
    ...fable52,
    id: "claude-mythos-5-2",
    line: "mythos",
    source: `${fable52.source}, https://docs.apiyi.com/news/claude-fable-5-2-launch.md`
  },
  {
    ...large,
    id: "claude-haiku-5-5",
    line: "haiku",
    capabilities: optional,
    prices: { ...prices(0.1, 0.5), long: { above: 100_000, times: 5 } },
    source: `${docs}/models/haiku-5-5/overview`
  },
  {
    ...large,
    id: "claude-sonnet-5-5",
    line: "sonnet",
    capabilities: { ...able(five, ["adaptive", "between_tools"]), forcedTools: false },
    prices: prices(2, 10, 20),
    source: `${docs}/models/sonnet-5-5/overview`
  },
  fable51,
  {
    ...large,
    id: "claude-opus-5-5",
    line: "opus",
    capabilities: { ...always, forcedTools: false, fast: true },
    prices: prices(4, 20, 20),
    source: `${docs}/models/opus-5-5/overview`
  },
  { ...fable51, id: "claude-mythos-5-1", line: "mythos", source: `${docs}/models/mythos-5-1/overview` },
  {
    ...large,
    id: "claude-sonnet-5",
    line: "sonnet",
    capabilities: { ...optional, forcedTools: true },
    prices: prices(2, 10),
    source: `${docs}/models/sonnet-5/overview`
  },
  fable5,
  { ...fable5, id: "claude-mythos-5", line: "mythos", source: `${docs}/models/mythos-5/overview` },
  {
    ...large,
    id: "claude-opus-5",
    line: "opus",
    capabilities: { ...optional, forcedTools: true, fast: true },
    prices: prices(5, 25),
    source: `${docs}/models/opus-5/overview`
  },
  opus48,
  { ...opus48, id: "claude-opus-4-7", capabilities: optional },
  {
    id: "claude-mythos-preview",
    lifecycle: "deprecated",
    deprecatedAt: "2026-06-09",
    // From the SDK; the deprecations page no longer has a date.
    retiresAt: "2026-06-30",
    contextWindow: 1_000_000,
    capabilities: {
      structuredOutputs: true,
      prefill: false,
      images: true,
      effort: four,
      thinking: ["adaptive", "enabled"]
    },
    prices: prices(25, 125),
    source: "https://www.anthropic.com/glasswing, @anthropic-ai/sdk 1.14.0 (src/internal/data/deprecated-models.ts)",
    asOf
  },
  { ...opus48, id: "claude-opus-4-6", capabilities: transitional },
  {
    ...large,
    id: "claude-sonnet-4-6",
    line: "sonnet",
    capabilities: transitional,
    prices: prices(3, 15),
    source: `${docs}/models/sonnet-4-6/overview`
  },
  haiku45,
  { ...haiku45, id: "claude-haiku-4-5-20251001" },
  opus45,
  { ...opus45, id: "claude-opus-4-5-20251101" },
  sonnet45,
  { ...sonnet45, id: "claude-sonnet-4-5-20250929" }
]
