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
import * as Result from "effect/Result"
import * as Runtime from "effect/Runtime"
import * as fs from "node:fs/promises"
import { parseArgs } from "node:util"
import * as FakeServer from "./FakeServer.ts"
import * as Faults from "./Faults.ts"
import * as Fitting from "./fitting.ts"
import * as ScriptFile from "./scriptFile.ts"

// -----------------------------------------------------------------------------
// Scripts
// -----------------------------------------------------------------------------

const text = Faults.answer("The capital of France is Paris, and it has been so for a very long time.")

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

const everything = (answer: Faults.Turn): ReadonlyArray<Faults.Turn> => [
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
  /**
   * `answer` is the default answer. It fits the schema of the request, if the request has one and a fitting value can be
   * made. Otherwise it is a text.
   */
  readonly play: (answer: Faults.Turn, seed: string) => Faults.Script
}

const scripts: Readonly<Record<string, Script>> = {
  healthy: { about: "always answers", play: (answer) => Faults.cycle(answer) },
  outage: {
    about: "529, 429 with retry-after, a reset and a cut stream, then answers",
    play: (answer) =>
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
    play: (answer, seed) => Faults.random({ seed, faults: mixed, otherwise: answer })
  },
  overloaded: { about: "always 529", play: () => Faults.cycle(Faults.overloaded) },
  slow: {
    about: "answers slowly, in about half a minute",
    play: (answer) => Faults.cycle(Faults.drip(answer, 16, "200 millis"))
  },
  stall: {
    about: "begins every answer, then sends nothing more",
    play: () => Faults.cycle(Faults.breaks("The capital of ", "silence"))
  },
  chaos: {
    about: `answers or fails in ${everything(text).length} ways, with equal probability`,
    play: (answer, seed) => {
      const turns = everything(answer)
      return Faults.random({ seed, faults: turns.map((turn) => [1 / turns.length, turn]), otherwise: answer })
    }
  }
}

const help = `fake-claude: a server that fails the way the Claude API does.

Usage: fake-claude [--port N] [--host H] [--script NAME] [--seed S]

  --port N       the port to listen on; 0 is any free port (default: 8529)
  --host H       the address to listen on (default: 127.0.0.1)
  --script NAME  the script to play, or a JSON file with a list of steps (default: healthy)
  --seed S       the seed of random scripts: the same seed gives the same faults (default: 1)
  --help         this help

Scripts:
${Object.entries(scripts).map(([name, { about }]) => `  ${name.padEnd(13)}${about}`).join("\n")}

A script file has a list of steps, such as
  ${ScriptFile.example}
They are played in order, and the last one answers all later requests. A step is one of:
${ScriptFile.help}
All times are in seconds. Each object may have "after", the time before the response.

Where a script has no text of its own ("answer", healthy …), a request with a JSON schema or a forced tool gets a value
that fits its schema.

Point a client at the URL it prints; any key will do:
  ANTHROPIC_BASE_URL=http://127.0.0.1:8529 ANTHROPIC_API_KEY=any

Requests that the API would refuse as malformed are refused without using up a turn.`

// -----------------------------------------------------------------------------
// Command
// -----------------------------------------------------------------------------

class Misused extends Data.TaggedError("Misused")<{ readonly message: string }> {}

const misused = (what: string) => new Misused({ message: `${what} Try fake-claude --help.` })

/** A name with a dot or a slash is the path of a script file, unless a built-in script has this name. */
const scriptOf = (name: string): Effect.Effect<Script["play"], Misused> => {
  const script = Object.hasOwn(scripts, name) ? scripts[name] : undefined
  if (script !== undefined) return Effect.succeed(script.play)
  if (!/[./\\]/.test(name)) {
    return Effect.fail(misused(
      `There is no script ${JSON.stringify(name)}, only ${
        Object.keys(scripts).join(", ")
      }, or a file such as ./script.json.`
    ))
  }
  return Effect.tryPromise({
    try: () => fs.readFile(name, "utf8"),
    catch: (error) =>
      misused(`The script ${name} cannot be read: ${String(error instanceof Error ? error.message : error)}.`)
  }).pipe(
    Effect.flatMap((text) =>
      Effect.fromResult(Result.mapError(ScriptFile.parse(text), (flaw) => misused(`The script ${name}: ${flaw}.`)))
    )
  )
}

const defaultAnswer = ({ params }: Faults.Question): Effect.Effect<Faults.Turn> =>
  Fitting.answerTo(params).pipe(
    Effect.map((answer) => answer ?? text),
    Effect.catch((because) =>
      Effect.as(
        Console.error(
          `fake-claude: no value could be made for the schema of a request (${because}), so the answer is a text.`
        ),
        text
      )
    )
  )

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
    // Keeps only the first sentence of Node's message, which names the mistake. `misused` adds a hint to `--help`.
    catch: (error) => misused(`${String(error instanceof Error ? error.message : error).split(/\.\s|\n/)[0]}.`)
  })
  if (values.help) return yield* Console.log(help)
  const port = /^\d{1,5}$/.test(values.port) ? Number(values.port) : Infinity
  if (port > 65_535) {
    return yield* misused(`--port is ${JSON.stringify(values.port)}: it must be a number from 0 to 65535.`)
  }
  const play = yield* scriptOf(values.script)
  const script: Faults.Script = (question) =>
    Effect.flatMap(defaultAnswer(question), (answer) => play(answer, values.seed)(question))
  const server = FakeServer.layer(script, {
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
