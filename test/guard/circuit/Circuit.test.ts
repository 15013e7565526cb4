/**
 * Circuits: against a reference model that records everything that happened, and by example.
 *
 * `SEED=anything vitest run test/guard/circuit/Circuit.test.ts` tries other sequences.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, DateTime, Duration, Effect, Exit, Fiber, Layer, Ref, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as CircuitGuard from "../../../src/guard/circuit/guard.ts"
import * as Settings from "../../../src/guard/circuit/settings.ts"
import { CallLog, Circuit, Claude, ClaudeError, Current, type Guard, Guards, Quota } from "../../../src/index.ts"
import { FakeClaude, Faults } from "../../../src/testing/index.ts"
import { steppedBack } from "../../support/steppedBack.ts"

const seed = process.env["SEED"] ?? "resilient-claude"

const request = (model = "a", limits: Current.Limits = {}) => ({
  params: { model, max_tokens: 1, messages: [] },
  limits
})

/** A circuit reads nothing from an answer except that it has begun. */
const begun = {} as Claude.Opened

/** A store that writes its states as JSON and parses them again. */
const onPaper = (): Circuit.Store => {
  const paper = new Map<string, string>()
  return {
    modify: (key, f) =>
      Effect.sync(() => {
        const written = paper.get(key)
        const [state, result] = f(written === undefined ? Circuit.initial : JSON.parse(written))
        paper.set(key, JSON.stringify(state))
        return result
      })
  }
}

/** A custom store that keeps its states in memory. */
const plain = (): Circuit.Store => {
  const { modify } = Circuit.memory()
  return { modify }
}

/** A store that runs each update twice, as after a conflict. */
const twice = (): Circuit.Store => {
  const { modify } = Circuit.memory()
  return {
    modify: (key, f) =>
      modify(key, (state) => {
        f(state)
        return f(state)
      })
  }
}

/** Circuits, and the events they logged since the last look. */
const watched = (options: Circuit.Options, store: Circuit.Store = Circuit.memory()) => {
  const told: Array<CallLog.Event> = []
  const failed: Array<string> = []
  const circuits = CircuitGuard.make(Settings.settings(options), {
    account: "account",
    store,
    log: { emit: (event) => Effect.sync(() => void told.push(event)) },
    onStoreError: (cause) => Effect.sync(() => void failed.push(String(Cause.squash(cause))))
  })
  return { circuits, told: () => told.splice(0).map(shown), events: told, failed }
}

const shown = ({ _tag, model }: CallLog.Event) => `${_tag} ${model}`

// -----------------------------------------------------------------------------
// Reference model: the history of a circuit
// -----------------------------------------------------------------------------

const options = {
  window: 10_000,
  minimumCalls: 3,
  failureRate: 0.5,
  slow: { after: 1000, rate: 0.3 },
  openFor: 4000,
  maxOpenFor: 16_000,
  probeLease: 15_000
}

/** A transition. Calls that were admitted before the last one no longer count. */
type Turn =
  | { readonly is: "open"; readonly until: number; readonly began: number }
  | { readonly is: "closed" }
  | { readonly is: "isolated"; readonly until: number }
  | { readonly is: "probe"; readonly until: number }
  | { readonly is: "freed" }

interface Counted {
  readonly at: number
  bad: boolean
  readonly slow: boolean
}

/** The history of one circuit. All times are whole seconds, and so are the tenths of the window. */
class History {
  readonly turns: Array<Turn> = []
  /** The calls counted since the last turn. */
  counted: Array<Counted> = []
  readonly name: string
  constructor(name: string) {
    this.name = name
  }

  turn(turn: Turn): number {
    this.counted = []
    return this.turns.push(turn)
  }
  /** Its state, leaving out probes. */
  is(now: number): "closed" | "open" | "isolated" {
    const last = this.turns.findLast(({ is }) => is === "open" || is === "closed" || is === "isolated")
    if (last?.is === "isolated") return now < last.until ? "isolated" : "closed"
    return last?.is === "open" ? "open" : "closed"
  }
  /** Milliseconds until a request may be sent; 0 for now. */
  wait(now: number): number {
    const last = this.turns.findLast(({ is }) => is === "open" || is === "isolated")
    if (this.is(now) === "closed" || last === undefined || !("until" in last)) return 0
    if (now < last.until) return last.until - now
    const probe = this.turns.at(-1)
    return probe?.is === "probe" && now < probe.until ? Math.min(1000, probe.until - now) : 0
  }
  /** Admits a request. Returns its ticket, and adds the expected log events to `told`. */
  admit(now: number, lease: number, told: Array<string>): { readonly at: number; readonly probe: boolean } {
    if (this.is(now) === "open") {
      told.push(`CircuitProbing ${this.name}`)
      return { at: this.turn({ is: "probe", until: now + lease }), probe: true }
    }
    if (this.turns.at(-1)?.is === "isolated") {
      told.push(`CircuitClosed ${this.name}`)
      this.turn({ is: "closed" })
    }
    return { at: this.turns.length, probe: false }
  }
  /** When the current outage began, or `now` if there is none. */
  outage(now: number): number {
    const last = this.turns.findLast(({ is }) => is === "open" || is === "closed")
    return last?.is === "open" ? last.began : now
  }
  isLate(ticket: number): boolean {
    return ticket !== this.turns.length || this.turns.at(-1)?.is === "isolated"
  }
  count(call: Counted): Counted {
    this.counted.push(call)
    return call
  }
  /** Whether the result of this call opens the circuit. */
  trips(call: Counted, now: number): boolean {
    const recent = this.recent(now)
    const share = (of: (call: Counted) => boolean) => recent.filter(of).length / recent.length
    return recent.length >= options.minimumCalls && (
      call.bad && share(({ bad }) => bad) >= options.failureRate ||
      !call.bad && call.slow && share(({ slow }) => slow) >= options.slow.rate
    )
  }
  recent(now: number): ReadonlyArray<Counted> {
    return this.counted.filter(({ at }) => at > now - options.window)
  }
}

