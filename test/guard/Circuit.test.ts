/**
 * Circuits: against a list of all that happened, and one by one.
 *
 * `SEED=anything vitest run test/guard/Circuit.test.ts` looks elsewhere.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, DateTime, Duration, Effect, Exit, Fiber, Layer, Random, Ref, Schema } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Circuit, Claude, ClaudeError, type Current, type Guard, Guards, Quota } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"
import { steppedBack } from "../steppedBack.ts"

const seed = process.env["SEED"] ?? "resilient-claude"

const request = (model = "a", limits: Current.Limits = {}) => ({
  params: { model, max_tokens: 1, messages: [] },
  limits
})

/** A circuit looks at no more of an answer than that it has begun. */
const begun = {} as Claude.Opened

/** A store whose states are written down and read again. */
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

/** A store that cannot be had at once. */
const plain = (): Circuit.Store => {
  const { modify } = Circuit.memory()
  return { modify }
}

/** A store that does not believe what it is told at first. */
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

/** Circuits, what they have told since the last look, and which models were said to have recovered. */
const watched = (options: Circuit.Options, store: Circuit.Store = Circuit.memory()) => {
  const told: Array<CallLog.Event> = []
  const recovered: Array<string> = []
  const failed: Array<string> = []
  const circuits = Circuit.make(Circuit.settings(options), {
    account: "account",
    store,
    log: { emit: (event) => Effect.sync(() => void told.push(event)) },
    onClosed: (model) => void recovered.push(model),
    onStoreError: (cause) => Effect.sync(() => void failed.push(String(Cause.squash(cause))))
  })
  return { circuits, told: () => told.splice(0).map(shown), events: told, recovered, failed }
}

const shown = ({ _tag, model }: CallLog.Event) => `${_tag} ${model}`

/** Shorter by half of this share. */
let jitter = 0
const jittered = Effect.provideService(Random.Random, { nextIntUnsafe: () => 1, nextDoubleUnsafe: () => jitter })

// -----------------------------------------------------------------------------
// A model: what happened, and what follows from it
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

/** What changed the right to send. A call that was let in before the last of them has nothing to say. */
type Turn =
  | { readonly is: "open"; readonly until: number }
  | { readonly is: "closed" }
  | { readonly is: "isolated"; readonly until: number }
  | { readonly is: "probe"; readonly until: number }
  | { readonly is: "freed" }

interface End {
  readonly at: number
  readonly bad: boolean
  readonly slow: boolean
}

/** All times are whole seconds, and so are the tenths of the window. A circuit as the list of what happened to it. */
class History {
  readonly turns: Array<Turn> = []
  /** The ends of calls since the last turn. */
  ends: Array<End> = []
  readonly name: string
  constructor(name: string) {
    this.name = name
  }

  turn(turn: Turn): number {
    this.ends = []
    return this.turns.push(turn)
  }
  /** What it is, leaving out its probes. */
  is(now: number): "closed" | "open" | "isolated" {
    const last = this.turns.findLast(({ is }) => is === "open" || is === "closed" || is === "isolated")
    if (last?.is === "isolated") return now < last.until ? "isolated" : "closed"
    return last?.is === "open" ? "open" : "closed"
  }
  /** When it may be asked again; 0 for now. */
  wait(now: number): number {
    const last = this.turns.findLast(({ is }) => is === "open" || is === "isolated")
    if (this.is(now) === "closed" || last === undefined || !("until" in last)) return 0
    if (now < last.until) return last.until - now
    const probe = this.turns.at(-1)
    return probe?.is === "probe" && now < probe.until ? Math.min(1000, probe.until - now) : 0
  }
  /** Lets one in: what it is told, and its ticket. */
  admit(now: number, lease: number, told: Array<string>): { readonly at: number; readonly probe: boolean } {
    if (this.is(now) === "open") {
      told.push(`CircuitProbed ${this.name}`)
      return { at: this.turn({ is: "probe", until: now + lease }), probe: true }
    }
    if (this.turns.at(-1)?.is === "isolated") {
      told.push(`CircuitClosed ${this.name}`)
      this.turn({ is: "closed" })
    }
    return { at: this.turns.length, probe: false }
  }
  /** How many times it has opened since it was last well. */
  row(): number {
    return this.turns.slice(this.turns.findLastIndex(({ is }) => is === "closed" || is === "isolated") + 1)
      .filter(({ is }) => is === "open").length
  }
  isLate(ticket: number): boolean {
    return ticket !== this.turns.length || this.turns.at(-1)?.is === "isolated"
  }
  /** Whether a call that ended well or badly opens it. */
  trips(end: End): boolean {
    this.ends.push(end)
    const recent = this.ends.filter(({ at }) => at > end.at - options.window)
    const share = (of: (end: End) => boolean) => recent.filter(of).length / recent.length
    return recent.length >= options.minimumCalls && (
      end.bad && share(({ bad }) => bad) >= options.failureRate ||
      end.slow && share(({ slow }) => slow) >= options.slow.rate
    )
  }
}

