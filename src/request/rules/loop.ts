/**
 * The rule of the tool loop: every `tool_use` of an assistant's turn has a `tool_result` in the next user turn.
 *
 * Consecutive messages of one role are one turn, because the API merges them. A system message does not end a turn.
 */
import { isNullish, isObject, isString } from "effect/Predicate"
import type { Issue } from "../../ClaudeError.ts"
import { hasBlocks } from "./blocks.ts"
import { at, each, field, type Given, issue, type Issues, none, type Path, type Rule, show } from "./rule.ts"

interface Turn {
  /** The path of each `tool_use`, by its id. */
  readonly asked: Map<string, Path>
  /** The ids that have a `tool_result`. */
  readonly answered: Set<string>
  /** The ids of `server_tool_use` blocks. */
  readonly served: Set<string>
}

const begin = (): Turn => ({ asked: new Map(), answered: new Set(), served: new Set() })

const loop = (given: Given): Issues => hasBlocks(given) ? inBlocks(given) : none

const inBlocks = ({ messages, thread }: Given): Issues => {
  if (!Array.isArray(messages)) return none
  const found: Array<Issue> = []
  const report = (path: Path, message: string) => void found.push({ path: ["messages", ...path], message })
  let speaker: unknown
  let turn: Turn | undefined

  const end = () => {
    for (const [id, path] of turn?.asked ?? []) {
      if (turn?.answered.has(id) === true) continue
      report(path, `the tool_use ${show(id)} has no tool_result: answer it in the next user message`)
    }
    turn = undefined
  }
  const ask = (id: unknown, path: Path) => {
    if (!isString(id)) {
      return report([...path, "id"], `the id of a tool_use is ${show(id)}: send the block back unchanged`)
    }
    turn ??= begin()
    if (turn.asked.has(id)) return report([...path, "id"], `two tool_use blocks have the id ${show(id)}: remove one`)
    turn.asked.set(id, path)
  }
  const answer = (id: unknown, path: Path) => {
    if (!isString(id)) {
      return report([...path, "tool_use_id"], `the tool_use_id is ${show(id)}: it must be the id of the tool_use`)
    }
    const problem = turn?.served.has(id) === true
      ? "belongs to a server_tool_use, which the API answers itself: remove the tool_result"
      : turn?.answered.has(id) === true
      ? "has a tool_result already: remove one"
      : turn?.asked.has(id) === true || !isNullish(thread) // The server has the earlier messages of a thread.
      ? undefined
      : "matches no tool_use in the previous assistant turn: add that turn, or remove the tool_result"
    if (problem === undefined) turn?.answered.add(id)
    else report([...path, "tool_use_id"], `the tool_use_id ${show(id)} ${problem}`)
  }

  for (let i = 0; i < messages.length; i++) {
    const role = field(messages[i], "role")
    if (role !== "user" && role !== "assistant") continue
    if (role === "assistant" && speaker === "user") end()
    speaker = role
    const content = field(messages[i], "content")
    if (!Array.isArray(content)) continue
    for (let j = 0; j < content.length; j++) {
      const block: unknown = content[j]
      if (!isObject(block)) continue
      const { id, tool_use_id, type } = block
      if (type === "tool_result") {
        if (role === "user") answer(tool_use_id, [i, "content", j])
        else report([i, "content", j], "a tool_result is in an assistant message: move it to the next user message")
      } else if (role === "assistant") {
        if (type === "tool_use") ask(id, [i, "content", j])
        if (type === "server_tool_use" && isString(id)) (turn ??= begin()).served.add(id)
      }
    }
  }
  end()
  return found.length === 0 ? none : found
}

/** A user turn may have several messages, so `isLate` is reset only by a message of another role. */
const order = ({ messages }: Given): Issues => {
  let isLate = false
  return each(messages, (message) => {
    const content = field(message, "content")
    if (field(message, "role") !== "user") {
      isLate = false
      return none
    }
    if (!Array.isArray(content)) isLate = true
    return at(
      "content",
      each(content, (block) => {
        if (field(block, "type") === "tool_result") return isLate ? late : none
        isLate = true
        return none
      })
    )
  })
}

const late = issue([], "a tool_result comes after other content of its turn: put the tool results first")

export const loopRules: ReadonlyArray<Rule> = [
  {
    name: "every tool_use is answered",
    source:
      "API: `tool_use` ids were found without `tool_result` …, `tool_result` blocks can only be in `user` messages",
    check: loop
  }
]

export const loopLimits: ReadonlyArray<Rule> = [
  {
    name: "tool results come first",
    source: "platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls",
    check: (given) => hasBlocks(given) ? at("messages", order(given)) : none
  }
]