// -----------------------------------------------------------------------------
// Operations
// -----------------------------------------------------------------------------

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** The endings of a call, by how a circuit counts them. */
const endings = {
  succeed: [() => Exit.void, () => Exit.fail(new ClaudeError.InvalidRequest({}))],
  fail: [() => Exit.fail(new ClaudeError.Overloaded({}))],
  hint: [() => Exit.fail(new ClaudeError.ServerFault({ retryAfter: Duration.seconds(13) }))],
  neutral: [
    () => Exit.failCause(Cause.interrupt()),
    () => Exit.fail(new ClaudeError.RateLimited({ retryAfter: Duration.seconds(40) })),
    () => Exit.fail(new ClaudeError.Saturated({ by: "quota" })),
    () => Exit.die(new Error("a defect"))
  ],
  spend: [
    (now: number) =>
      Exit.fail(new ClaudeError.SpendLimitReached({ regainsAt: DateTime.formatIso(DateTime.makeUnsafe(now + 3000)) })),
    () => Exit.fail(new ClaudeError.SpendLimitReached({}))
  ]
} as const satisfies { readonly [how: string]: ReadonlyArray<(now: number) => Guard.Ending> }
type Ending = keyof typeof endings
const isEnding = (what: string): what is Ending => Object.hasOwn(endings, what)

/**
 * The operations with their weights. `begin`: the first content arrives. `linger`: minutes pass while answers run.
 * `die`: the process of a call dies.
 */
const weights = {
  admit: 16,
  wait: 14,
  pass: 9,
  succeed: 12,
  fail: 12,
  hint: 10,
  neutral: 10,
  spend: 11,
  begin: 20,
  linger: 10,
  die: 10,
  isolate: 9,
  reset: 9
}
const kinds = Object.entries(weights).flatMap(([what, weight]) => Array.from({ length: weight }, () => what))

const operation = Arbitrary.map(
  Arbitrary.all([int(0, 999), int(0, 999), int(0, 19)]),
  // The generator prefers numbers at the ends of a range, so two numbers are mixed.
  ([kind, pick, length]) => ({ what: kinds[(kind + 31 * pick) % kinds.length] ?? "pass", pick, length })
)
const script = Arbitrary.array(operation, { minLength: 200, maxLength: 200 })

/** The models that `isolate` and `reset` get: mostly b, so that the circuit of a mostly runs by itself. */
const targets = [undefined, "a", "b", "b", "b", "b", "b", "b"] as const

interface Ticket {
  readonly at: number
  readonly probe: boolean
}

interface Running {
  readonly lease: Guard.Lease
  readonly model: "a" | "b"
  own: Ticket
  account: Ticket
  readonly start: number
  /** When the answer began, and the entry that counts the call, if there is one. */
  begunAt: number | undefined
  counted: Counted | undefined
}

/** Over the whole test: how often each operation ran, and how often each rare case occurred. */
const seen = new Map<string, number>()
const rare = new Map<string, number>()
const note = (what: string, of = rare) => of.set(what, (of.get(what) ?? 0) + 1)

/** Runs the circuits and their histories side by side. */
class Bench {
  now = 0
  readonly watched
  readonly whole = new History("*")
  readonly models = { a: new History("a"), b: new History("b") }
  readonly running: Array<Running> = []
  /** By circuit: the beginning of the outage that its last successful probe ended. */
  readonly closedAfter = new Map<History, number>()
  /** The events that one operation must log. */
  readonly expected: Array<string> = []

  constructor(store: Circuit.Store) {
    this.watched = watched(options, store)
  }

  of(model: "a" | "b" | undefined): History {
    return model === undefined ? this.whole : this.models[model]
  }

  move(length: number) {
    this.now += length
    return TestClock.setTime(this.now)
  }

  /** Records that a circuit has opened. */
  opened(of: History, length: number, began: number) {
    const event = this.watched.events.find((event) => event._tag === "CircuitOpened" && event.model === of.name)
    if (event?._tag !== "CircuitOpened") return assert.fail(`${of.name} did not open`)
    assert.strictEqual(Duration.toMillis(event.openFor), length)
    of.turn({ is: "open", until: this.now + length, began })
    this.expected.push(`CircuitOpened ${of.name}`)
  }

