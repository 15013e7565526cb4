/**
 * Answers and faults of a server, as data.
 *
 * Both fakes play them: `FakeClaude` under `TestClock`, `FakeServer` over a real socket. Headers and bodies match the
 * real API, even the spaces that pad its JSON.
 */
export * from "./answers.ts"
export * from "./failures.ts"
export * from "./scripts.ts"
export * from "./turn.ts"
