/** Models in the format of the API's list. */
import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"

/** A model of which the API sends only the id. */
export const info = (id: string, changes: Partial<ModelInfo> = {}): ModelInfo => ({
  type: "model",
  id,
  display_name: id,
  created_at: "2026-01-01T00:00:00Z",
  lifecycle: "active",
  line: null,
  deprecated_at: null,
  retires_at: null,
  max_input_tokens: null,
  max_tokens: null,
  capabilities: null,
  ...changes
})
