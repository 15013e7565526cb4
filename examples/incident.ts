/**
 * The main job (`npm start`): asks one question during an incident, and prints each event.
 *
 * With ANTHROPIC_API_KEY it asks the real API. Without it, a server inside this process plays an outage: a 529, a 429 with
 * `retry-after`, a connection reset, a stream that breaks half-way, and then an answer.
 */
import { Clock, Config, Console, Context, Duration, Effect, Layer, Stream } from "effect"
import { parseArgs } from "node:util"
import { CallLog, Claude, ClaudeError, Fallback, Policy, Retry, Timeout } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"
import { FakeServer, Faults } from "resilient-claude/testing"

// -----------------------------------------------------------------------------
// The policy
// -----------------------------------------------------------------------------

const soon = Retry.backoff({ times: 3, base: "500 millis", cap: "2 seconds" })

export const policy = {
  overall: "18 seconds",
  retry: {
    Overloaded: soon,
    RateLimited: soon,
    ServerFault: soon,
    Unreachable: soon,
    PartialAnswer: soon,
    TimedOut: soon
  },
  maxRetries: 5,
  firstToken: "10 seconds",
  onBreak: "restart"
} as const satisfies Policy.Policy

// -----------------------------------------------------------------------------
// The incident
// -----------------------------------------------------------------------------

const answer =
  "A call survives when every way it can fail has a name, every name has a rule, and every rule has an end. "
  + "Wait when the server says so, ask again when that can help, and tell the reader when it cannot."

export const outage = Faults.sequence(
  Faults.overloaded,
  Faults.rateLimited("1 second"),
  Faults.reset,
  Faults.breaks(answer.slice(0, 66), "cut", { every: "40 millis" }),
  Faults.answer(answer, { every: "40 millis" })
)

// -----------------------------------------------------------------------------
// The report
// -----------------------------------------------------------------------------

const colours = process.stdout.isTTY && process.env["NO_COLOR"] === undefined
const paint = (code: number) => (text: string) => colours ? `\x1b[${code}m${text}\x1b[0m` : text
const [bold, dim, red, green, yellow] = [paint(1), paint(2), paint(31), paint(32), paint(33)]

const seconds = (duration: Duration.Duration) => `${Duration.toSeconds(duration).toFixed(2)}s`

/** The numbers for the summary. */
interface Tally {
  readonly attempts: Array<string>
  readonly waits: Array<Duration.Duration>
  readonly requestIds: Array<string>
}

class Report
  extends Context.Service<Report, { readonly tally: Tally; readonly write: (text: string) => Effect.Effect<void> }>()(
    "examples/incident/Report"
  )
{}

/** A custom `CallLog` that prints each event, and counts for the summary. */
const ReportLive = Layer.effectContext(Effect.gen(function*() {
  const start = yield* Clock.currentTimeMillis
  const tally: Tally = { attempts: [], waits: [], requestIds: [] }
  let inText = false
  const write = (text: string) =>
    Effect.sync(() => {
      inText = true
      process.stdout.write(text)
    })
  const line = (at: number, what: string) =>
    Effect.suspend(() => {
      const before = inText ? "\n" : ""
      inText = false
      return Console.log(`${before}${dim(`${((at - start) / 1000).toFixed(2).padStart(6)}s`)}  ${what}`)
    })

  const emit = (event: CallLog.Event): Effect.Effect<void> => {
    switch (event._tag) {
      case "AttemptStarted":
        return line(event.at, `attempt ${event.attempt}: asking ${event.model}`)
      case "AttemptFailed": {
        tally.attempts.push(event.error._tag)
        if (event.requestId ?? event.error.requestId) {
          tally.requestIds.push(event.requestId ?? event.error.requestId ?? "")
        }
        return line(
          event.at,
          `${red(`attempt ${event.attempt} failed: ${event.error._tag}`)}  ${dim(event.error.message)}`
        )
      }
      case "AttemptSucceeded":
        tally.attempts.push("answered")
        if (event.requestId !== undefined) tally.requestIds.push(event.requestId)
        return line(event.at, green(`attempt ${event.attempt} answered`))
      case "RetryScheduled": {
        tally.waits.push(event.wait)
        const hint = ClaudeError.retryAfter(event.error)
        const reason = hint === undefined
          ? "our backoff, with jitter"
          : `the server asked for ${seconds(hint)}, plus jitter`
        return line(event.at, yellow(`waiting ${seconds(event.wait)}: ${reason}`))
      }
      case "Restarted":
        return line(event.at, yellow("the answer so far is discarded: asking again"))
      case "Warning":
        return line(event.at, yellow(event.message))
      case "GaveUp":
        return line(event.at, red(`gave up: ${event.reason}`))
      default:
        return Effect.void
    }
  }
  return Context.make(Report, { tally, write }).pipe(Context.add(CallLog.CallLog, { emit }))
}))

