/**
 * What a server can do to a request, as data.
 *
 * One vocabulary for both fakes: `FakeClaude` plays it under `TestClock`,
 * `FakeServer` over a real socket. Headers and bodies are those of the real
 * API, down to the spaces it pads its JSON with.
 */
export * from "./answers.ts"
export * from "./failures.ts"
export * from "./scripts.ts"
export * from "./turn.ts"
