import type { ContentBlock } from "@anthropic-ai/sdk/resources/messages"
import * as Duration from "effect/Duration"
import { isNumber, isObject } from "effect/Predicate"
import type { Cost, Reply, Usage } from "../Message.ts"
import * as Tools from "../output/toolInput.ts"
import { textOf } from "./draft.ts"

export const joined = (before: Reply, reply: Reply, content: Array<ContentBlock>): Reply => {
  // Safe cast: the sum has every field of both usages.
  const usage = add(before.usage, reply.usage) as Usage
  const container = reply.message.container ?? before.message.container
  return {
    ...reply,
    message: { ...reply.message, container, content, usage },
    text: textOf(content),
    usage,
    cost: sumOf(before.cost, reply.cost),
    toolUses: [...before.toolUses, ...reply.toolUses].filter(({ id }) =>
      content.some((block) => block.type === "tool_use" && block.id === id)
    ),
    serverToolErrors: Tools.serverErrors(content),
    timeToFirstToken: before.timeToFirstToken,
    duration: Duration.sum(before.duration, reply.duration)
  }
}

/** Bounds the recursion: below this depth, the later value wins. The usage of the API has two levels. */
const maxDepth = 20

/** Adds the numbers of two values, also in nested objects, and appends lists. Other values: `b`, or `a` if `b` is null. */
export const add = (a: unknown, b: unknown, depth = 0): unknown => {
  if (isNumber(a) && isNumber(b)) return a + b
  if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b]
  if (!isObject(a) || !isObject(b) || depth === maxDepth) return b ?? a
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  return Object.fromEntries([...keys].map((key) => [key, add(a[key], b[key], depth + 1)]))
}

const sumOf = (a: Cost | undefined, b: Cost | undefined): Cost | undefined =>
  a === undefined && b === undefined
    ? undefined
    : {
      dollars: (a?.dollars ?? 0) + (b?.dollars ?? 0),
      atLeast: a?.atLeast !== false || b?.atLeast !== false
    }
