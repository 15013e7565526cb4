/** What a server can do, as data. */
export * as Faults from "./Faults.ts"
/** A `Claude` from a script, without a socket. */
export * as FakeClaude from "./FakeClaude.ts"
export * as FakeServer from "./FakeServer.ts"
/** A policy and guards against an imagined Claude, in virtual time. */
export * as Simulator from "./Simulator.ts"
