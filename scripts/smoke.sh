#!/usr/bin/env bash
# Packs the package, installs it with its peers in an empty folder, imports it, and runs it, as a user would.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin="$root/node_modules/.bin"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$root"
npm pack --silent --ignore-scripts --pack-destination "$work" > /dev/null
cd "$work"
cat > package.json <<'JSON'
{ "name": "smoke", "private": true, "type": "module" }
JSON
version() { "$bin/node" -p "require('$root/node_modules/$1/package.json').version"; }
npm install --silent --no-audit --no-fund ./resilient-claude-*.tgz "effect@$(version effect)" "@anthropic-ai/sdk@$(version @anthropic-ai/sdk)"

cat > smoke.mjs <<'JS'
import { Effect, Schema } from "effect"
import { Claude, Policy } from "resilient-claude"
import { backoff } from "resilient-claude/policy/Retry"
import { FakeClaude, FakeServer, Faults } from "resilient-claude/testing"
import { layer } from "resilient-claude/Anthropic"

const call = Claude.text("hi").pipe(Policy.apply({ retry: backoff({ times: 1, base: "10 millis" }) }))
const turns = [Faults.overloaded, Faults.answer("hello")]

const inMemory = await Effect.runPromise(call.pipe(Effect.provide(FakeClaude.layer(turns))))
const overSocket = await Effect.runPromise(
  Effect.flatMap(FakeServer.FakeServer, ({ url }) => Effect.provide(call, layer({ apiKey: "k", baseUrl: url })))
    .pipe(Effect.provide(FakeServer.layer(turns)))
)
const Point = Schema.Struct({ x: Schema.Int, y: Schema.Number.check(Schema.isGreaterThan(0)) }).annotate({ identifier: "Point" })
const Place = Schema.Struct({
  name: Schema.String,
  at: Schema.Tuple([Point, Point]),
  note: Schema.optional(Schema.String),
  tags: Schema.Record(Schema.String, Schema.Finite)
})
const place = await Effect.runPromise(
  Claude.object(Place, "where?").pipe(
    Effect.provide(FakeClaude.layer([Faults.value({ name: "here", at: { 0: { x: 1, y: 2 }, 1: { x: 3, y: 4 } }, note: null, tags: [{ 0: "a", 1: 1 }] })]))
  )
)
const closed = await import("resilient-claude/policy/call").then(() => false, () => true)
const [{ form }, { form: top }] = [Claude.formOf(Place), Claude.formOf(Point)]
const got = JSON.stringify([inMemory, overSocket, place, form, top, closed])
const expected = [
  ...["hello", "hello"],
  { name: "here", at: [{ x: 1, y: 2 }, { x: 3, y: 4 }], tags: { a: 1 } },
  ...["schema", "schema", true]
]
if (got !== JSON.stringify(expected)) throw new Error(`smoke: ${got}`)
JS
"$bin/node" smoke.mjs
# undici is optional: only ./node needs it.
npm install --silent --no-audit --no-fund "undici@$(version undici)"
"$bin/node" -e 'import("resilient-claude/node").then((m) => { if (!m.layer) throw new Error("smoke: no layer") })'
"$bin/node" -e 'import("resilient-claude/PersistedAnswers").then((m) => { if (!m.layer) throw new Error("smoke: no layer") })'
# Calls over the global fetch of Node, Bun and Deno, against a fake server on Node.
cat > first-call.mjs <<'JS'
import { Effect, Stream } from "effect"
import { CallLog, Claude, Policy, Retry } from "resilient-claude"
import * as Anthropic from "resilient-claude/Anthropic"

const policy = { retry: Retry.backoff({ times: 1, base: "10 millis" }), overall: "10 seconds" }
const text = Claude.text("hi").pipe(Policy.apply(policy))
const streamed = Claude.stream("hi").pipe(Policy.applyStream(policy), Stream.mkString)
const cut = Effect.map(Effect.flip(Claude.text("hi")), ({ _tag }) => _tag)
const got = await Effect.runPromise(
  Effect.all([text, streamed, cut]).pipe(Effect.provide(Anthropic.layerConfig()), Effect.provide(CallLog.layerNoop))
)
if (got.join() !== "hello,again,PartialAnswer") throw new Error(`smoke: ${got}`)
JS
cat > server.mjs <<'JS'
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { FakeServer, Faults } from "resilient-claude/testing"

const [command, ...args] = process.argv.slice(2)
const turns = [Faults.overloaded, Faults.answer("hello"), Faults.answer("again"), Faults.breaks("hal")]
const code = await Effect.runPromise(
  Effect.flatMap(FakeServer.FakeServer, ({ url }) =>
    Effect.promise(async () => {
      const env = { ...process.env, ANTHROPIC_API_KEY: "k", ANTHROPIC_BASE_URL: url }
      const [code] = await once(spawn(command, args, { env, stdio: "inherit", timeout: 30_000 }), "exit")
      return code
    })).pipe(Effect.provide(FakeServer.layer(turns)))
)
process.exit(code ?? 1)
JS
npm install --silent --no-save --no-audit --no-fund bun@1.4.5 deno@2.9.6
"$bin/node" server.mjs "$bin/node" first-call.mjs
"$bin/node" server.mjs node_modules/.bin/bun first-call.mjs
"$bin/node" server.mjs node_modules/.bin/deno run --allow-net --allow-env --allow-read first-call.mjs
timeout 10 "$bin/node" node_modules/.bin/fake-claude --help > /dev/null
echo "smoke: the packed package installs, imports and runs"
