#!/usr/bin/env node
/**
 * `fake-claude`: the fake server from the command line, for clients in any language.
 *
 * This module runs when loaded, so no other module may import it.
 */
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { parseArgs } from "node:util"
import * as FakeServer from "./FakeServer.ts"
import * as Faults from "./Faults.ts"

// -----------------------------------------------------------------------------
// Scripts
// -----------------------------------------------------------------------------

const answer = Faults.answer("The capital of France is Paris, and it has been so for a very long time.")

/** The rates add up to one request in five. */
const mixed: ReadonlyArray<readonly [rate: number, turn: Faults.Turn]> = [
  [0.05, Faults.overloaded],
  [0.04, Faults.rateLimited("1 second")],
  [0.03, Faults.serverError],
  [0.02, Faults.html(502)],
  [0.02, Faults.reset],
  [0.02, Faults.breaks("The capital of ")],
  [0.02, Faults.errorAfter("The capital of ")]
]

const everything: ReadonlyArray<Faults.Turn> = [
  answer,
  Faults.drip(answer, 40, "100 millis"),
  Faults.lingers("Paris."),
  Faults.refusal("I cannot ", "cyber"),
  Faults.maxTokens("The capital of "),
  Faults.emptyAnswer,
  Faults.overloaded,
  Faults.rateLimited("2 seconds"),
  Faults.rateLimited("1 second", { ramp: true }),
  Faults.spendLimited,
  Faults.ownSpendLimit,
  Faults.serverError,
  Faults.gatewayTimeout,
  Faults.unauthorized,
  Faults.billing,
  Faults.forbidden,
  Faults.notFound,
  Faults.tooLarge,
  Faults.promptTooLong,
  Faults.html(502),
  Faults.html(200),
  Faults.reset,
  Faults.hangUp,
  Faults.silence,
  Faults.garbage,
  Faults.breaks("The capital of "),
  Faults.breaks("The capital of ", "reset"),
  Faults.breaks("The capital of ", "silence"),
  Faults.errorAfter("The capital of "),
  Faults.errorAfter(""),
  Faults.pings(),
  Faults.pings("The capital of ")
]

interface Script {
  readonly about: string
  readonly play: (seed: string) => Faults.Script
}

const scripts: Readonly<Record<string, Script>> = {
  healthy: { about: "always answers", play: () => Faults.cycle(answer) },
  outage: {
    about: "529, 429 with retry-after, a reset and a cut stream, then answers",
    play: () =>
      Faults.untilLast(
        Faults.overloaded,
        Faults.rateLimited("2 seconds"),
        Faults.reset,
        Faults.breaks("The capital of "),
        answer
      )
  },
  flaky: {
    about: "answers, but one request in five fails in one of seven ways",
    play: (seed) => Faults.random({ seed, faults: mixed, otherwise: answer })
  },
  overloaded: { about: "always 529", play: () => Faults.cycle(Faults.overloaded) },
  slow: {
    about: "answers slowly, in about half a minute",
    play: () => Faults.cycle(Faults.drip(answer, 16, "200 millis"))
  },
  stall: {
    about: "begins every answer, then sends nothing more",
    play: () => Faults.cycle(Faults.breaks("The capital of ", "silence"))
  },
  chaos: {
    about: `answers or fails in ${everything.length} ways, with equal probability`,
    play: (seed) =>
      Faults.random({ seed, faults: everything.map((turn) => [1 / everything.length, turn]), otherwise: answer })
  }
}

const help = `fake-claude: a server that fails the way the Claude API does.

Usage: fake-claude [--port N] [--host H] [--script NAME] [--seed S]

  --port N       the port to listen on; 0 is any free port (default: 8529)
  --host H       the address to listen on (default: 127.0.0.1)
  --script NAME  the script to play (default: healthy)
  --seed S       the seed of random scripts: the same seed gives the same faults (default: 1)
  --help         this help

Scripts:
${Object.entries(scripts).map(([name, { about }]) => `  ${name.padEnd(13)}${about}`).join("\n")}

Point a client at the URL it prints; any key will do:
  ANTHROPIC_BASE_URL=http://127.0.0.1:8529 ANTHROPIC_API_KEY=any

Requests that the API would refuse as malformed are refused without using up a turn.`

// -----------------------------------------------------------------------------
// Command
// -----------------------------------------------------------------------------

class Misused extends Data.TaggedError("Misused")<{ readonly message: string }> {}

const misused = (what: string) => new Misused({ message: `${what} Try fake-claude --help.` })

const main = Effect.gen(function*() {
  const { values } = yield* Effect.try({
    try: () =>
      parseArgs({
        options: {
          help: { type: "boolean", short: "h", default: false },
          host: { type: "string", default: "127.0.0.1" },
          port: { type: "string", default: "8529" },
          script: { type: "string", default: "healthy" },
          seed: { type: "string", default: "1" }
        }
      }),
    // Keep only the first sentence of Node's long message.
    catch: (error) => misused(`${String(error instanceof Error ? error.message : error).split(/\.\s|\n/)[0]}.`)
  })
  if (values.help) return yield* Console.log(help)
  const port = /^\d{1,5}$/.test(values.port) ? Number(values.port) : Infinity
  if (port > 65_535) {
    return yield* misused(`--port is ${JSON.stringify(values.port)}: it must be a number from 0 to 65535.`)
  }
  const script = Object.hasOwn(scripts, values.script) ? scripts[values.script] : undefined
  if (script === undefined) {
    return yield* misused(
      `There is no script ${JSON.stringify(values.script)}, only ${Object.keys(scripts).join(", ")}.`
    )
  }
  const server = FakeServer.layer(script.play(values.seed), {
    port,
    host: values.host,
    onRequest: ({ at, method, path }, turn) =>
      Console.log(`${DateTime.formatIso(DateTime.makeUnsafe(at)).slice(11)} ${method} ${path} ${turn}`)
  })
  return yield* Effect.andThen(
    FakeServer.FakeServer,
    ({ url }) => Effect.andThen(Console.log(`fake-claude plays ${values.script} on ${url}`), Effect.never)
  ).pipe(Effect.provide(server))
})

const run = Runtime.makeRunMain(({ fiber }) => {
  const stop = () => fiber.interruptUnsafe()
  process.once("SIGINT", stop)
  process.once("SIGTERM", stop)
  fiber.addObserver((exit) => {
    if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) process.exitCode = 1
  })
})

run(Effect.catch(main, ({ message }) =>
  Effect.andThen(
    Console.error(`fake-claude: ${message}`),
    Effect.sync(() => {
      process.exitCode = 1
    })
  )))