  /** Records that a circuit has opened because of failures. */
  failing(own: History, began: number, hint = 0) {
    const quarter = Math.ceil((this.now - began) / 4)
    if (quarter > options.openFor) note("open for a quarter of a long outage")
    this.opened(own, Math.min(options.maxOpenFor, Math.max(options.openFor, quarter, hint)), began)
  }

  check() {
    assert.deepStrictEqual(this.watched.told(), this.expected.splice(0))
  }

  closed(of: History) {
    of.turn({ is: "closed" })
    this.expected.push(`CircuitClosed ${of.name}`)
  }

  *admit(model: "a" | "b", limit: number | undefined) {
    const { circuits } = this.watched
    const asked = request(model, { attempt: limit })
    const looked = yield* Effect.exit(Effect.provideService(circuits.gate(asked), Current.Deadline, this.now))
    // The gate logs no event.
    this.check()
    const got = yield* Effect.exit(circuits.admit(asked))

    const { now, whole } = this
    const own = this.models[model]
    const lease = Math.max(options.probeLease, limit ?? 0)
    const [waitForAll, wait] = [whole.wait(now), own.wait(now)]
    const account = waitForAll > 0 ? undefined : whole.admit(now, lease, this.expected)
    if (account !== undefined && wait === 0) {
      // While the circuit recovers, the call may have to wait for its turn.
      const isRecovering = own.turns.at(-1)?.is === "closed"
      assert.isTrue(isRecovering || Exit.isSuccess(looked))
      if (Exit.isFailure(looked)) note("rejected while it recovers")
      if (Exit.isFailure(got)) return assert.fail(Cause.pretty(got.cause))
      const ticket = own.admit(now, lease, this.expected)
      this.running.push({
        lease: got.value,
        model,
        own: ticket,
        account,
        start: now,
        begunAt: undefined,
        counted: undefined
      })
      return
    }
    if (account?.probe === true) {
      whole.turn({ is: "freed" })
      note("the probe of the account is given back")
    }
    const error = yield* Effect.flip(got)
    const same = yield* Effect.flip(looked)
    assert.strictEqual(same._tag, error._tag)
    const left = waitForAll > 0 ? waitForAll : wait
    if (waitForAll > 0 && whole.is(now) === "open") {
      assert.deepInclude(error, {
        _tag: "SpendLimitReached",
        model,
        regainsAt: DateTime.formatIso(DateTime.makeUnsafe(now + left))
      })
    } else {
      const retryAfter = left < Infinity ? Duration.millis(left) : undefined
      assert.deepInclude(error, { _tag: "CircuitOpen", model, retryAfter })
    }
    if (left <= 1000) note("rejected while another probes")
  }

  /** Records that an answer began, or that a call succeeded without an answer. */
  succeeded(call: Running, slow: boolean) {
    const { now, whole } = this
    const own = this.models[call.model]
    const { account, own: ticket } = call
    if (own.isLate(ticket.at)) note(ticket.probe ? "a late probe" : "a late call")
    else if (ticket.probe && slow) {
      note("a probe: slow")
      this.failing(own, own.outage(now))
    } else {
      const counted = { at: now, bad: false, slow }
      call.counted = counted
      if (ticket.probe) {
        note("a probe: succeed")
        const { running } = this
        if (running.some((other) => other !== call && other.begunAt !== undefined)) note("recovers while answers run")
        this.closedAfter.set(own, own.outage(now))
        this.closed(own)
        own.count(counted)
        call.own = { at: own.turns.length, probe: true }
      } else if (own.trips(own.count(counted), now)) {
        note("opened by slow answers")
        this.failing(own, now)
      }
    }
    if (!account.probe || whole.isLate(account.at)) return
    note("a probe of the account: succeed")
    this.closed(whole)
    call.account = { at: whole.turns.length, probe: false }
  }

  *begin(call: Running) {
    const { now } = this
    call.begunAt = now
    yield* call.lease.opened?.(begun) ?? Effect.void
    this.succeeded(call, now - call.start > options.slow.after)
  }

  *settle(call: Running, how: Ending, pick: number) {
    const { now, whole } = this
    const { account, begunAt, counted, lease, model, own: ticket } = call
    const exits: ReadonlyArray<(now: number) => Guard.Ending> = endings[how]
    yield* lease.settle(exits[pick % exits.length]?.(now) ?? Exit.void)
    if (how === "succeed" && begunAt === undefined) return this.succeeded(call, false)
    if (begunAt !== undefined && now - begunAt >= 60_000) note("an answer of minutes")

    const own = this.models[model]
    const isBad = how === "fail" || how === "hint"
    if (own.isLate(ticket.at)) note(ticket.probe ? "a late probe" : "a late call")
    else if (begunAt === undefined) {
      const hint = how === "hint" ? 13_000 : 0
      if (ticket.probe) {
        note(`a probe: ${how}`)
        if (isBad) this.failing(own, own.outage(now), hint)
        else own.turn({ is: "freed" })
      } else if (isBad && own.trips(own.count({ at: now, bad: true, slow: false }), now)) {
        note("opened by failures")
        this.failing(own, now, hint)
      }
    } else if (isBad && counted !== undefined) {
      const isRecent = counted.at > now - options.window
      const before = own.recent(now).length
      counted.bad = isRecent
      if (!isRecent) note("broke after it had left the window")
      else if (ticket.probe) {
        note("a probe broke off")
        this.failing(own, this.closedAfter.get(own) ?? assert.fail("it had closed it"))
      } else if (own.trips(counted, now)) {
        note("opened by answers that broke off")
        this.failing(own, now)
      } else assert.strictEqual(own.recent(now).length, before)
    }
    if (whole.isLate(account.at)) note("late for the account")
    else if (how === "spend") {
      if (account.probe) note("a probe of the account: spend")
      const length = pick % exits.length === 0 ? 3000 : 600_000
      this.opened(whole, length, now)
    } else if (account.probe) {
      note(`a probe of the account: ${how}`)
      // An account that gets a rate limit has not reached its spend limit.
      if (how === "neutral" && pick % exits.length === 1) this.closed(whole)
      else whole.turn({ is: "freed" })
    }
  }

