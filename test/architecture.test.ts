/** The layering, as a test: who may import whom. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const src = path.resolve(import.meta.dirname, "../src")

// Bottom to top. A file may only import files that stand before it.
const layers = [
  [
    "internal/errorFields",
    "ClaudeError",
    "internal/errorOf",
    "internal/history",
    "internal/catalogue",
    "internal/models",
    "Current",
    "Message",
    "internal/jsonLines",
    "internal/severity",
    "CallLog",
    "internal/atNow",
    "internal/emit"
  ],
  [
    "internal/refuse",
    "internal/local",
    "internal/patience",
    "internal/answerStore",
    "internal/otherModel",
    "internal/joins",
    "internal/plan",
    "internal/traced",
    "internal/queued",
    "internal/attemptNumber",
    "internal/within",
    "internal/deadline",
    "internal/errorWords",
    "internal/classify",
    "internal/sse",
    "internal/head",
    "internal/draft",
    "internal/json",
    "internal/output",
    "internal/tools",
    "internal/shapeRule",
    "internal/shapeBlocks",
    "internal/bounds",
    "internal/content",
    "internal/prefixes",
    "internal/estimate",
    "internal/silence",
    "internal/adapt",
    "internal/joined",
    "internal/ending",
    "internal/unfinished"
  ],
  [
    "internal/connection",
    "internal/response",
    "internal/watchdog",
    "internal/accumulator",
    "internal/attempt",
    "internal/accept",
    "internal/request",
    "internal/collect",
    "internal/resuming",
    "internal/reading"
  ],
  [
    "Claude",
    "internal/here",
    "internal/errorBody",
    "internal/sdk",
    "internal/contentEncoding",
    "internal/undiciFetch",
    "internal/ambientFetch",
    "Models",
    "Tool"
  ],
  ["Anthropic", "NodeAnthropic"],
  [
    "internal/shapeLoop",
    "internal/shapeMedia",
    "internal/shapeMessages",
    "internal/shapeParameters",
    "internal/shapeSchema",
    "internal/shapeSize",
    "internal/shapeTools",
    "internal/shape",
    "policy/Validate",
    "internal/validating"
  ],
  [
    "internal/charged",
    "internal/inTime",
    "internal/waits",
    "policy/Retry",
    "policy/Timeout",
    "internal/worth",
    "internal/notices",
    "internal/modelFallback",
    "internal/digest",
    "internal/heard",
    "internal/lastGood",
    "policy/Fallback",
    "PersistedAnswers",
    "internal/policyRecord",
    "internal/compile",
    "internal/describe",
    "internal/retryState",
    "internal/callState",
    "internal/retry",
    "internal/continuation",
    "internal/run"
  ],
  ["policy/Policy"],
  [
    "internal/amounts",
    "internal/steady",
    "internal/line",
    "internal/forgetAfter",
    "internal/priority",
    "internal/turnstile",
    "internal/ramp",
    "internal/circuitWindow",
    "internal/circuitState",
    "internal/circuitMachine",
    "internal/circuitEnds",
    "internal/circuitStore",
    "guard/Guard",
    "internal/circuitLine",
    "internal/circuits",
    "internal/circuitLease",
    "guard/Circuit",
    "internal/quotaStore",
    "guard/Quota",
    "internal/limits",
    "internal/admissionEnds",
    "internal/ticket",
    "internal/pause",
    "internal/brake",
    "internal/meter",
    "internal/admissionSettings",
    "internal/aimd",
    "internal/pace",
    "internal/queue",
    "guard/Admission",
    "internal/bucket",
    "internal/bucketLease",
    "internal/idle",
    "guard/RetryBudget",
    "internal/measure",
    "internal/monitorEnds",
    "guard/Monitor",
    "internal/guardStores",
    "internal/guardsRecord",
    "internal/guardsConfig",
    "internal/guardsDescribe",
    "internal/queues",
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
  ["guard/", "policy/"],
  ["guard/", "Anthropic"],
  ["index", "testing/"],
  ["index", "NodeAnthropic"],
  ["index", "PersistedAnswers"],
  ["internal/run", "Anthropic"]
] as const

// The only files that may name these packages, except as types.
const owners: ReadonlyArray<readonly [RegExp, ReadonlyArray<string>]> = [
  [/^@anthropic-ai\/sdk/, ["internal/sdk"]],
  [/^undici/, ["NodeAnthropic", "internal/undiciFetch", "internal/ambientFetch"]],
  [/^node:/, ["internal/contentEncoding", "testing/FakeServer", "testing/cli"]],
  [/^effect\/ai/, ["internal/output"]],
  [/^effect\/encoding/, ["internal/sse"]],
  [/^effect\/http/, ["internal/classify"]],
  [/^effect\/crypto/, ["internal/digest"]],
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
      "internal/errorBody",
      "internal/sdk",
      "internal/contentEncoding",
      "internal/undiciFetch",
      "internal/ambientFetch",
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
