import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Schedule, Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as Net from "node:net"
import * as path from "node:path"
import { Anthropic, Claude } from "../../src/index.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"
import { oneIn } from "../support/effort.ts"

// -----------------------------------------------------------------------------
// Clients
// -----------------------------------------------------------------------------

const ask = { model: "claude-opus-5-5", max_tokens: 100, messages: [{ role: "user", content: "Hello" }] }

const headers = {
  authorization: "Bearer sk-ant-test",
  "anthropic-version": "2026-10-21",
  "content-type": "application/json"
}

const send = (url: string, path = "/v1/messages", body: object = ask) =>
  Effect.promise(async (signal) => {
    const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body), signal })
    return { status: response.status, text: await response.text() }
  })

/** A socket, the text that it has received, and its end. */
interface Client {
  readonly socket: Net.Socket
  readonly pieces: Array<string>
  readonly closed: Deferred.Deferred<void>
  error: string | undefined
}

const connect = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Client>((resume) => {
      const socket = Net.connect(port, "127.0.0.1")
      const client: Client = { socket, pieces: [], closed: Deferred.makeUnsafe(), error: undefined }
      socket.on("data", (piece) => client.pieces.push(piece.toString("latin1")))
      socket.on("error", (error: NodeJS.ErrnoException) => client.error = error.code)
      socket.on("close", () => Deferred.doneUnsafe(client.closed, Exit.void))
      socket.on("connect", () => resume(Effect.succeed(client)))
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const write = ({ socket }: Client) =>
  Effect.sync(() => {
    const body = JSON.stringify(ask)
    const head = Object.entries({ host: "127.0.0.1", ...headers, "content-length": body.length })
    socket.write(`POST /v1/messages HTTP/1.1\r\n${head.map(([k, v]) => `${k}: ${v}\r\n`).join("")}\r\n${body}`)
  })

/** Sends a request on a new connection. */
const knock = Effect.flatMap(FakeServer.FakeServer, ({ port }) => Effect.tap(connect(port), write))

/** Polls until the condition holds, for at most four seconds. */
const eventually = <A>(look: Effect.Effect<A>, holds: (value: A) => boolean) =>
  look.pipe(
    Effect.repeat({ until: holds, schedule: Schedule.spaced("5 millis") }),
    Effect.timeout("4 seconds")
  )

/** The last chunk of a complete response. */
const isWhole = (text: string) => text.endsWith("\r\n0\r\n\r\n")

const seen = (client: Client) => Effect.sync(() => client.pieces.join(""))

// -----------------------------------------------------------------------------
// Server
// -----------------------------------------------------------------------------

describe("FakeServer", () => {
  it.live("answers at its URL, on a free port", () =>
    Effect.gen(function*() {
      const { port, url } = yield* FakeServer.FakeServer
      assert.isAbove(port, 0)
      assert.strictEqual(url, `http://127.0.0.1:${port}`)
      const { status, text } = yield* send(url)
      assert.strictEqual(status, 200)
      assert.strictEqual(text, Faults.events("Hello there", { model: ask.model }).join(""))
    }).pipe(Effect.provide(FakeServer.layer([Faults.answer("Hello there", { model: ask.model })]))))

  it.live("records the requests in the order of their arrival, with their path, headers, body and times", () =>
    Effect.gen(function*() {
      const { received, url } = yield* FakeServer.FakeServer
      const before = yield* Clock.currentTimeMillis
      yield* send(url, "/v1/messages?beta=true")
      yield* send(url, "/v1/elsewhere", { any: "thing" })
      const [first, second] = yield* received
      assert.deepInclude(first, { method: "POST", path: "/v1/messages", params: ask, refused: false, complete: true })
      assert.strictEqual(first?.body, JSON.stringify(ask))
      assert.include(first?.headers, headers)
      assert.isAtLeast(first?.at ?? 0, before)
      assert.isAtLeast(first?.closedAt ?? 0, first?.at ?? Infinity)
      assert.deepInclude(second, { path: "/v1/elsewhere", params: { any: "thing" }, refused: true })
    }).pipe(Effect.provide(FakeServer.layer([Faults.answer("a")]))))

  it.live("numbers the connections, and keeps them open for the next request", () =>
    Effect.gen(function*() {
      const { received } = yield* FakeServer.FakeServer
      const first = yield* knock
      yield* eventually(seen(first), isWhole)
      const second = yield* knock
      yield* eventually(seen(second), isWhole)
      first.pieces.length = 0
      yield* write(first)
      yield* eventually(seen(first), isWhole)
      assert.deepStrictEqual((yield* received).map(({ connection }) => connection), [1, 2, 1])
    }).pipe(Effect.scoped, Effect.provide(FakeServer.layer(Faults.cycle(Faults.answer("a"))))))

  it.live("has no open sockets after its clients have disconnected", () =>
    Effect.gen(function*() {
      const { openSockets, port } = yield* FakeServer.FakeServer
      const clients = yield* Effect.all([connect(port), connect(port), knock, knock])
      yield* eventually(openSockets, (count) => count === 4)
      for (const { socket } of clients) socket.destroy()
      yield* eventually(openSockets, (count) => count === 0)
    }).pipe(Effect.scoped, Effect.provide(FakeServer.layer(Faults.cycle(Faults.pings("a", "10 millis"))))))

  it.live("counts tokens without using up a turn", () =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      const { max_tokens: _, ...countable } = ask
      const counted = yield* send(url, "/v1/messages/count_tokens", countable)
      assert.deepStrictEqual(JSON.parse(counted.text), {
        input_tokens: Math.ceil(JSON.stringify(countable).length / 4)
      })
      assert.include((yield* send(url)).text, "only")
    }).pipe(Effect.provide(FakeServer.layer([Faults.answer("only")]))))

  it.live("answers 400 with a message when its script has run out", () =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      yield* send(url)
      const { status, text } = yield* send(url)
      assert.strictEqual(status, 400)
      assert.include(text, "the fault script ran out: it has 1 turn, and this is request 2.")
    }).pipe(Effect.provide(FakeServer.layer([Faults.answer("a")]))))

  it.live("calls onRequest before it plays the turn", () => {
    const told: Array<string> = []
    return Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      yield* send(url)
      yield* send(url, "/v1/messages", {})
      assert.deepStrictEqual(told, ["a 529 overloaded_error, false", "refused: model: Field required, true"])
    }).pipe(Effect.provide(FakeServer.layer([Faults.overloaded], {
      onRequest: ({ closedAt, refused }, turn) =>
        Effect.sync(() => {
          assert.isUndefined(closedAt)
          told.push(`${turn}, ${refused}`)
        })
    })))
  })

  it.live("notices at once that a client left, even in an endless turn", () =>
    Effect.gen(function*() {
      const { received } = yield* FakeServer.FakeServer
      const client = yield* knock
      yield* eventually(seen(client), (text) => text.includes("half"))
      const left = yield* Clock.currentTimeMillis
      client.socket.destroy()
      const [request] = yield* eventually(received, ([request]) => request?.closedAt !== undefined)
      assert.isBelow((request?.closedAt ?? Infinity) - left, 500)
      assert.isFalse(request?.complete)
    }).pipe(Effect.scoped, Effect.provide(FakeServer.layer([Faults.breaks("half", "silence")]))))

  it.live("ends a turn when its client has left", () => {
    const ended = Deferred.makeUnsafe<void>()
    const script = () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(ended, undefined))
    return Effect.gen(function*() {
      const { received } = yield* FakeServer.FakeServer
      const client = yield* knock
      yield* eventually(received, ({ length }) => length === 1)
      client.socket.destroy()
      yield* Deferred.await(ended).pipe(Effect.timeout("4 seconds"))
    }).pipe(Effect.scoped, Effect.provide(FakeServer.layer(script)))
  })

  it.live("closes promptly while turns are playing", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(FakeServer.layer(Faults.cycle(Faults.silence)), scope)
      const client = yield* knock.pipe(Effect.provide(context))
      yield* eventually(
        Effect.flatMap(FakeServer.FakeServer, ({ received }) => received).pipe(Effect.provide(context)),
        ({ length }) => length === 1
      )
      yield* Scope.close(scope, Exit.void).pipe(Effect.timeout("4 seconds"))
      yield* Deferred.await(client.closed).pipe(Effect.timeout("4 seconds"))
    }).pipe(Effect.scoped))

  it.live("fails with a message if the port is in use", () =>
    Effect.gen(function*() {
      const { port } = yield* FakeServer.FakeServer
      const error = yield* Effect.flip(Layer.build(Layer.fresh(FakeServer.layer([], { port }))))
      assert.instanceOf(error, FakeServer.CannotListen)
      assert.deepInclude(error, { port, code: "EADDRINUSE" })
      assert.strictEqual(error.message, `Port ${port} is in use: choose another, or 0 for any free port.`)
    }).pipe(Effect.scoped, Effect.provide(FakeServer.layer([]))))

  it("fails with a message that says what to change if the port is not allowed or the host is not an address", () => {
    assert.match(
      new FakeServer.CannotListen({ port: 80, code: "EACCES" }).message,
      /port 80 \(EACCES\): choose another/
    )
    assert.match(new FakeServer.CannotListen({ port: 0, code: "ENOTFOUND" }).message, /host is not an address/)
  })
})