  *run({ length, pick, what }: { readonly what: string; readonly pick: number; readonly length: number }) {
    const { circuits } = this.watched
    // If no call runs, operations on a call first make one, as soon as the circuits admit it.
    if (this.running.length === 0 && (isEnding(what) || what === "begin" || what === "die")) {
      for (const history of [this.whole, this.models.a]) {
        if (history.wait(this.now) === Infinity) {
          this.closed(history)
          yield* circuits.reset(history === this.whole ? undefined : "a")
        }
      }
      while (this.whole.wait(this.now) > 0 || this.models.a.wait(this.now) > 0) {
        yield* this.move(Math.max(this.whole.wait(this.now), this.models.a.wait(this.now)))
      }
      yield* this.admit("a", undefined)
    }
    note(what, seen)
    const model = targets[pick % 8]
    switch (what) {
      case "pass":
        return yield* this.move((length < 15 ? length % 5 : length) * 1000)
      case "linger":
        return yield* this.move((1 + length % 10) * 60_000)
      case "wait": {
        // Waits until a request may be sent, or ends a second earlier.
        const wait = Math.max(this.whole.wait(this.now), this.models.a.wait(this.now))
        return yield* this.move(wait < Infinity ? Math.max(0, wait - (length === 0 ? 1000 : 0)) : 0)
      }
      case "isolate": {
        const until = pick % 5 === 0 ? undefined : (1 + length % 6) * 1000
        this.of(model).turn({ is: "isolated", until: until === undefined ? Infinity : this.now + until })
        this.expected.push(`CircuitIsolated ${model ?? "*"}`)
        return yield* circuits.isolate(model, until)
      }
      case "reset": {
        // Prefers a circuit that only a reset can close.
        const needed = ([undefined, "a", "b"] as const).find((model) => this.of(model).wait(this.now) === Infinity)
        const target = needed ?? model
        this.closed(this.of(target))
        return yield* circuits.reset(target)
      }
      case "admit":
        for (let i = 0; i <= length % 3; i++) {
          yield* this.admit((pick + i) % 5 === 0 ? "b" : "a", length < 12 ? undefined : length * 1000)
        }
        this.running.splice(0, this.running.length - 8)
        return
    }
    // Prefers recent calls: older ones are mostly stale.
    const back = what === "spend" && pick % 3 > 0
      ? this.running.length - 1
      : ([0, 0, 0, 1, 1, 2][pick % 6] ?? 0) % Math.max(1, this.running.length)
    const isNew = what === "begin" ? this.running.findLastIndex(({ begunAt }) => begunAt === undefined) : -1
    const index = isNew < 0 ? this.running.length - 1 - back : isNew
    const call = this.running[index]
    if (call === undefined) return assert.fail("there is a call")
    if (what === "begin") {
      if (call.begunAt !== undefined) return
      yield* this.move(pick % 2 * 2000)
      return yield* this.begin(call)
    }
    this.running.splice(index, 1)
    if (isEnding(what)) yield* this.settle(call, what, pick)
    else if (call.own.probe) note("a probe died")
  }

  /** Compares the status. */
  *look() {
    const status = yield* this.watched.circuits.status
    assert.strictEqual(status.account.state, stateOf(this.whole, this.now))
    for (const [model, { retryAfter, state }] of Object.entries(status.circuits)) {
      const own = this.of(model === "a" ? "a" : "b")
      assert.strictEqual(state, stateOf(own, this.now))
      const wait = own.wait(this.now)
      assert.strictEqual(retryAfter, wait > 0 && wait < Infinity ? wait : undefined)
    }
  }
}

/** Rare cases that must have occurred. */
const rarities = [
  "opened by failures",
  "opened by slow answers",
  "opened by answers that broke off",
  "open for a quarter of a long outage",
  "an answer of minutes",
  "broke after it had left the window",
  "recovers while answers run",
  "rejected while it recovers",
  "a probe broke off",
  "a probe: slow",
  "a probe: succeed",
  "a probe: fail",
  "a probe: hint",
  "a probe: neutral",
  "a probe died",
  "a late probe",
  "a late call",
  "late for the account",
  "rejected while another probes",
  "a probe of the account: succeed",
  "a probe of the account: neutral",
  "a probe of the account: spend",
  "the probe of the account is given back"
]

