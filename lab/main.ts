import { Effect } from "effect"
import { Simulator } from "../src/testing/index.ts"
import { guarded, without } from "./contenders.ts"
import { rivals } from "./rivals.ts"
import { scenarios } from "./scenarios.ts"
const names = process.argv.slice(2)
for (const entry of scenarios.filter(({ name }) => names.length === 0 || names.includes(name))) {
  console.log(`\n${entry.name}: ${entry.about} ${entry.found ?? ""}`)
  for (const contender of [guarded(entry), without, ...rivals(entry)]) {
    const t = performance.now()
    const r = await Effect.runPromise(Simulator.run(entry, contender))
    console.log(contender.name.padEnd(10), `${r.answered}/${r.calls} (${r.requests})`.padEnd(20), (entry.measured?.[contender.name] ?? "").padEnd(18),
      `p50 ${r.latency.p50} err ${r.timeToError.p50}/${r.timeToError.max} 429 ${r.rateLimited} trips ${r.circuitsOpened} ab ${r.abandoned} took ${r.took} rec ${r.recovery} peak ${r.peak?.requests}`, JSON.stringify(r.errors), JSON.stringify(r.tenants).length > 50 ? JSON.stringify(r.tenants) : "", r.alerts.slice(0, 5).map((a) => `${a.alert}@${a.at}`).join(" "), `${Math.round(performance.now() - t)}ms`)
  }
}
