/** The layering, as a test: who may import whom. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const src = path.resolve(import.meta.dirname, "../src")

// Bottom to top. A file may only import files that stand before it.
const layers = [
  [
    "errorFields",
    "ClaudeError",
    "errorOf",
    "history",
    "models/catalogue",
    "models/known",
    "Current",
    "Message",
    "jsonLines",
    "severity",
    "CallLog",
    "atNow",
    "emit"
  ],
  [
    "options",
    "local",
    "storePatience",
    "answerStore",
    "policy/otherModel",
    "policy/joins",
    "policy/plan",
    "traced",
    "queued",
    "attemptNumber",
    "within",
    "policy/deadline",
    "wire/errorWords",
    "wire/classify",
    "wire/sse",
    "answer/head",
    "answer/draft",
    "output/extractJson",
    "output/codec",
    "output/toolInput",
    "request/rules/rule",
    "request/rules/blocks",
    "request/capabilities",
    "request/content",
    "request/prefixes",
    "request/tokenEstimate",
    "answer/defaultLimits",
    "request/adaptToModel",
    "answer/joinReplies",
    "answer/ending",
    "answer/continuation"
  ],
  [
    "wire/connection",
    "wire/response",
    "answer/watchdog",
    "answer/accumulator",
    "answer/attempt",
    "answer/stopReason",
    "request/build",
    "answer/collect",
    "answer/resume",
    "answer/stream"
  ],
  [
    "Claude",
    "emitHere",
    "wire/errorBody",
    "wire/sdkClient",
    "wire/contentEncoding",
    "wire/undiciFetch",
    "wire/ambientFetch",
    "Models",
    "Tool"
  ],
  ["Anthropic", "NodeAnthropic"],
  [
    "request/rules/loop",
    "request/rules/media",
    "request/rules/messages",
    "request/rules/parameters",
    "request/rules/schema",
    "request/rules/size",
    "request/rules/tools",
    "request/rules/rules",
    "policy/Validate",
    "policy/validateCall"
  ],
  [
    "policy/budget",
    "policy/inTime",
    "policy/waits",
    "policy/Retry",
    "policy/Timeout",
    "policy/decisions",
    "policy/notices",
    "policy/modelFallback",
    "policy/digest",
    "policy/questions",
    "policy/lastGood",
    "policy/Fallback",
    "PersistedAnswers",
    "policy/record",
    "policy/compile",
    "policy/describe",
    "policy/retryState",
    "policy/callState",
    "policy/attempts",
    "policy/continueAnswer",
    "policy/call"
  ],
  ["policy/Policy"],
  [
    "guard/quota/amounts",
    "guard/steadyClock",
    "guard/waitOrder",
    "guard/forgetAfter",
    "guard/priority",
    "guard/waitQueue",
    "guard/ramp",
    "guard/circuit/window",
    "guard/circuit/state",
    "guard/circuit/machine",
    "guard/circuit/verdicts",
    "guard/circuit/store",
    "guard/Guard",
    "guard/circuit/waitLine",
    "guard/circuit/circuits",
    "guard/circuit/lease",
    "guard/circuit/Circuit",
    "guard/quota/store",
    "guard/quota/Quota",
    "guard/quota/knownLimits",
    "guard/admission/signs",
    "guard/admission/ticket",
    "guard/admission/pause",
    "guard/admission/brake",
    "guard/quota/meter",
    "guard/admission/settings",
    "guard/admission/aimd",
    "guard/admission/pace",
    "guard/admission/queue",
    "guard/admission/Admission",
    "guard/budget/bucket",
    "guard/budget/lease",
    "guard/idle",
    "guard/budget/RetryBudget",
    "guard/monitor/slidingRate",
    "guard/monitor/counts",
    "guard/monitor/Monitor",
    "guard/guards/stores",
    "guard/guards/record",
    "guard/guards/config",
    "guard/guards/describe",
    "guard/admission/queues",
    "guard/Guards"
  ],
  ["index"],
  [
    "testing/turn",
    "testing/answers",
    "testing/failures",
    "testing/scripts",
    "testing/Faults",
    "testing/FakeClaude",
    "testing/unable",
    "testing/malformed",
    "testing/FakeServer",
    "testing/cli",
    "testing/simulator/timers",
    "testing/simulator/virtualClock",
    "testing/simulator/chance",
    "testing/simulator/tokens",
    "testing/simulator/buckets",
    "testing/simulator/responses",
    "testing/simulator/behaviour",
    "testing/simulator/provider",
    "testing/simulator/audit",
    "testing/simulator/traffic",
    "testing/simulator/scenario",
    "testing/simulator/recorder",
    "testing/simulator/events",
    "testing/simulator/wire",
    "testing/simulator/contender",
    "testing/simulator/run",
    "testing/Simulator",
    "testing/index"
  ]
].flat()

// Who must not know whom, although one stands above the other.
const strangers = [
  ["policy/", "Anthropic"],
  ["policy/", "guard/"],
  ["guard/", "Anthropic"],
  ["index", "testing/"],
  ["index", "NodeAnthropic"],
  ["index", "PersistedAnswers"],
  ["policy/call", "Anthropic"]
] as const

// The only files that may name these packages, except as types.
const owners: ReadonlyArray<readonly [RegExp, ReadonlyArray<string>]> = [
  [/^@anthropic-ai\/sdk/, ["wire/sdkClient"]],
  [/^undici/, ["NodeAnthropic", "wire/undiciFetch", "wire/ambientFetch"]],
  [/^node:/, ["wire/contentEncoding", "testing/FakeServer", "testing/cli"]],
  [/^effect\/ai/, ["output/codec"]],
  [/^effect\/encoding/, ["wire/sse"]],
  [/^effect\/http/, ["wire/classify"]],
  [/^effect\/crypto/, ["policy/digest"]],
  [/^effect\/persistence/, ["PersistedAnswers"]]
]

const files = fs.readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replace(/\.ts$/, "").replaceAll(path.sep, "/"))

const textOf = (file: string) => fs.readFileSync(path.join(src, `${file}.ts`), "utf8")

const importsOf = (file: string) =>
  [...textOf(file).matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)\.ts"/g)]
    .map(([, specifier]) => path.posix.join(path.posix.dirname(file), specifier ?? ""))

const packagesOf = (file: string) =>
  [...textOf(file).matchAll(/^(?:import|export)\s(?!type\s)(?:[^"]*?from\s*)?"([^."][^"]*)"/gm)].map(([, name]) =>
    name ?? ""
  )

describe("architecture", () => {
  it("every file has a place", () => assert.sameMembers(files, layers))

  for (const file of files) {
    it(`${file} only looks down`, () => {
      for (const imported of importsOf(file)) {
        assert.isBelow(layers.indexOf(imported), layers.indexOf(file), `${file} imports ${imported}`)
        for (const [from, to] of strangers) {
          assert.isFalse(file.startsWith(from) && imported.startsWith(to), `${file} imports ${imported}`)
        }
      }
      for (const name of packagesOf(file)) {
        for (const [pattern, allowed] of owners) {
          assert.isTrue(!pattern.test(name) || allowed.includes(file), `${file} imports ${name}`)
        }
        assert.notStrictEqual(name, "effect", `${file} imports the barrel: import the module`)
      }
    })
  }

  it("time, chance, the console and the environment are reached through services", () => {
    const services = [
      "Anthropic",
      "wire/errorBody",
      "wire/sdkClient",
      "wire/contentEncoding",
      "wire/undiciFetch",
      "wire/ambientFetch",
      "testing/FakeServer",
      "testing/cli"
    ]
    for (const file of files.filter((file) => !services.includes(file))) {
      const code = textOf(file).replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, "")
      assert.notMatch(
        code,
        /Date\.now|new Date\(|Math\.random|setTimeout|setInterval|console\.|process\.|\basync\b|\btry \{/,
        file
      )
    }
  })
})