describe("circuits against a reference model", () => {
  it.effect.prop(
    "G3 G4 G5 G9: admit, reject and log as the model does, for random calls and with three kinds of stores",
    { script, kept: int(0, 2) },
    ({ kept, script }) =>
      Effect.gen(function*() {
        const bench = new Bench([Circuit.memory, onPaper, twice][kept]?.() ?? Circuit.memory())
        for (const operation of script) {
          yield* bench.run(operation)
          bench.check()
          if (operation.length % 4 === 0) yield* bench.look()
        }
      }).pipe(Effect.provide(TestClock.layer())),
    { arbitrary: { runs: 100, seed, size: 1000 }, timeout: 60_000 }
  )

  it("were tested with every operation in at least 5 % of the steps, and with every rare case", () => {
    const total = [...seen.values()].reduce((sum, count) => sum + count, 0)
    assert.isAtLeast(total, 10_000)
    for (const [what, count] of seen) assert.isAtLeast(count, total / 20, what)
    for (const what of rarities) assert.isAtLeast(rare.get(what) ?? 0, 3, what)
  })
})

const stateOf = (history: History, now: number) => {
  const is = history.is(now)
  const last = history.turns.findLast((turn) => turn.is === "open")
  return is === "open" && last?.is === "open" && last.until <= now ? "half-open" : is
}

// -----------------------------------------------------------------------------
// Examples
// -----------------------------------------------------------------------------

describe("circuit settings", () => {
  it("have defaults", () => {
    assert.deepStrictEqual(Settings.settings({}), {
      window: 60_000,
      minimumCalls: 20,
      failureRate: 0.9,
      slowAfter: Infinity,
      slowRate: Infinity,
      openFor: 5000,
      maxOpenFor: 30_000,
      recheck: 1000,
      probeLease: 150_000
    })
    assert.strictEqual(Settings.settings({ openFor: "1 hour" }).maxOpenFor, 3_600_000)
  })

  it("G12: are rejected with a message if they are invalid", () => {
    const table: ReadonlyArray<readonly [Circuit.Options, RegExp]> = [
      [{ openFor: "1 hour", maxOpenFor: "1 minute" }, /longer than maxOpenFor .*: raise maxOpenFor or lower openFor/],
      [{ failureRate: 0 }, /failureRate is 0: it must be above 0 and at most 1/],
      [{ failureRate: 1.1 }, /failureRate is 1.1: it must be above 0 and at most 1/],
      [{ minimumCalls: 0 }, /minimumCalls is 0: it must be a whole number/],
      [{ slow: { after: "1 second", rate: 2 } }, /slow.rate is 2/],
      [{ slow: { after: 0, rate: 1 } }, /slow.after is 0/],
      // A circuit with an infinite time would never probe again, and could give no retryAfter.
      ...(["window", "openFor", "maxOpenFor", "probeLease"] as const).map((name) =>
        [{ [name]: "Infinity" }, new RegExp(`${name} is infinite: it must be a finite duration`)] as const
      ),
      [{ slow: { after: "Infinity", rate: 1 } }, /slow.after is infinite/]
    ]
    for (const [options, sentence] of table) assert.throws(() => Settings.settings(options), sentence)
  })
})

const failed = Exit.fail(new ClaudeError.Overloaded({}))

/** Circuits that open on the first failure, for a second. */
const nervous = { minimumCalls: 1, openFor: "1 second", probeLease: "10 seconds" } as const

const admitAndSettle = (circuits: Guard.Guard, exit: Guard.Ending, model?: string) =>
  Effect.flatMap(circuits.admit(request(model)), ({ settle }) => settle(exit))