// -----------------------------------------------------------------------------
// What may happen
// -----------------------------------------------------------------------------

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** How a call may end, by what that is to a circuit. */
const endings = {
  succeed: [() => Exit.void, () => Exit.fail(new ClaudeError.InvalidRequest({}))],
  fail: [() => Exit.fail(new ClaudeError.Overloaded({}))],
  hint: [() => Exit.fail(new ClaudeError.ServerFault({ retryAfter: Duration.seconds(13) }))],
  neutral: [
    () => Exit.failCause(Cause.interrupt()),
    () => Exit.fail(new ClaudeError.RateLimited({ retryAfter: Duration.seconds(40) })),
    () => Exit.fail(new ClaudeError.Saturated({ by: "quota" })),
    () => Exit.die(new Error("a bug of ours"))
  ],
  spend: [
    (now: number) =>
      Exit.fail(new ClaudeError.SpendLimitReached({ regainsAt: DateTime.formatIso(DateTime.makeUnsafe(now + 3000)) })),
    () => Exit.fail(new ClaudeError.SpendLimitReached({}))
  ]
} as const satisfies { readonly [how: string]: ReadonlyArray<(now: number) => Guard.Ending> }
type Ending = keyof typeof endings
const isEnding = (what: string): what is Ending => Object.hasOwn(endings, what)

/** As often as is said here. `begin`: the first content is here. `die`: the process of a call is gone. */
const weights = {
  admit: 16,
  wait: 14,
  pass: 8,
  succeed: 12,
  fail: 12,
  hint: 10,
  neutral: 10,
  spend: 11,
  begin: 13,
  die: 10,
  isolate: 9,
  reset: 8
}
const kinds = Object.entries(weights).flatMap(([what, weight]) => Array.from({ length: weight }, () => what))

const operation = Arbitrary.map(
  Arbitrary.all([int(0, 999), int(0, 999), int(0, 19)]),
  // Numbers at the ends of a range are drawn more often.
  ([kind, pick, length]) => ({ what: kinds[(kind + 31 * pick) % kinds.length] ?? "pass", pick, length })
)
const script = Arbitrary.array(operation, { minLength: 200, maxLength: 200 })

/** Whom a hand reaches for: so that the other is often left to itself. */
const targets = [undefined, "a", "b", "b", "b", "b", "b", "b"] as const

interface Ticket {
  readonly at: number
  readonly probe: boolean
}

interface Running {
  readonly lease: Guard.Lease
  readonly model: "a" | "b"
  readonly own: Ticket
  readonly account: Ticket
  readonly start: number
  slow: boolean
}

/** What is true of the whole test: how often something was done, and how often it came to what is rare. */
const seen = new Map<string, number>()
const rare = new Map<string, number>()
const note = (what: string, of = rare) => of.set(what, (of.get(what) ?? 0) + 1)

/** Circuits and the list, side by side. */
class Bench {
  now = 0
  readonly watched
  readonly whole = new History("*")
  readonly models = { a: new History("a"), b: new History("b") }
  readonly running: Array<Running> = []
  /** What must be told of one operation. */
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

