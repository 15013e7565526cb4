/**
 * What the benchmarks share: how to take a number on a noisy machine, and how to print it.
 *
 * A loop runs several times slower for seconds at a time here, so a case is measured in many short slices between
 * those of its rivals, and its number is the lower quartile: it repeats, where a mean or a median does not.
 */
import { type ChildProcess, fork, spawnSync } from "node:child_process"
import { once } from "node:events"
import { availableParallelism } from "node:os"

/** The value that a quarter of the samples are below. */
export const lowerQuartile = (samples: ReadonlyArray<number>): number => at(samples, 0.25)

/** The value that a tenth of the samples are below: for what does the same each time, and is only ever delayed. */
export const lowerDecile = (samples: ReadonlyArray<number>): number => at(samples, 0.1)

/** The value that half of the samples are below. */
export const median = (samples: ReadonlyArray<number>): number => at(samples, 0.5)

const at = (samples: ReadonlyArray<number>, share: number): number =>
  samples.toSorted((a, b) => a - b)[Math.floor((samples.length - 1) * share)] ?? NaN

/** The same, in another order. */
export const shuffled = <A>(items: ReadonlyArray<A>): ReadonlyArray<A> =>
  items
    .map((item) => [Math.random(), item] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, item]) => item)

/** User and system time of this process so far, all threads, in microseconds. */
export const cpu = (): number => {
  const { system, user } = process.cpuUsage()
  return user + system
}

/** Milliseconds since the epoch, by a clock that is never set back. */
export const now = (): number => performance.timeOrigin + performance.now()

/** A whole number with its thousands apart. */
export const whole = (value: number): string => Math.round(value).toLocaleString("en")

/** Columns: the first to the left, the others to the right. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all
    .map((row) =>
      widths
        .map((width, column) => column === 0 ? (row[column] ?? "").padEnd(width) : (row[column] ?? "").padStart(width))
        .join("   ")
    )
    .join("\n")
}

/** Binds a process, with all its threads, to one processor, where `taskset` is there and a second processor is. */
export const pin = (pid: number | undefined, processor: number): boolean =>
  pid !== undefined && availableParallelism() > 1 &&
  spawnSync("taskset", ["-a", "-c", "-p", String(processor), String(pid)], { stdio: "ignore" }).status === 0

/** A flag that must be a whole number above zero. */
export const count = (name: string, value: string): number => {
  const parsed = Number(value)
  if (!Number.isInteger(parsed) || parsed <= 0) throw new RangeError(`--${name} is ${value}: it must be 1 or more`)
  return parsed
}

/** A file of this folder in a process of its own, which answers each message, and has sent one when it was ready. */
export const startChild = async (file: string, args: ReadonlyArray<string>) => {
  const child = fork(new URL(file, import.meta.url), args, { execArgv: [] })
  let ended = false
  child.once("exit", () => {
    ended = true
    child.emit("message", undefined)
  })
  const next = async () => {
    const [answer] = ended ? [] : await once(child, "message")
    if (answer === undefined) throw new Error(`${file} ended`)
    return answer
  }
  const ready = await next()
  const ask = (question: object) => {
    child.send(question)
    return next()
  }
  return { child, ready, ask }
}

/** The server of the benchmarks, which sends the events of a stream in so many writes. */
export const startServer = (writes: number) => startServing("server.ts", writes)

/** A file of this folder that serves, with one argument. */
export const startServing = async (
  file: string,
  argument: number
): Promise<{ readonly server: ChildProcess; readonly url: string }> => {
  const { child, ready } = await startChild(file, [String(argument)])
  return { server: child, url: `http://127.0.0.1:${ready.port}` }
}
