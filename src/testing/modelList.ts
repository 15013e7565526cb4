import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"
import { known } from "../models/known.ts"

/**
 * The models that the fakes list by default: the built-in catalogue. `capabilities` is null, so `Models.refresh` keeps
 * the capabilities that the catalogue already has.
 */
export const listed: ReadonlyArray<ModelInfo> = known.map((model) => ({
  type: "model",
  id: model.id,
  capabilities: null,
  created_at: "2026-01-01T00:00:00Z",
  deprecated_at: model.deprecatedAt ?? null,
  display_name: model.id,
  lifecycle: model.lifecycle,
  line: null,
  max_input_tokens: model.contextWindow ?? null,
  max_tokens: model.maxOutput ?? null,
  retires_at: model.retiresAt ?? null
}))
