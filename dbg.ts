import { Effect } from "effect"
import { scenarios } from "./lab/scenarios.ts"
import * as C from "./lab/contenders.ts"
import * as Run from "./src/testing/simulator/run.ts"
import * as Provider from "./src/testing/simulator/provider.ts"
const entry = scenarios.find((s) => s.name === process.argv[2])!
const ats: Array<number> = []
const parts = { ...Run.parts, provider: (c: any, s: any) => { const m = Provider.make(c, s); return { ...m, arrive: (now: number, p: any) => { ats.push(now); return m.arrive(now, p) } } } }
const r = await Effect.runPromise(Run.run(entry as any, process.argv[3] === "without" ? C.without : C.guarded(entry) as any, 1, parts as any))
const h = new Map<number, number>(); for (const a of ats) h.set(Math.floor(a / 4000) * 4, (h.get(Math.floor(a / 4000) * 4) ?? 0) + 1)
console.log([...h].map(([k, v]) => `${k}:${v}`).join(" "))
console.log(r.answered, r.requests, r.errors)
