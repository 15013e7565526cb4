/** Scripted answers and faults. */
export * as Faults from "./Faults.ts"
/** A `Claude` that answers from a script, without a socket. */
export * as FakeClaude from "./FakeClaude.ts"
/** An HTTP server that answers from a script. */
export * as FakeServer from "./FakeServer.ts"
/** Runs policies and guards against a simulated Claude, in virtual time. */
export * as Simulator from "./Simulator.ts"
