/**
 * A web server that streams Claude's answers to a browser. The page learns when the server waits, when the text so far is
 * void, when the answer resumes, when it is complete, and why it failed. If the reader leaves, the request to Claude is
 * closed. The page never takes a broken connection for the end of an answer.
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { ByteSize, Clock, Console, type Duration, Effect, Layer, Schema, Stream } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { Claude, type ClaudeError, Fallback, type Message, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"

export interface Options {
  readonly policy: Policy.Policy
  /** The time between two heartbeats, for proxies that close silent connections. */
  readonly heartbeat: Duration.Input
}

export const options: Options = {
  policy: { ...Policy.standard, onBreak: "resume", overall: "1 minute", streamOverall: "10 minutes" },
  heartbeat: "10 seconds"
}

/** One server-sent event. `JSON.stringify` writes no line breaks, which would end it. */
const sse = (event: string, data: object) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`

/** The server-sent event for the page: text, `restarted` or `resumed`. Other events are left out. */
const told = (event: Message.Event) => {
  if (event.type === "restarted" || event.type === "resumed") return sse(event.type, { because: event.because })
  return event.type === "content_block_delta" && event.delta.type === "text_delta" ? sse("text", event.delta) : ""
}

/** The notice for an error, whose own message is not for users. A refusal makes the text before it void. */
const failed = (error: ClaudeError.ClaudeError) =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const { requestId, retryable, text } = Fallback.toNotice(error, { now })
    return sse("failed", { text, requestId, retryable, void: error._tag === "Refused" })
  })

/** The answer as server-sent events. The last event is `end` or `failed`, unless the connection is cut. */
export const relay = (question: string, { heartbeat, policy }: Options) =>
  Claude.events(question).pipe(
    Policy.applyStream(policy),
    Stream.map(told),
    Stream.filter((line) => line !== ""),
    Stream.concat(Stream.succeed(sse("end", {}))),
    Stream.catch((error) => Stream.fromEffect(failed(error))),
    withSignsOfLife(heartbeat)
  )

/** Adds a comment line at the start, and after each period without an event. */
const withSignsOfLife = (every: Duration.Input) => <R>(lines: Stream.Stream<string, never, R>) =>
  Stream.suspend(() => {
    let silent = true
    const heard = (value: boolean) => Effect.sync(() => void (silent = value))
    return Stream.tick(every).pipe(
      Stream.map(() => silent ? ": waiting\n\n" : ""),
      Stream.tap(() => heard(true)),
      Stream.filter((line) => line !== ""),
      Stream.merge(Stream.tap(lines, () => heard(false)), { haltStrategy: "right" })
    )
  })

/** Accepts only JSON: browsers do not send it across sites without a CORS preflight, so no other site can post here. */
const Asked = Schema.Struct({
  headers: Schema.Struct({ "content-type": Schema.Literal("application/json") }),
  body: Schema.Struct({ question: Schema.String.check(Schema.isNonEmpty(), Schema.isMaxLength(20_000)) })
})

/** Reads at most 128 KiB, enough for 20,000 characters even if JSON escapes each of them. */
const asked = Effect.provideService(
  HttpRouter.schemaJson(Asked),
  HttpServerRequest.MaxBodySize,
  ByteSize.kibibytes(128)
)

export const routes = (options: Options) =>
  Layer.mergeAll(
    HttpRouter.add("GET", "/", Effect.sync(() => HttpServerResponse.html(page))),
    HttpRouter.add(
      "POST",
      "/answer",
      Effect.gen(function*() {
        const { body: { question } } = yield* asked
        const answer = Stream.provideService(relay(question, options), Claude.Claude, yield* Claude.Claude)
        return HttpServerResponse.stream(Stream.encodeText(answer), {
          contentType: "text/event-stream",
          // Tells proxies not to buffer the answer.
          headers: { "cache-control": "no-store", "x-accel-buffering": "no" }
        })
      })
    )
  )

/** Serves until it is interrupted. */
export const program = Layer.launch(HttpRouter.serve(routes(options)))

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ask Claude</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; --line: light-dark(#ccc, #555); --quiet: light-dark(#666, #aaa); }
  body { max-width: 42rem; margin: 0 auto; padding: 1.5rem 1rem; font: 1rem/1.55 system-ui, sans-serif; }
  h1 { font-size: 1.25rem; margin: 0 0 1rem; }
  textarea { box-sizing: border-box; width: 100%; padding: .6rem; font: inherit; border: 1px solid var(--line); border-radius: .4rem; }
  button { margin: .5rem .5rem 0 0; padding: .45rem 1.1rem; font: inherit; border: 1px solid var(--line); border-radius: .4rem; }
  #answer { margin: 1.5rem 0 .75rem; white-space: pre-wrap; overflow-wrap: anywhere; }
  #state { margin: 0; padding-left: .75rem; border-left: 3px solid var(--line); color: var(--quiet); overflow-wrap: anywhere; }
  #state.writing, #state.waiting { border-color: light-dark(#2563eb, #7aa2ff); }
  #state.ended { border-color: light-dark(#15803d, #5fc97e); }
  #state.failed { border-color: light-dark(#b91c1c, #ff8a80); color: light-dark(#b91c1c, #ff8a80); }
</style>
<h1>Ask Claude</h1>
<form>
  <textarea name="question" rows="3" maxlength="20000" required aria-label="Your question" placeholder="Your question"></textarea>
  <button>Ask</button><button type="button" id="stop" disabled>Stop</button>
</form>
<div id="answer"></div>
<p id="state" role="status"></p>
<script type="module">
  const [form, stop, answer, state] = ["form", "#stop", "#answer", "#state"].map((it) => document.querySelector(it))
  const show = (kind, words) => { state.className = kind; state.textContent = words }
  let reading
  stop.onclick = () => reading?.abort()

  form.onsubmit = async (event) => {
    event.preventDefault()
    reading?.abort()
    const { signal } = reading = new AbortController()
    // Set by the events end and failed: without one of them, the answer is incomplete.
    let over = false
    let seam = ""
    const take = (kind, data) => {
      if (kind === "text") { answer.textContent += data.text; show("writing", "Writing" + seam + " …") }
      if (kind === "restarted") { answer.textContent = ""; seam = ", after a restart"; show("waiting", "The answer broke off, and starts again …") }
      if (kind === "resumed") { seam = ", after a break"; show("writing", "The answer broke off, and continues …") }
      if (kind === "end") { over = true; show("ended", "Ended" + seam + ".") }
      if (kind === "failed") { over = true; if (data.void) answer.textContent = ""; show("failed", data.text) }
    }
    answer.textContent = ""
    show("waiting", "Waiting …")
    stop.disabled = false
    try {
      const response = await fetch("/answer", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ question: form.question.value }),
        signal
      })
      if (!response.ok) throw new Error("The server said " + response.status + ".")
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      let rest = ""
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        const events = (rest + next.value).split("\\n\\n")
        rest = events.pop()
        for (const event of events) {
          const [, kind, data] = /^event: (.*?)\\ndata: (.*)$/s.exec(event) ?? []
          if (kind !== undefined) take(kind, JSON.parse(data))
          else if (!over) show("waiting", "Waiting" + seam + " …")
        }
      }
      if (!over) throw new Error("The connection was cut: this is not the whole answer.")
    } catch (error) {
      if (over) return
      if (!signal.aborted) show("failed", error.message)
      else if (reading.signal === signal) show("failed", "Stopped: this is not the whole answer.")
    } finally {
      if (reading.signal === signal) stop.disabled = true
    }
  }
</script>
</html>
`

if (import.meta.main) {
  const server = NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 3000 })
  program.pipe(
    Effect.provide([server, NodeAnthropic.layerConfig()]),
    Effect.tapError((error) => Console.error(`The relay cannot start: ${error.message.replaceAll(/\s+/g, " ")}`)),
    NodeRuntime.runMain({ disableErrorReporting: true })
  )
}
