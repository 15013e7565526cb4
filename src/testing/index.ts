/** Scripted answers and faults. */
export * as Faults from "./Faults.ts"
/** A `Claude` from a script, without a socket. */
export * as FakeClaude from "./FakeClaude.ts"
export * as FakeServer from "./FakeServer.ts"
/** Policies and guards against a simulated Claude, in virtual time. */
export * as Simulator from "./Simulator.ts"