// -----------------------------------------------------------------------------
// The program
// -----------------------------------------------------------------------------

const row = (name: string, what: string) => Console.log(`  ${bold(name.padEnd(10))}${what}`)

/** Asks, prints the answer as it arrives, and prints a summary. Succeeds with `true` if there was an answer. */
export const program = (question: string, wire: string) =>
  Effect.gen(function*() {
    const { tally, write } = yield* Report
    yield* Console.log(bold("resilient-claude: one question through an incident\n"))
    yield* row("question", question)
    yield* row("wire", wire)
    yield* Console.log(`\n${bold("The policy")}`)
    yield* Console.log(Policy.describe(policy).replaceAll(/^/gm, "  "))
    yield* Console.log(`\n${bold("What happens")}`)

    // The policy limits each opening of the stream; this limit includes the reading.
    const asked = Claude.events(question, { max_tokens: 300 }).pipe(
      Policy.applyStream(policy),
      Stream.runForEach((event) =>
        event.type === "content_block_delta" && event.delta.type === "text_delta"
          ? write(event.delta.text)
          : Effect.void
      ),
      Timeout.overall("19 seconds"),
      Policy.outcome
    )
    const [took, outcome] = yield* Effect.timed(asked)

    yield* Console.log(`\n${bold("Summary")}`)
    yield* row("result", outcome.status === "success" ? green("answered") : red(Fallback.toNotice(outcome.error).text))
    yield* row("attempts", `${tally.attempts.length}: ${tally.attempts.join(", ")}`)
    yield* row("waits", `${tally.waits.length}, ${seconds(tally.waits.reduce(Duration.sum, Duration.zero))} in all`)
    yield* row("tokens", `at least ${outcome.tokens.input} in, ${outcome.tokens.output} out, failed attempts included`)
    const { dollars } = outcome.cost
    yield* row("cost", dollars === 0 ? "unknown" : `at least $${dollars.toFixed(5)}`)
    yield* row("requests", tally.requestIds.join(", "))
    yield* row("took", seconds(took))
    return outcome.status === "success"
  })

/** Asks the real API, configured by the environment. */
const real = (question: string) =>
  program(question, "the Claude API, with ANTHROPIC_API_KEY").pipe(
    Effect.provide(Layer.provideMerge(NodeAnthropic.layerConfig(), ReportLive))
  )

/** Asks a server inside this process, which plays the outage. */
export const fake = (question: string, port: number) =>
  Effect.flatMap(
    FakeServer.FakeServer,
    ({ url }) =>
      program(question, `a fake server at ${url}, because ANTHROPIC_API_KEY is not set`).pipe(
        Effect.provide(Layer.provideMerge(NodeAnthropic.layer({ apiKey: "none", baseUrl: url }), ReportLive))
      )
  ).pipe(Effect.provide(FakeServer.layer(outage, { port })))

// -----------------------------------------------------------------------------
// The command line
// -----------------------------------------------------------------------------

const help = `Asks Claude one question through an incident, and prints what happens.

  npm start                          a fake server plays an outage
  npm start -- "Your question"       the same, with your question
  ANTHROPIC_API_KEY=… npm start      asks the real API

  --port N    where the fake server listens (any free port)
  --help      this text`

class Usage extends Error {}

const main = async () => {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { help: { type: "boolean" }, port: { type: "string", default: "0" } }
  })
  if (values.help === true) return console.log(help)
  const port = Number(values.port)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new Usage(`--port is ${values.port}: it must be a whole number from 0 to 65535`)
  }
  const question = positionals.join(" ").trim() || "What makes a call survive?"
  const asked: Effect.Effect<boolean, Error | Config.ConfigError> = process.env["ANTHROPIC_API_KEY"]
    ? real(question)
    : fake(question, port)
  process.exitCode = await Effect.runPromise(asked) ? 0 : 1
}

if (import.meta.main) {
  await main().catch((error: unknown) => {
    const what = error instanceof Error || error instanceof Config.ConfigError ? error.message : String(error)
    console.error(`incident: ${what.replaceAll(/\s+/g, " ")} (--help explains)`)
    process.exitCode = 2
  })
}