// -----------------------------------------------------------------------------
// On the wire
// -----------------------------------------------------------------------------

const wire = (turn: Faults.Turn, look: (client: Client) => Effect.Effect<void, unknown>) =>
  Effect.flatMap(knock, look).pipe(Effect.scoped, Effect.provide(FakeServer.layer([turn])))

const closes = ({ closed }: Client) => Deferred.await(closed).pipe(Effect.timeout("4 seconds"))

describe("a turn on the wire", () => {
  it.live("Faults.reset resets the connection before it sends a byte", () =>
    wire(Faults.reset, (client) =>
      Effect.gen(function*() {
        yield* closes(client)
        assert.strictEqual(client.error, "ECONNRESET")
        assert.deepStrictEqual(client.pieces, [])
      })))

  it.live("Faults.hangUp closes the connection without a reset, before it sends a byte", () =>
    wire(Faults.hangUp, (client) =>
      Effect.gen(function*() {
        yield* closes(client)
        assert.isUndefined(client.error)
        assert.deepStrictEqual(client.pieces, [])
      })))

  it.live("Faults.breaks sends all its text, and closes the connection before the end of the response", () =>
    wire(Faults.breaks("half an answer"), (client) =>
      Effect.gen(function*() {
        yield* closes(client)
        const text = yield* seen(client)
        assert.match(text, /^HTTP\/1.1 200 OK\r\n/)
        assert.include(text, "\"text\":\"answer\"")
        assert.notInclude(text, "message_stop")
        assert.isFalse(isWhole(text))
        assert.isUndefined(client.error)
      })))

  it.live("Faults.breaks with the option reset sends all its text, and then resets the connection", () =>
    wire(Faults.breaks("half an answer", "reset"), (client) =>
      Effect.gen(function*() {
        yield* closes(client)
        assert.include(yield* seen(client), "\"text\":\"answer\"")
        assert.strictEqual(client.error, "ECONNRESET")
      })))

  it.live("Faults.silence sends nothing and keeps the connection open", () =>
    wire(Faults.silence, (client) =>
      Effect.gen(function*() {
        yield* Effect.sleep("150 millis")
        assert.deepStrictEqual(client.pieces, [])
        assert.strictEqual(client.socket.readyState, "open")
      })))

  it.live("Faults.lingers sends a complete answer, but does not end the response and keeps the connection open", () =>
    wire(Faults.lingers("all of it"), (client) =>
      Effect.gen(function*() {
        yield* eventually(seen(client), (text) => text.includes("message_stop"))
        yield* Effect.sleep("100 millis")
        assert.isFalse(isWhole(yield* seen(client)))
        assert.strictEqual(client.socket.readyState, "open")
      })))

  it.live("Faults.drip sends a response in small chunks without a change to its body", () =>
    Effect.gen(function*() {
      const client = yield* knock
      yield* eventually(seen(client), isWhole)
      assert.isAbove(client.pieces.length, 10)
      const { text } = yield* send((yield* FakeServer.FakeServer).url)
      assert.strictEqual(text, Faults.events("drop by drop 🎉").join(""))
    }).pipe(
      Effect.scoped,
      Effect.provide(FakeServer.layer(Faults.cycle(Faults.drip(Faults.answer("drop by drop 🎉"), 61, "2 millis"))))
    ))

  it.live("Faults.pings with an empty text sends pings without end and no content", () =>
    wire(Faults.pings("", "10 millis"), (client) =>
      Effect.gen(function*() {
        const text = yield* eventually(seen(client), (text) => text.split("event: ping").length > 5)
        assert.notInclude(text, "content_block")
      })))

  it.live("Faults.garbage sends bytes that are not HTTP", () =>
    wire(Faults.garbage, (client) =>
      Effect.gen(function*() {
        yield* closes(client)
        assert.isTrue((yield* seen(client)).startsWith("\0\u0001 this is not HTTP"))
      })))

  it.live("Faults.delayed waits before it sends the response", () =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      const before = yield* Clock.currentTimeMillis
      yield* send(url)
      assert.isAtLeast((yield* Clock.currentTimeMillis) - before, 99)
    }).pipe(Effect.provide(FakeServer.layer([Faults.delayed(Faults.overloaded, "100 millis")]))))
})

