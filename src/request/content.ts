/**
 * Measures the parts of a request that cost input tokens: characters of text, images, and parts whose tokens the
 * client cannot count. The API caches by prefix. If the request uses the prompt cache, each prefix that ends with a block
 * is therefore measured too, and named by a hash.
 */
import { isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type { Params } from "../Message.ts"
import { isUnread } from "./rules/blocks.ts"

export interface Amounts {
  readonly characters: number
  readonly images: number
  /** Documents sent as a file, URL or PDF, and results of server tools: the client cannot read their text. */
  readonly documents: number
  /** Server tools, such as web search. Their results cost input tokens too. */
  readonly serverTools: number
}

export interface Content extends Amounts {
  /** One prefix for each block; empty if the request does not use the cache. */
  readonly prefixes: ReadonlyArray<Prefix>
  /** The longest prefix marked with `cache_control`. */
  readonly cached: Prefix | undefined
  /** How long the API caches the prefix `cached`, in milliseconds. */
  readonly keptFor: number
}

/** The request up to the end of a block; `name` is its hash. */
export interface Prefix extends Amounts {
  readonly name: number
}

/**
 * In milliseconds from the last use: five minutes, or an hour. Source:
 * platform.claude.com/docs/en/build-with-claude/prompt-caching.
 */
const [usualTtl, longTtl] = [300_000, 3_600_000]

/** Bounds the recursion. Text that is nested deeper is not counted. */
const maxDepth = 20

export const of = (params: Params): Content => {
  const counter = new Counter()
  const tools: ReadonlyArray<unknown> = Array.isArray(params.tools) ? params.tools : []
  counter.serverTools = tools.filter(isServerTool).length
  for (const block of blocksOf(params)) counter.text(block, 0)
  if (!counter.isCached && !isObject(params.cache_control)) return { ...counter.amounts(), ...uncached }
  return { ...counter.amounts(), ...prefixesOf(params, counter.amounts().serverTools) }
}

const uncached = { prefixes: [], cached: undefined, keptFor: usualTtl }

/** In the order in which the API reads and caches them. All tools together are one block. */
const blocksOf = ({ messages, system, tools }: Params): ReadonlyArray<unknown> => [
  ...tools === undefined ? [] : [tools],
  ...listOf(system),
  ...Array.isArray(messages) ? messages.flatMap((message) => isObject(message) ? listOf(message.content) : []) : []
]

const listOf = (content: unknown): ReadonlyArray<unknown> =>
  content === undefined ? [] : Array.isArray(content) ? content : [content]

const prefixesOf = (params: Params, serverTools: number) => {
  const counter = new Counter()
  counter.serverTools = serverTools
  let name = 0
  let cached: Prefix | undefined
  let marks = 0
  const prefixes = blocksOf(params).map((block) => {
    name = hash(written(block), name)
    counter.text(block, 0)
    const prefix = { ...counter.amounts(), name }
    if (counter.marks > marks) cached = prefix
    marks = counter.marks
    return prefix
  })
  const isLong = counter.isLong || isObject(params.cache_control) && params.cache_control.ttl === "1h"
  return {
    prefixes,
    // With a top-level `cache_control`, the API caches up to the last block.
    cached: isObject(params.cache_control) ? prefixes.at(-1) : cached,
    keptFor: isLong ? longTtl : usualTtl
  }
}

/** Empty if the block cannot be written as JSON: sending the request then fails. */
const written = (block: unknown): string =>
  Result.getOrElse(Result.try(() => JSON.stringify(block, unmarked) ?? ""), () => "")

/** Leaves out `cache_control`: it is not part of the cached content, so it must not change the hash. */
const unmarked = (key: string, value: unknown): unknown => key === "cache_control" ? undefined : value

/** Two 32-bit FNV-1a style hashes combined into 53 bits; `before` is the hash of the preceding prefix. */
const hash = (text: string, before: number): number => {
  let [a, b] = [0x811c9dc5 ^ before, 0x9747b28c ^ before]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x85ebca6b)
  }
  return (a >>> 0) * 0x200000 + ((b >>> 0) & 0x1fffff)
}

class Counter {
  characters = 0
  images = 0
  documents = 0
  serverTools = 0
  /** The number of blocks with `cache_control`. */
  marks = 0
  isLong = false

  get isCached(): boolean {
    return this.marks > 0
  }

  amounts(): Amounts {
    const { characters, documents, images, serverTools } = this
    return { characters, documents, images, serverTools }
  }

  text(value: unknown, depth: number): void {
    if (isString(value)) this.characters += value.length
    else if (depth <= maxDepth && typeof value === "object" && value !== null) {
      this.characters++
      if (Array.isArray(value)) { for (const item of value) this.text(item, depth + 1) }
      else if (isObject(value)) this.block(value, depth)
    }
  }

  block(value: { readonly [key: string]: unknown }, depth: number): void {
    const { cache_control, source, type } = value
    if (isObject(cache_control)) {
      this.marks++
      this.isLong ||= cache_control.ttl === "1h"
    }
    if (type === "image") this.images++
    else if (isUncountable(type, source)) this.documents++
    else if (!isUnread(value)) {
      for (const key in value) {
        if (key !== "cache_control" && !key.startsWith("encrypted_")) this.text(value[key], depth + 1)
      }
    }
  }
}

const isUncountable = (type: unknown, source: unknown): boolean =>
  isString(type) && opaque.test(type) || type === "document" && isObject(source) && sources.has(source.type)

const opaque = /^(container_upload|web_search_tool_result|web_fetch_tool_result|.*code_execution_tool_result)$/

const sources: ReadonlySet<unknown> = new Set(["file", "url", "base64"])

/**
 * Whether the API runs this tool. The caller runs tools without a `type` or of type `custom`, and some tools that the
 * API defines.
 */
const isServerTool = (tool: unknown): boolean => isObject(tool) && isString(tool.type) && serverTools.test(tool.type)

const serverTools = /^(web_search|web_fetch|code_execution|mcp_toolset|advisor)/
