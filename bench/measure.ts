/**
 * The measuring and printing that the benchmarks share.
 *
 * On a noisy machine, a loop may run several times slower for some seconds. So each case is measured in many short
 * slices that alternate with those of the others, and its figure is the lower quartile, which is stable when mean and
 * median are not.
 */
import { type ChildProcess, fork, spawnSync } from "node:child_process"
import { once } from "node:events"
import { availableParallelism } from "node:os"

export const lowerQuartile = (samples: ReadonlyArray<number>): number => at(samples, 0.25)

/** For work that is the same each time: the differences are delays from outside. */
export const lowerDecile = (samples: ReadonlyArray<number>): number => at(samples, 0.1)

export const median = (samples: ReadonlyArray<number>): number => at(samples, 0.5)

const at = (samples: ReadonlyArray<number>, share: number): number =>
  samples.toSorted((a, b) => a - b)[Math.floor((samples.length - 1) * share)] ?? NaN

/** The items in random order. */
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

/** Formats a whole number with separators for thousands. */
export const whole = (value: number): string => Math.round(value).toLocaleString("en")

/** Formats a table: the first column is aligned to the left, the others to the right. */
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

/** Binds a process with all its threads to one processor. Returns false without `taskset` or a second processor. */
export const pin = (pid: number | undefined, processor: number): boolean =>
  pid !== undefined && availableParallelism() > 1 &&
  spawnSync("taskset", ["-a", "-c", "-p", String(processor), String(pid)], { stdio: "ignore" }).status === 0

/** Parses a flag that must be a whole number above zero. */
export const count = (name: string, value: string): number => {
  const parsed = Number(value)
  if (!Number.isInteger(parsed) || parsed <= 0) throw new RangeError(`--${name} is ${value}: it must be 1 or more`)
  return parsed
}

/** Starts a file of this folder as a child process that sends a message when it is ready, and then answers each message. */
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

/** Starts the server of the benchmarks, which sends the events of a stream in `writes` pieces. */
export const startServer = (writes: number) => startServing("server.ts", writes)

/** Starts a server from a file of this folder, with one argument. */
export const startServing = async (
  file: string,
  argument: number
): Promise<{ readonly server: ChildProcess; readonly url: string }> => {
  const { child, ready } = await startChild(file, [String(argument)])
  return { server: child, url: `http://127.0.0.1:${ready.port}` }
}
