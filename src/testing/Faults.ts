/**
 * Answers and faults of a server, as data.
 *
 * Both fakes play them: `FakeClaude` without a socket, `FakeServer` over a real one. Headers and bodies have the format
 * of the real API, even the spaces that pad the JSON of its stream events.
 */
export * from "./answers.ts"
export * from "./failures.ts"
export * from "./scripts.ts"
export * from "./turn.ts"
