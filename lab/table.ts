/** The results as text, for a terminal of 140 columns. */
import type { Simulator } from "../src/testing/index.ts"
import { type Column, columns, type Entry } from "./scenarios.ts"

const titles: { readonly [C in Column]: string } = {
  guarded: "ours, guarded",
  without: "ours, no guards",
  sdk: "SDK alone",
  "p-retry": "SDK + p-retry",
  cockatiel: "SDK + cockatiel",
  effect: "Effect HttpClient"
}

const isColor = process.stdout.isTTY
const dim = (text: string) => isColor ? `\u001b[2m${text}\u001b[22m` : text
const bold = (text: string) => isColor ? `\u001b[1m${text}\u001b[22m` : text

const widths = { name: 17, calls: 7, cell: 19 }
const line = (name: string, calls: string, cells: ReadonlyArray<string>) =>
  `${name.padEnd(widths.name)}${calls.padStart(widths.calls - 2)}  ${
    cells.map((cell) => cell.padEnd(widths.cell)).join("")
  }`
    .trimEnd()

/** The heading above the printed table. */
export const header = [
  "Calls answered (requests sent), the median over the seeds; * marks the best. Below: over sockets, before the guards were improved.",
  "",
  bold(line("scenario", "calls", columns.map((column) => titles[column])))
].join("\n")

/** The rows of one scenario: its results, then the known results over sockets and the notes. */
export const row = (entry: Entry, results: ReadonlyArray<Simulator.Result>): string => {
  const of = (column: Column) => results.filter(({ contender }) => contender === column)
  const answered = columns.map((column) => median(of(column).map(({ answered }) => answered)))
  const best = Math.max(...answered)
  const cells = columns.map((column, index) => {
    const requests = median(of(column).map(({ requests }) => requests))
    return `${answered[index]} (${requests})${answered[index] === best ? "*" : ""}`
  })
  const { bound, found, measured = {} } = entry
  const known = columns.map((column) => measured[column] ?? "")
  return [
    line(entry.name, String(results[0]?.calls), cells),
    ...(known.some((cell) => cell !== "") ? [dim(line("  measured", "", known))] : []),
    ...(found === undefined ? [] : [dim(`  found before: ${found}`)]),
    ...(bound === undefined ? [] : [dim(`  why fewer: ${bound}`)])
  ].join("\n")
}

/** The heading of the README's table. */
export const markdownHeader = "| scenario | calls | with guards | best other |\n|---|---|---|---|"

/** The row of one scenario in the README's table: the medians of this library with guards, and of the best rival. */
export const markdown = (entry: Entry, results: ReadonlyArray<Simulator.Result>): string => {
  const cell = (column: Column) => {
    const own = results.filter(({ contender }) => contender === column)
    return {
      column,
      answered: median(own.map(({ answered }) => answered)),
      requests: median(own.map(({ requests }) => requests))
    }
  }
  const ours = cell("guarded")
  const [best = ours] = columns.filter((column) => column !== "guarded" && column !== "without").map(cell)
    .toSorted((a, b) => b.answered - a.answered || a.requests - b.requests)
  const text = ({ answered, requests }: typeof ours) => `${answered} (${requests})`
  return `| ${entry.name}: ${entry.about} | ${results[0]?.calls} | ${text(ours)} | ${text(best)} ${
    titles[best.column]
  } |`
}

/** Every figure of one scenario, for each contender and seed. */
export const details = (entry: Entry, results: ReadonlyArray<Simulator.Result>): string => {
  const lines = results.map((result) => {
    const { abandoned, circuitsOpened, latency, peak, rateLimited, recovery, requestsDuring, timeToError } = result
    const facts = [
      `${result.contender}, seed ${result.seed}: ${result.answered} of ${result.calls} answered with ${result.requests} requests`,
      `latency p50 ${seconds(latency.p50)}, p99 ${seconds(latency.p99)}; time to error p50 ${
        seconds(timeToError.p50)
      }, `
      + `max ${seconds(timeToError.max)}; all over after ${seconds(result.took)}`,
      `${rateLimited} 429s, ${abandoned} requests abandoned, circuits opened ${circuitsOpened} times`,
      ...(peak === undefined ? [] : [
        `${requestsDuring} requests during the incident; first answer ${
          recovery === undefined ? "never" : `${seconds(recovery)} after it`
        }; at most ${peak.requests} requests/s after it, ${peak.offered} calls/s offered`
      ]),
      ...counted("errors", result.errors),
      ...shares("tenants", result.tenants),
      ...shares("models", result.models),
      ...(result.alerts.length === 0 ? [] : [
        `alerts: ${result.alerts.slice(0, 6).map(({ alert, at }) => `${alert} at ${seconds(at)}`).join(", ")}`
        + (result.alerts.length > 6 ? `, and ${result.alerts.length - 6} more` : "")
      ])
    ]
    return facts.map((fact, index) => index === 0 ? bold(fact) : `    ${fact}`).join("\n")
  })
  return ["", bold(`${entry.name}: ${entry.about}`), row(entry, results), "", ...lines].join("\n")
}

const seconds = (millis: number) => `${(millis / 1000).toFixed(2)} s`

const counted = (what: string, counts: { readonly [key: string]: number }): ReadonlyArray<string> => {
  const all = Object.entries(counts)
  return all.length === 0 ? [] : [`${what}: ${all.map(([key, count]) => `${count} ${key}`).join(", ")}`]
}

const shares = (what: string, counts: { readonly [key: string]: Simulator.Share }): ReadonlyArray<string> => {
  const all = Object.entries(counts)
  return all.length < 2 ? [] : [
    `${what}: ${all.map(([key, { answered, calls }]) => `${key} ${answered} of ${calls}`).join(", ")}`
  ]
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0