  /** It opened: for how long is in what was told. */
  opened(of: History, least: number, most: number) {
    const event = this.watched.events.find((event) => event._tag === "CircuitOpened" && event.model === of.name)
    if (event?._tag !== "CircuitOpened") return assert.fail(`${of.name} did not open`)
    const length = Duration.toMillis(event.openFor)
    assert.isAtLeast(length, least)
    assert.isAtMost(length, most)
    of.turn({ is: "open", until: this.now + length })
    this.expected.push(`CircuitOpened ${of.name}`)
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
    const looked = yield* Effect.exit(circuits.gate(asked))
    // Who looks changes nothing.
    this.check()
    const got = yield* Effect.exit(circuits.admit(asked))

    const { now, whole } = this
    const own = this.models[model]
    const lease = Math.max(options.probeLease, limit ?? 0)
    const [waitForAll, wait] = [whole.wait(now), own.wait(now)]
    const account = waitForAll > 0 ? undefined : whole.admit(now, lease, this.expected)
    if (account !== undefined && wait === 0) {
      assert.isTrue(Exit.isSuccess(looked))
      if (Exit.isFailure(got)) return assert.fail(Cause.pretty(got.cause))
      const ticket = own.admit(now, lease, this.expected)
      this.running.push({ lease: got.value, model, own: ticket, account, start: now, slow: false })
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
    if (left <= 1000) note("turned away while another probes")
  }

  *settle({ account, lease, model, own: ticket, slow }: Running, how: Ending, pick: number) {
    const { now, whole } = this
    const exits: ReadonlyArray<(now: number) => Guard.Ending> = endings[how]
    yield* lease.settle(exits[pick % exits.length]?.(now) ?? Exit.void)

    const own = this.models[model]
    const isBad = how === "fail" || how === "hint"
    const hint = how === "hint" ? 13_000 : 0
    const opened = () => {
      const most = Math.min(options.maxOpenFor, options.openFor * 2 ** own.row())
      if (own.row() > 1) note("opened for the third time in a row")
      this.opened(own, Math.max(most / 2, hint), Math.max(most, hint))
    }
    if (own.isLate(ticket.at)) note(ticket.probe ? "a late probe" : "a late call")
    else if (ticket.probe) {
      note(`a probe: ${how}`)
      if (isBad) opened()
      else if (how === "succeed") this.closed(own)
      else own.turn({ is: "freed" })
    } else if (isBad || how === "succeed") {
      if (own.trips({ at: now, bad: isBad, slow: slow && !isBad })) {
        note(isBad ? "opened by failures" : "opened by slow answers")
        opened()
      }
    }
    if (account.probe && !whole.isLate(account.at)) note(`a probe of the account: ${how}`)
    if (whole.isLate(account.at)) note("late for the account")
    else if (how === "spend") {
      const length = pick % exits.length === 0 ? 3000 : options.maxOpenFor
      this.opened(whole, length, length)
    } else if (account.probe) {
      // Who is told to come later is not told to pay.
      if (how === "succeed" || how === "neutral" && pick % exits.length === 1) this.closed(whole)
      else whole.turn({ is: "freed" })
    }
  }

  *run({ length, pick, what }: { readonly what: string; readonly pick: number; readonly length: number }) {
    const { circuits } = this.watched
    // What needs a call begins with one, however long that takes.
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
      case "wait": {
        // To the moment, or to the one before it.
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
        // Rather where it is needed.
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
    // Rather one of the last: those before have seen it turn.
    const back = what === "spend" && pick % 3 > 0
      ? this.running.length - 1
      : ([0, 0, 0, 1, 1, 2][pick % 6] ?? 0) % Math.max(1, this.running.length)
    const slow = what === "succeed" ? this.running.findLastIndex(({ slow }) => slow) : -1
    const index = slow < 0 ? this.running.length - 1 - back : slow
    const call = this.running[index]
    if (call === undefined) return assert.fail("there is a call")
    if (what === "begin") {
      yield* this.move(pick % 2 * 2000)
      call.slow = this.now - call.start > options.slow.after
      return yield* call.lease.opened?.(begun) ?? Effect.void
    }
    this.running.splice(index, 1)
    if (isEnding(what)) yield* this.settle(call, what, pick)
    else if (call.own.probe) note("a probe died")
  }

  /** What those see who only look. */
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

/** What must have come about. */
const rarities = [
  "opened by failures",
  "opened by slow answers",
  "opened for the third time in a row",
  "a probe: succeed",
  "a probe: fail",
  "a probe: hint",
  "a probe: neutral",
  "a probe died",
  "a late probe",
  "a late call",
  "late for the account",
  "turned away while another probes",
  "a probe of the account: succeed",
  "a probe of the account: neutral",
  "a probe of the account: spend",
  "the probe of the account is given back"
]

describe("against a list of what happened", () => {
  it.effect.prop(
    "G3 G4 G5 G9: lets in, turns away and tells the same under any interleaving, on any store",
    { script, kept: int(0, 2) },
    ({ kept, script }) =>
      Effect.gen(function*() {
        const bench = new Bench([Circuit.memory, onPaper, twice][kept]?.() ?? Circuit.memory())
        for (const operation of script) {
          jitter = operation.pick % 2 / 2
          yield* bench.run(operation)
          bench.check()
          if (operation.length % 4 === 0) yield* bench.look()
        }
      }).pipe(jittered, Effect.provide(TestClock.layer())),
    { arbitrary: { runs: 60, seed, size: 1000 }, timeout: 60_000 }
  )

  it("saw every operation at least once in twenty, and whatever is rare", () => {
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
// One by one
// -----------------------------------------------------------------------------

describe("settings", () => {
  it("are those of the design where nothing is said", () => {
    assert.deepStrictEqual(Circuit.settings({}), {
      window: 60_000,
      minimumCalls: 10,
      failureRate: 0.5,
      slowAfter: Infinity,
      slowRate: Infinity,
      openFor: 30_000,
      maxOpenFor: 600_000,
      recheck: 1000,
      probeLease: 150_000
    })
    assert.strictEqual(Circuit.settings({ openFor: "1 hour" }).maxOpenFor, 3_600_000)
  })

  it("G12: are refused with a sentence where they cannot be meant", () => {
    const table: ReadonlyArray<readonly [Circuit.Options, RegExp]> = [
      [{ openFor: "1 hour", maxOpenFor: "1 minute" }, /longer than maxOpenFor .*: raise maxOpenFor or lower openFor/],
      [{ failureRate: 0 }, /failureRate is 0: it must be a share/],
      [{ failureRate: 1.1 }, /failureRate is 1.1: it must be a share/],
      [{ minimumCalls: 0 }, /minimumCalls is 0: it must be a whole number/],
      [{ slow: { after: "1 second", rate: 2 } }, /slow.rate is 2/],
      [{ slow: { after: 0, rate: 1 } }, /slow.after is 0/],
      // Nobody would ever ask again, nor could say in an error until when.
      ...(["window", "openFor", "maxOpenFor", "probeLease"] as const).map((name) =>
        [{ [name]: "Infinity" }, new RegExp(`${name} is without end: name a time`)] as const
      ),
      [{ slow: { after: "Infinity", rate: 1 } }, /slow.after is without end/]
    ]
    for (const [options, sentence] of table) assert.throws(() => Circuit.settings(options), sentence)
  })
})

const failed = Exit.fail(new ClaudeError.Overloaded({}))

/** Circuits that open with the first failure, for a second. */
const nervous = { minimumCalls: 1, openFor: "1 second", probeLease: "10 seconds" } as const

const admitAndSettle = (circuits: Guard.Guard, exit: Guard.Ending, model?: string) =>
  Effect.flatMap(circuits.admit(request(model)), ({ settle }) => settle(exit))

describe("a probe", () => {
  it.effect("G5: keeps others out for as long as its attempt may take, where that is longer than its lease", () =>
    Effect.gen(function*() {
      const { circuits } = watched(nervous)
      yield* admitAndSettle(circuits, failed)
      yield* TestClock.adjust("1 second")
      yield* circuits.admit(request("a", { attempt: "1 minute" }))
      yield* TestClock.adjust("59 seconds")
      assert.deepInclude(yield* Effect.flip(circuits.gate(request())), { retryAfter: Duration.seconds(1) })
      yield* TestClock.adjust("1 second")
      yield* circuits.admit(request())
    }).pipe(jittered))

  it.effect("G5: is replaced after its lease also where its attempt has no limit", () =>
    Effect.gen(function*() {
      const { circuits } = watched(nervous)
      yield* admitAndSettle(circuits, failed)
      yield* TestClock.adjust("1 second")
      yield* circuits.admit(request("a", { attempt: "Infinity" }))
      yield* TestClock.adjust("9 seconds")
      yield* Effect.flip(circuits.admit(request()))
      yield* TestClock.adjust("1 second")
      yield* circuits.admit(request())
    }).pipe(jittered))

  it.effect("is alone, however many ask at the same time", () =>
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
      assert.deepStrictEqual(told(), ["CircuitOpened a", "CircuitProbed a"])
    }).pipe(jittered))

  it.effect("that succeeds is told to the queue with the next call, once, wherever it was sent from", () =>
    Effect.gen(function*() {
      const store = Circuit.memory()
      const [here, there] = [watched(nervous, store), watched(nervous, store)]
      yield* admitAndSettle(here.circuits, failed)
      yield* TestClock.adjust("1 second")
      yield* admitAndSettle(here.circuits, Exit.void)
      for (const { circuits, recovered } of [here, there]) {
        assert.deepStrictEqual(recovered, [])
        yield* circuits.gate(request())
        yield* circuits.gate(request())
        assert.deepStrictEqual(recovered, ["a"])
      }
      // Who resets it has seen to it that it may be asked.
      yield* here.circuits.reset("a")
      yield* here.circuits.gate(request())
      assert.deepStrictEqual(here.recovered, ["a"])
    }).pipe(jittered))

  it.effect("G3: a success from before a trip is counted no more when it is closed again", () =>
    Effect.gen(function*() {
      for (const store of [Circuit.memory(), plain()]) {
        const { circuits } = watched(nervous, store)
        const old = yield* circuits.admit(request())
        yield* admitAndSettle(circuits, failed)
        yield* TestClock.adjust("1 second")
        yield* admitAndSettle(circuits, Exit.void)
        yield* old.settle(Exit.void)
        assert.deepInclude((yield* circuits.status).circuits["a"], { state: "closed", calls: 0 })
        yield* admitAndSettle(circuits, Exit.void)
        assert.deepInclude((yield* circuits.status).circuits["a"], { state: "closed", calls: 1 })
      }
    }).pipe(jittered))

  it.effect("that succeeded longer ago than the window holds nobody back who did not know", () =>
    Effect.gen(function*() {
      for (const store of [Circuit.memory(), plain()]) {
        const [here, there, late] = [watched(nervous, store), watched(nervous, store), watched(nervous, store)]
        yield* admitAndSettle(here.circuits, failed)
        yield* TestClock.adjust("1 second")
        yield* admitAndSettle(here.circuits, Exit.void)
        yield* TestClock.adjust(59_999)
        yield* there.circuits.gate(request())
        yield* TestClock.adjust(1)
        yield* late.circuits.gate(request())
        assert.deepStrictEqual([there.recovered, late.recovered], [["a"], []])
      }
    }).pipe(jittered))
})

describe("a circuit that is told to wait", () => {
  it.effect("believes nothing beyond a day, also from a wire that is not ours", () =>
    Effect.gen(function*() {
      jitter = 0
      const waits = [["1 day", 86_400_000], ["25 hours", 1000], ["20000 days", 1000], ["Infinity", 1000]] as const
      for (const [retryAfter, wait] of waits) {
        const { circuits } = watched(nervous)
        const error = new ClaudeError.ServerFault({ retryAfter: Duration.fromInputUnsafe(retryAfter) })
        yield* admitAndSettle(circuits, Exit.fail(error))
        assert.deepInclude((yield* circuits.status).circuits["a"], { state: "open", retryAfter: wait })
      }
    }).pipe(jittered))
})

describe("a circuit whose clock is set back by an hour", () => {
  it.effect("is asked again after as long as ever, on any store", () =>
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
    ).pipe(jittered))
})

describe("a circuit that is isolated for so long", () => {
  it.effect("is told to be closed again, once, when somebody asks after that", () =>
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

  it.effect("without end is one that waits for a hand, also on paper", () =>
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

describe("a store that fails", () => {
  it.effect("G15: lets calls through, and no transition is told that did not come about", () =>
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

  it.effect("G15: for a moment does not make a model recover twice", () =>
    Effect.gen(function*() {
      let isDown = false
      const { modify } = Circuit.memory()
      const store: Circuit.Store = {
        modify: (key, f) => isDown ? Effect.die(new Error("it is down")) : modify(key, f)
      }
      const { circuits, recovered } = watched(nervous, store)
      yield* admitAndSettle(circuits, failed)
      yield* TestClock.adjust("1 second")
      yield* admitAndSettle(circuits, Exit.void)
      for (const down of [false, true, false]) {
        isDown = down
        yield* circuits.gate(request())
      }
      assert.deepStrictEqual(recovered, ["a"])
    }).pipe(jittered))
})

const nothing: Circuit.Status = { state: "closed", calls: 0, failures: 0, retryAfter: undefined }

// -----------------------------------------------------------------------------
// Around a Claude
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

describe("an account without money", () => {
  it.effect("is not asked for any model until it regains access, then once", () =>
    Effect.gen(function*() {
      const regains = DateTime.toEpochMillis(DateTime.makeUnsafe("2026-12-01T00:00:00Z"))
      assert.strictEqual((yield* Effect.flip(ask))._tag, "SpendLimitReached")
      yield* TestClock.setTime(regains - 1)
      const error = yield* Effect.flip(Claude.withModel(ask, haiku))
      assert.deepInclude(error, {
        _tag: "SpendLimitReached",
        model: haiku,
        detail: "nothing was sent, because an earlier call was told so",
        regainsAt: "2026-12-01T00:00:00.000Z"
      })
      assert.lengthOf(yield* FakeClaude.received, 1)
      yield* TestClock.setTime(regains)
      const probe = yield* Effect.forkChild(ask, { startImmediately: true })
      assert.strictEqual((yield* Effect.flip(Claude.withModel(ask, haiku)))._tag, "SpendLimitReached")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(probe), "well")
      assert.strictEqual(yield* Claude.withModel(ask, haiku), "well")
      assert.deepStrictEqual(yield* transitions, ["CircuitOpened *", "CircuitProbed *", "CircuitClosed *"])
    }).pipe(Effect.provide(
      guarded({ circuit: {} }, [
        Faults.spendLimited,
        Faults.delayed(Faults.answer("well"), "1 second"),
        Faults.answer("well")
      ])
    )))

  it.effect("that was not told until when is asked again after ten minutes, and then again", () =>
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

  it.effect("that is probed learns nothing from a model that fails, and may be probed again at once", () =>
    Effect.gen(function*() {
      yield* Effect.flip(ask)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* Effect.flip(ask))._tag, "Overloaded")
      assert.strictEqual((yield* Effect.flip(ask))._tag, "RateLimited")
      // Who is told to come later is not told to pay.
      assert.strictEqual(yield* Claude.withModel(ask, haiku), "well")
      assert.deepStrictEqual(yield* transitions, [
        "CircuitOpened *",
        "CircuitProbed *",
        "CircuitProbed *",
        "CircuitClosed *"
      ])
    }).pipe(Effect.provide(
      guarded({ circuit: {} }, [Faults.billing, Faults.overloaded, Faults.rateLimited(), Faults.answer("well")])
    )))

  it.effect("G3: is not closed again by what was sent before it was reset by hand", () =>
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

describe("by hand", () => {
  it.effect("one model, or all of them, are isolated and reset", () =>
    Effect.gen(function*() {
      yield* Guards.isolate(sonnet)
      assert.deepInclude(yield* Effect.flip(ask), {
        _tag: "CircuitOpen",
        detail: "it was isolated by hand",
        retryAfter: undefined
      })
      assert.strictEqual(yield* Claude.withModel(ask, haiku), "well")
      yield* Guards.isolate(undefined, "1 minute")
      assert.deepInclude(yield* Effect.flip(Claude.withModel(ask, haiku)), {
        _tag: "CircuitOpen",
        retryAfter: Duration.minutes(1)
      })
      assert.deepInclude(yield* Guards.status, {
        account: { ...nothing, state: "isolated", retryAfter: 60_000 },
        circuits: { [sonnet]: { ...nothing, state: "isolated" }, [haiku]: { ...nothing, calls: 1 } }
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

describe("stores of one's own", () => {
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
            () => `a store of the guards failed (${name}): calls go on as if it were empty`
          )
        )
        yield* TestClock.adjust("1 minute")
      }
    }).pipe(Effect.provide(guarded(everything, Faults.cycle(Faults.answer("well")), broken(how)))))

  it.effect("G15: that throw where they should give an effect fail no call", () =>
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

  it.effect.each([["interruptible", Effect.never], ["not", Effect.uninterruptible(Effect.never)]] as const)(
    "G15: that hang (%s) hold up a call for a second each, and none after it for ten",
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
        assert.isUndefined(next.pollUnsafe(), "it is looked after again")
        yield* TestClock.adjust("1001 millis")
        assert.deepStrictEqual(next.pollUnsafe(), Exit.succeed("well"))
      }).pipe(Effect.provide(guarded(everything, Faults.cycle(Faults.answer("well")), broken(how))))
  )

  it.effect("G1: that hang let go of a call that is interrupted", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(ask, { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(call)
      assert.lengthOf(yield* FakeClaude.received, 0)
    }).pipe(Effect.provide(guarded({ circuit: {} }, [Faults.answer("well")], broken(Effect.never)))))

  it.effect("keep what they are told, as JSON, for all processes that share them", () =>
    Effect.gen(function*() {
      const store = onPaper()
      const process = (playable: Faults.Playable) => guarded({ circuit: {} }, playable, { circuits: store })
      yield* Effect.repeat(Effect.flip(ask), { times: 9 }).pipe(
        Effect.provide(process(Faults.cycle(Faults.overloaded)))
      )
      const error = yield* Effect.flip(ask).pipe(Effect.provide(process([])))
      assert.strictEqual(error._tag, "CircuitOpen")
    }))
})
