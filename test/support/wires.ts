/** The ways to reach a server over real sockets. */
import { Anthropic as Sdk } from "@anthropic-ai/sdk"
import type { Layer } from "effect"
import { Anthropic, type Claude } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"

const apiKey = "sk-ant-test"

/** Each wire by name, with its layer for the URL of a server. */
export const wires: ReadonlyArray<readonly [name: string, layer: (url: string) => Layer.Layer<Claude.Claude>]> = [
  ["NodeAnthropic", (baseUrl) => NodeAnthropic.layer({ apiKey, baseUrl })],
  ["Anthropic", (baseUrl) => Anthropic.layer({ apiKey, baseUrl })],
  ["an SDK client", (baseURL) => Anthropic.layer({ client: new Sdk({ apiKey, baseURL }) })]
]