// -----------------------------------------------------------------------------
// Scripts
// -----------------------------------------------------------------------------

const turn = (name: string) => Faults.named(name, Faults.answer(name))
const a = turn("a")
const b = turn("b")
const c = turn("c")

/** The names of the turns that a script plays, one per second. */
const played = (script: Faults.Script, count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, index) => index),
    (index) => Effect.map(script({ index, elapsed: index * 1000, params: { model: `m${index}` } }), ({ name }) => name)
  )

describe("a script", () => {
  it.effect("ends after the turns of a sequence", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* played(Faults.sequence(a, b), 3), ["a", "b", "the end of the script"])
    }))

  it.effect("plays a list of turns as a sequence", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* played(Faults.toScript([a, b]), 3), ["a", "b", "the end of the script"])
    }))

  it.effect("made with Faults.cycle plays its first turn again after its last", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* played(Faults.cycle(a, b, c), 7), ["a", "b", "c", "a", "b", "c", "a"])
    }))

  it.effect("made with Faults.untilLast repeats its last turn", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* played(Faults.untilLast(a, b), 4), ["a", "b", "b", "b"])
    }))

  it.effect("made with Faults.by picks each turn by time and by request", () =>
    Effect.gen(function*() {
      const script = Faults.by(({ elapsed, index, params }) =>
        params.model === "m0" ? a : elapsed < 3000 && index !== 2 ? b : c
      )
      assert.deepStrictEqual(yield* played(script, 4), ["a", "b", "c", "c"])
    }))

  it.live("made with Faults.by receives the number, the parameters and the elapsed time of each request", () => {
    const asked: Array<Faults.Question> = []
    return Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      yield* send(url)
      yield* Effect.sleep("50 millis")
      yield* send(url)
      assert.deepStrictEqual(asked.map(({ index, params }) => [index, params]), [[0, ask], [1, ask]])
      const [first, second] = asked.map(({ elapsed }) => elapsed)
      assert.isAtLeast((second ?? 0) - (first ?? Infinity), 49)
    }).pipe(Effect.provide(FakeServer.layer(Faults.by((question) => (asked.push(question), a)))))
  })

  const mixed = (seed: string) => Faults.random({ seed, faults: [[0.2, a], [0.05, b]], otherwise: c })

  it.effect("made with Faults.random plays the same turns with the same seed, and other turns with another seed", () =>
    Effect.gen(function*() {
      const once = yield* played(mixed("s"), 200)
      assert.deepStrictEqual(yield* played(mixed("s"), 200), once)
      assert.notDeepEqual(yield* played(mixed("t"), 200), once)
    }))

  it.effect("made with Faults.random plays each fault with its given probability, within 2 percentage points", () =>
    Effect.gen(function*() {
      const all = yield* played(mixed("rates"), 4000)
      const share = (name: string) => all.filter((each) => each === name).length / all.length
      assert.closeTo(share("a"), 0.2, 0.02)
      assert.closeTo(share("b"), 0.05, 0.01)
      assert.closeTo(share("c"), 0.75, 0.02)
    }))
})