describe("a probe", () => {
  it.effect("G5: keeps other calls out for the time limit of its attempt, if that is longer than its lease", () =>
    Effect.gen(function*() {
      const { circuits } = watched(nervous)
      yield* admitAndSettle(circuits, failed)
      yield* TestClock.adjust("1 second")
      yield* circuits.admit(request("a", { attempt: "1 minute" }))
      yield* TestClock.adjust("59 seconds")
      assert.deepInclude(yield* Effect.flip(circuits.gate(request())), { retryAfter: Duration.seconds(1) })
      yield* TestClock.adjust("1 second")
      yield* circuits.admit(request())
    }))

  it.effect("G5: is replaced after its lease, even if its attempt has no time-out", () =>
    Effect.gen(function*() {
      const { circuits } = watched(nervous)
      yield* admitAndSettle(circuits, failed)
      yield* TestClock.adjust("1 second")
      yield* circuits.admit(request("a", { attempt: "Infinity" }))
      yield* TestClock.adjust("9 seconds")
      yield* Effect.flip(circuits.admit(request()))
      yield* TestClock.adjust("1 second")
      yield* circuits.admit(request())
    }))

  it.effect("is the only call that is admitted when many calls come at the same time", () =>
    Effect.gen(function*() {
      const { circuits, told } = watched(nervous)
      yield* admitAndSettle(circuits, failed)
      yield* TestClock.adjust("1 second")
      const all = yield* Effect.forEach(
        Array.from({ length: 200 }),
        () => Effect.exit(Effect.andThen(circuits.gate(request()), circuits.admit(request()))),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(all.filter(Exit.isSuccess), 1)
      assert.deepStrictEqual(told(), ["CircuitOpened a", "CircuitProbing a"])
    }))

  it.effect("G3: is counted by the circuit that it closes, but a request that was admitted before the circuit opened is not counted", () =>
    Effect.gen(function*() {
      for (const store of [Circuit.memory(), plain()]) {
        const { circuits } = watched(nervous, store)
        const old = yield* circuits.admit(request())
        yield* admitAndSettle(circuits, failed)
        yield* TestClock.adjust("1 second")
        yield* admitAndSettle(circuits, Exit.void)
        yield* old.settle(Exit.void)
        assert.deepInclude((yield* circuits.status).circuits["a"], { state: "closed", calls: 1 }, "the probe")
        yield* admitAndSettle(circuits, Exit.void)
        assert.deepInclude((yield* circuits.status).circuits["a"], { state: "closed", calls: 2 })
      }
    }))
})

describe("a circuit without requests for an hour", () => {
  it.effect("is dropped when another model is called for the first time, unless it is open", () =>
    Effect.gen(function*() {
      const store = Circuit.memory()
      const { circuits } = watched(nervous, store)
      for (let i = 0; i < 100; i++) yield* admitAndSettle(circuits, Exit.void, `model ${i}`)
      yield* admitAndSettle(circuits, failed, "down")
      yield* TestClock.adjust("59 minutes")
      yield* admitAndSettle(circuits, Exit.void, "model 7")
      yield* TestClock.adjust("1 minute")
      yield* admitAndSettle(circuits, Exit.void, "new")
      const names = ["model 7", "down", "new"]
      assert.sameMembers(Object.keys((yield* circuits.status).circuits), names)
      /** How many calls the store has counted for a circuit. */
      const counted = (name: string) =>
        store.modify(`account/${name}`, (state) => [state, state._tag === "Closed" ? state.slices.length : 1])
      const known = yield* Effect.filter(
        [...names, "model 0", "model 99"],
        (name) => Effect.map(counted(name), (calls) => calls > 0)
      )
      assert.deepStrictEqual(known, names)
      assert.strictEqual((yield* circuits.status).circuits["down"]?.state, "half-open")
    }))
})

describe("a circuit whose clock is set back by an hour", () => {
  it.effect("stays open for at most its original wait, with three kinds of stores", () =>
    steppedBack((back) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("10 hours")
        for (const store of [Circuit.memory(), plain(), onPaper()]) {
          const { circuits } = watched(nervous, store)
          yield* admitAndSettle(circuits, failed)
          yield* back(3_600_000)
          yield* Effect.flip(circuits.gate(request()))
          assert.isAtMost((yield* circuits.status).circuits["a"]?.retryAfter ?? NaN, 1000)
          yield* TestClock.adjust("1 second")
          assert.deepInclude((yield* circuits.status).circuits["a"], { state: "half-open" })
          yield* circuits.gate(request())
          yield* circuits.admit(request())
        }
      })
    ))
})

describe("CircuitIsolated", () => {
  it.effect("says for how long the circuit is isolated: for the given time, or until a reset", () =>
    Effect.gen(function*() {
      const { circuits, events } = watched({})
      yield* circuits.isolate("a", 60_000)
      yield* circuits.isolate("b", undefined)
      assert.deepStrictEqual(
        events.map((event) => event._tag === "CircuitIsolated" ? [event.openFor, event.why] : event),
        [[Duration.minutes(1), "isolated by hand"], [undefined, "isolated by hand, until a reset"]]
      )
    }))
})

describe("a circuit that is isolated for a time", () => {
  it.effect("logs once that it has closed, at the first request after that time", () =>
    Effect.gen(function*() {
      const { circuits, told } = watched({})
      yield* circuits.isolate("a", 60_000)
      yield* TestClock.adjust("1 minute")
      yield* circuits.gate(request())
      assert.deepStrictEqual(told(), ["CircuitIsolated a"])
      yield* circuits.admit(request())
      yield* circuits.admit(request())
      assert.deepStrictEqual(told(), ["CircuitClosed a"])
    }))

  it.effect("stays isolated until a reset if the time is infinite, even with a store that writes JSON", () =>
    Effect.gen(function*() {
      const { circuits } = watched({}, onPaper())
      yield* circuits.isolate(undefined, Infinity)
      const error = yield* Effect.flip(circuits.gate(request()))
      assert.strictEqual(error._tag, "CircuitOpen")
      assert.isUndefined(ClaudeError.retryAfter(error))
      yield* circuits.reset(undefined)
      yield* circuits.gate(request())
    }))
})

describe("a circuit with a failing store", () => {
  it.effect("G15: lets calls through, and logs no transition that did not happen", () =>
    Effect.gen(function*() {
      const { circuits, failed: reported, told } = watched(nervous, { modify: () => Effect.fail("it is down") })
      const spent = Exit.fail(new ClaudeError.SpendLimitReached({}))
      for (const exit of [failed, spent, Exit.void]) {
        yield* circuits.gate(request())
        yield* admitAndSettle(circuits, exit)
      }
      yield* circuits.isolate("a", undefined)
      yield* circuits.reset("a")
      assert.deepInclude(yield* circuits.status, { account: nothing, circuits: { a: nothing } })
      assert.deepStrictEqual(told(), [])
      assert.strictEqual(reported.length, 3 * 5 + 1 + 2 + 2)
    }))
})

const nothing: Circuit.Status = {
  state: "closed",
  calls: 0,
  failures: 0,
  retryAfter: undefined,
  why: undefined,
  waiting: 0
}

// -----------------------------------------------------------------------------
// With Claude
// -----------------------------------------------------------------------------

const guarded = (
  guards: Guards.Guards,
  playable: Faults.Playable,
  stores: { readonly circuits?: Circuit.Store; readonly quota?: Quota.Store } = {}
) =>
  FakeClaude.layer(playable).pipe(
    Guards.apply(guards),
    Layer.provideMerge(CallLog.layerMemory),
    Layer.provide(Layer.succeed(Circuit.Store, stores.circuits)),
    Layer.provide(Layer.succeed(Quota.Store, stores.quota))
  )

const warnings = Effect.map(
  Effect.flatMap(CallLog.Memory, Ref.get),
  (all) => all.flatMap((event) => event._tag === "Warning" ? [event.message] : [])
)

const transitions = Effect.map(
  Effect.flatMap(CallLog.Memory, Ref.get),
  (all) => all.filter(({ _tag }) => _tag.startsWith("Circuit")).map(shown)
)

const [sonnet, haiku] = ["claude-sonnet-5-5", "claude-haiku-5-5"]
const ask = Claude.text("hi")

describe("an account at its spend limit", () => {
  it.effect("is blocked for all models until it regains access, then probed once", () =>
    Effect.gen(function*() {
      const regains = DateTime.toEpochMillis(DateTime.makeUnsafe("2026-12-01T00:00:00Z"))
      assert.strictEqual((yield* Effect.flip(ask))._tag, "SpendLimitReached")
      yield* TestClock.setTime(regains - 1)
      const error = yield* Effect.flip(Claude.withModel(ask, haiku))
      assert.deepInclude(error, {
        _tag: "SpendLimitReached",
        model: haiku,
        detail:
          "nothing was sent, because an earlier call reached the limit; the next probe is at 2026-12-01T00:00:00.000Z",
        regainsAt: "2026-12-01T00:00:00.000Z"
      })
      assert.lengthOf(yield* FakeClaude.received, 1)
      yield* TestClock.setTime(regains)
      const probe = yield* Effect.forkChild(ask, { startImmediately: true })
      assert.strictEqual((yield* Effect.flip(Claude.withModel(ask, haiku)))._tag, "SpendLimitReached")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(probe), "well")
      assert.strictEqual(yield* Claude.withModel(ask, haiku), "well")
      assert.deepStrictEqual(yield* transitions, ["CircuitOpened *", "CircuitProbing *", "CircuitClosed *"])
    }).pipe(Effect.provide(
      guarded({ circuit: {} }, [
        Faults.spendLimited,
        Faults.delayed(Faults.answer("well"), "1 second"),
        Faults.answer("well")
      ])
    )))

  it.effect("is probed every ten minutes if the API gave no date", () =>
    Effect.gen(function*() {
      yield* Effect.flip(ask)
      for (let sent = 1; sent <= 3; sent++) {
        yield* TestClock.adjust("599 seconds")
        yield* Effect.flip(ask)
        assert.lengthOf(yield* FakeClaude.received, sent)
        yield* TestClock.adjust("1 second")
        yield* Effect.flip(ask)
        assert.lengthOf(yield* FakeClaude.received, sent + 1)
      }
    }).pipe(Effect.provide(guarded({ circuit: {} }, Faults.cycle(Faults.billing)))))

  it.effect("stays blocked if its probe fails with Overloaded, and is unblocked if the next probe fails with RateLimited", () =>
    Effect.gen(function*() {
      yield* Effect.flip(ask)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* Effect.flip(ask))._tag, "Overloaded")
      assert.strictEqual((yield* Effect.flip(ask))._tag, "RateLimited")
      // An account that gets a rate limit has not reached its spend limit.
      assert.strictEqual(yield* Claude.withModel(ask, haiku), "well")
      assert.deepStrictEqual(yield* transitions, [
        "CircuitOpened *",
        "CircuitProbing *",
        "CircuitProbing *",
        "CircuitClosed *"
      ])
    }).pipe(Effect.provide(
      guarded({ circuit: {} }, [Faults.billing, Faults.overloaded, Faults.rateLimited(), Faults.answer("well")])
    )))

  it.effect("G3: is not blocked again by a request from before a reset", () =>
    Effect.gen(function*() {
      const slow = yield* Effect.forkChild(Effect.flip(ask), { startImmediately: true })
      yield* Effect.flip(ask)
      yield* Guards.reset()
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(slow))._tag, "SpendLimitReached")
      assert.strictEqual(yield* ask, "well")
    }).pipe(Effect.provide(
      guarded({ circuit: {} }, [
        Faults.delayed(Faults.billing, "1 second"),
        Faults.billing,
        Faults.answer("well")
      ])
    )))
})