// -----------------------------------------------------------------------------
// Command line
// -----------------------------------------------------------------------------

const cli = path.resolve(import.meta.dirname, "../../src/testing/cli.ts")

interface Run {
  readonly child: ChildProcess
  readonly exit: Deferred.Deferred<number | NodeJS.Signals>
  out: string
  err: string
}

const start = (...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync((): Run => {
      const child = spawn(process.execPath, [cli, ...args], { stdio: ["ignore", "pipe", "pipe"] })
      const run: Run = { child, exit: Deferred.makeUnsafe(), out: "", err: "" }
      child.stdout.on("data", (piece) => run.out += piece)
      child.stderr.on("data", (piece) => run.err += piece)
      child.on("close", (code, signal) => Deferred.doneUnsafe(run.exit, Exit.succeed(code ?? signal ?? "SIGKILL")))
      return run
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** Waits for the URL in the output of `fake-claude`. */
const listening = (run: Run) =>
  Effect.sync(() => /http:\/\/127\.0\.0\.1:\d+/.exec(run.out)?.[0] ?? "").pipe(
    Effect.repeat({ until: (url) => url !== "", schedule: Schedule.spaced("20 millis") }),
    Effect.timeout("20 seconds")
  )

const slow = { timeout: 30_000 }

describe("the ids of requests", () => {
  it.live("are unique for messages, refused requests and token counts, and the same in the header and the body of a response", () =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      const body = JSON.stringify({
        model: "claude-sonnet-5-5",
        max_tokens: 9,
        messages: [{ role: "user", content: "hi" }]
      })
      const headers = { "content-type": "application/json", "x-api-key": "k", "anthropic-version": "2023-06-01" }
      const post = (path: string, body: string) =>
        Effect.promise(async () => {
          const response = await fetch(`${url}${path}`, { method: "POST", headers, body })
          const text = await response.text()
          return [response.headers.get("request-id"), /"request_id":"(.*?)"/.exec(text)?.[1]]
        })
      const found = [
        yield* post("/v1/messages", "{}"),
        yield* post("/v1/messages", "no JSON"),
        yield* post("/v1/messages", body),
        yield* post("/v1/messages/count_tokens", JSON.stringify({ ...JSON.parse(body), max_tokens: undefined })),
        yield* post("/v1/messages", body)
      ]
      assert.strictEqual(new Set(found.map(([header]) => header)).size, found.length)
      for (const [header, inBody] of found) assert.include([undefined, header], inBody)
      assert.lengthOf(found.filter(([, inBody]) => inBody !== undefined), 3)
    }).pipe(Effect.provide(FakeServer.layer([Faults.answer("hello"), Faults.overloaded]))))
})

describe("fake-claude", () => {
  it.live("answers, prints every request, and ends on SIGTERM", () =>
    Effect.gen(function*() {
      const run = yield* start("--port", "0")
      const url = yield* listening(run)
      assert.strictEqual(run.out, `fake-claude plays healthy on ${url}\n`)
      assert.include((yield* send(url)).text, "Paris")
      yield* send(url, "/v1/messages", {})
      yield* eventually(Effect.sync(() => run.out), (out) => out.split("\n").length === 4)
      const [, first, second] = run.out.split("\n")
      assert.match(first ?? "", /^\d\d:\d\d:\d\d\.\d{3}Z POST \/v1\/messages an answer$/)
      assert.match(second ?? "", /^\S+ POST \/v1\/messages refused: model: Field required$/)
      run.child.kill("SIGTERM")
      assert.strictEqual(yield* Deferred.await(run.exit), 0)
      assert.strictEqual(run.err, "")
    }).pipe(Effect.scoped), slow)

  it.live("ends on SIGINT while a turn is playing", () =>
    Effect.gen(function*() {
      const run = yield* start("--port", "0", "--script", "stall")
      const url = yield* listening(run)
      const call = yield* Effect.forkChild(Effect.exit(send(url)))
      yield* eventually(Effect.sync(() => run.out), (out) => out.includes("a stream that breaks"))
      run.child.kill("SIGINT")
      assert.strictEqual(yield* Deferred.await(run.exit), 0)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(call)))
    }).pipe(Effect.scoped), slow)

  it.live("answers after four failed requests with --script=outage", () =>
    Effect.gen(function*() {
      const url = yield* listening(yield* start("--port=0", "--script=outage"))
      assert.strictEqual((yield* send(url)).status, 529)
      assert.strictEqual((yield* send(url)).status, 429)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(send(url))))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(send(url))))
      assert.include((yield* send(url)).text, "message_stop")
    }).pipe(Effect.scoped), slow)

  it.live("plays the same turns with the same seed", () =>
    Effect.gen(function*() {
      const turns = (seed: string) =>
        Effect.gen(function*() {
          const run = yield* start("--port", "0", "--script", "flaky", "--seed", seed)
          const url = yield* listening(run)
          yield* Effect.forEach(Array.from({ length: 30 }), () => Effect.exit(send(url)))
          yield* eventually(Effect.sync(() => run.out), (out) => out.split("\n").length === 32)
          return run.out.split("\n").slice(1).map((line) => line.replace(/^\S+ /, ""))
        })
      const [first, same, other] = yield* Effect.all([turns("1"), turns("1"), turns("2")], { concurrency: 3 })
      assert.deepStrictEqual(same, first)
      assert.notDeepEqual(other, first)
    }).pipe(Effect.scoped), slow)

  it.live("prints its help", () =>
    Effect.gen(function*() {
      const run = yield* start("--help")
      assert.strictEqual(yield* Deferred.await(run.exit), 0)
      for (const word of ["--port", "--host", "--script", "--seed", "healthy", "outage", "flaky", "overloaded"]) {
        assert.include(run.out, word)
      }
      for (const word of ["slow", "stall", "chaos", "ANTHROPIC_BASE_URL"]) assert.include(run.out, word)
      assert.strictEqual(run.err, "")
    }).pipe(Effect.scoped), slow)

  const misuses: ReadonlyArray<readonly [title: string, args: ReadonlyArray<string>, says: string]> = [
    ["an unknown flag", ["--prot", "1"], "Unknown option '--prot'. Try fake-claude --help."],
    ["a word too many", ["outage"], "Unexpected argument 'outage'. Try fake-claude --help."],
    ["a flag without its value", ["--port"], "Option '--port <value>' argument missing. Try fake-claude --help."],
    [
      "a flag in the place of a value",
      ["--port", "--help"],
      "Option '--port' argument is ambiguous. Try fake-claude --help."
    ],
    ["a port that is no number", ["--port", "http"], "--port is \"http\": it must be a number from 0 to 65535."],
    ["a port that is too high", ["--port", "65536"], "--port is \"65536\": it must be a number from 0 to 65535."],
    ["an unknown script", ["--script", "outrage"], "There is no script \"outrage\", only healthy, outage, flaky,"],
    ["a script with the name of a method", ["--script", "toString"], "There is no script \"toString\", only healthy,"]
  ]
  for (const [title, args, says] of oneIn(4, misuses)) {
    it.live(`exits with 1 and prints one line for ${title}`, () =>
      Effect.gen(function*() {
        const run = yield* start(...args)
        assert.strictEqual(yield* Deferred.await(run.exit), 1)
        assert.isTrue(run.err.startsWith(`fake-claude: ${says}`), run.err)
        assert.match(run.err, /^.+\n$/)
        assert.strictEqual(run.out, "")
      }).pipe(Effect.scoped), slow)
  }

  it.live("exits with 1 and prints one line for a port in use", () =>
    Effect.gen(function*() {
      const { port } = yield* FakeServer.FakeServer
      const run = yield* start("--port", String(port))
      assert.strictEqual(yield* Deferred.await(run.exit), 1)
      assert.strictEqual(run.err, `fake-claude: Port ${port} is in use: choose another, or 0 for any free port.\n`)
      assert.strictEqual(run.out, "")
    }).pipe(Effect.scoped, Effect.provide(FakeServer.layer([]))), slow)
})

describe("a script that throws", () => {
  it.live("makes the server answer 500, with the defect in the message", () =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      const error = yield* Effect.flip(Effect.provide(
        Claude.text("hi"),
        Anthropic.layer({ apiKey: "key", baseUrl: server.url })
      ))
      assert.strictEqual(error._tag, "ServerFault")
      assert.match(error.message, /the fault script failed: Error: no such turn/)
    }).pipe(Effect.provide(FakeServer.layer(Faults.by(() => {
      throw new Error("no such turn")
    })))))

  it.live("gives each of its failed requests an ID of its own", () =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      const ask = Effect.flip(Claude.text("hi"))
      const errors = yield* Effect.all([ask, ask, ask], { concurrency: "unbounded" }).pipe(
        Effect.provide(Anthropic.layer({ apiKey: "key", baseUrl: url }))
      )
      assert.strictEqual(new Set(errors.map(({ requestId }) => requestId)).size, 3)
    }).pipe(Effect.provide(FakeServer.layer(() =>
      // So that all three requests have arrived before the first one fails.
      Effect.andThen(Effect.sleep("100 millis"), Effect.die("no such turn"))
    ))))
})