describe("Guards.isolate", () => {
  it.effect("blocks one model until Guards.reset is called for it, and all models for the given time", () =>
    Effect.gen(function*() {
      yield* Guards.isolate(sonnet)
      assert.deepInclude(yield* Effect.flip(ask), {
        _tag: "CircuitOpen",
        why: "isolated by hand",
        retryAfter: undefined
      })
      assert.strictEqual(yield* Claude.withModel(ask, haiku), "well")
      yield* Guards.isolate(undefined, "1 minute")
      assert.deepInclude(yield* Effect.flip(Claude.withModel(ask, haiku)), {
        _tag: "CircuitOpen",
        retryAfter: Duration.minutes(1)
      })
      assert.deepInclude(yield* Guards.status, {
        account: { ...nothing, state: "isolated", retryAfter: 60_000, why: "isolated by hand" },
        circuits: {
          [sonnet]: { ...nothing, state: "isolated", why: "isolated by hand" },
          [haiku]: { ...nothing, calls: 1 }
        }
      })
      yield* Guards.reset(sonnet)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* ask, "well")
      assert.deepStrictEqual(yield* transitions, [
        `CircuitIsolated ${sonnet}`,
        "CircuitIsolated *",
        `CircuitClosed ${sonnet}`,
        "CircuitClosed *"
      ])
    }).pipe(Effect.provide(guarded({ circuit: {} }, Faults.cycle(Faults.answer("well"))))))
})

describe("custom stores", () => {
  const everything = { circuit: {}, concurrency: { max: 2 }, quota: { requests: 60, inputTokens: 1_000_000 } }
  const broken = (how: Effect.Effect<never, unknown>) => ({
    circuits: { modify: () => how },
    quota: { take: () => how, add: () => how, sync: () => how, levels: () => how }
  })

  it.effect.each(
    [
      ["fail", Effect.fail("the words of it"), "string"],
      ["die", Effect.die(new TypeError("the words of it")), "TypeError"]
    ] as const satisfies ReadonlyArray<readonly [string, Effect.Effect<never, unknown>, string]>
  )("G15: that %s are reported once a minute, and fail no call", ([, how, name]) =>
    Effect.gen(function*() {
      for (let minute = 1; minute <= 3; minute++) {
        for (let i = 0; i < 20; i++) assert.strictEqual(yield* ask, "well")
        yield* Guards.status
        assert.deepStrictEqual(
          yield* warnings,
          Array.from(
            { length: minute },
            () =>
              `a store of the guards failed (${name}): calls go on as if it were empty, so circuits and quotas stop no calls until it works again`
          )
        )
        yield* TestClock.adjust("1 minute")
      }
    }).pipe(Effect.provide(guarded(everything, Faults.cycle(Faults.answer("well")), broken(how)))))

  it.effect("G15: that throw instead of returning an effect fail no call", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* ask, "well")
      assert.lengthOf(yield* warnings, 1)
    }).pipe(Effect.provide(guarded(everything, Faults.cycle(Faults.answer("well")), {
      circuits: {
        modify: () => {
          throw new TypeError("no effect")
        }
      }
    }))))

  it.effect.each([["interruptible", Effect.never], ["uninterruptible", Effect.uninterruptible(Effect.never)]] as const)(
    "G15: that hang (%s) delay one call by one second for each store, and then no call for ten seconds",
    ([, how]) =>
      Effect.gen(function*() {
        const first = yield* Effect.forkChild(ask, { startImmediately: true })
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(first.pollUnsafe())
        yield* TestClock.adjust("1001 millis")
        assert.deepStrictEqual(first.pollUnsafe(), Exit.succeed("well"))
        for (let i = 0; i < 20; i++) assert.strictEqual(yield* ask, "well")
        assert.lengthOf(yield* warnings, 1)
        assert.match((yield* warnings)[0] ?? "", /TimeoutError/)
        yield* TestClock.adjust("10 seconds")
        const next = yield* Effect.forkChild(ask, { startImmediately: true })
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(next.pollUnsafe(), "the store is tried again")
        yield* TestClock.adjust("1001 millis")
        assert.deepStrictEqual(next.pollUnsafe(), Exit.succeed("well"))
      }).pipe(Effect.provide(guarded(everything, Faults.cycle(Faults.answer("well")), broken(how))))
  )

  it.effect("G1: that hang do not hold up an interrupt", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(ask, { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(call)
      assert.lengthOf(yield* FakeClaude.received, 0)
    }).pipe(Effect.provide(guarded({ circuit: {} }, [Faults.answer("well")], broken(Effect.never)))))

  it.effect("that write their states as JSON let two processes share an open circuit", () =>
    Effect.gen(function*() {
      const store = onPaper()
      const process = (playable: Faults.Playable) => guarded({ circuit: {} }, playable, { circuits: store })
      yield* Effect.repeat(Effect.flip(ask), { times: 19 }).pipe(
        Effect.provide(process(Faults.cycle(Faults.overloaded)))
      )
      const error = yield* Effect.flip(ask).pipe(Effect.provide(process([])))
      assert.strictEqual(error._tag, "CircuitOpen")
    }))
})
