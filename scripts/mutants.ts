/** Small patches, each of which breaks one guarantee, and the test that must go red. */

/** `find` occurs once in `file`, and becomes `replace`. `test` is what vitest is asked to run. */
export interface Mutant {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
  readonly test: string
}

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "G7 budget: an answer that breaks off keeps what it gave",
    file: "src/guard/budget/bucket.ts",
    find: "    this.left -= amount\n",
    replace: "",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: a break does not undo the new pace",
    file: "src/guard/budget/bucket.ts",
    find: "Math.max(this.pace, pace)",
    replace: "this.pace",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: several at once while it is empty",
    file: "src/guard/budget/bucket.ts",
    find: "    if (this.running > 0) return Infinity\n",
    replace: "",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: no pace",
    file: "src/guard/budget/bucket.ts",
    find: "Math.max(0, this.pacedFrom + this.pace - now)",
    replace: "0",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: the pace is not doubled",
    file: "src/guard/budget/bucket.ts",
    find: "Math.min(longestPace, 2 * bucket.pace)",
    replace: "bucket.pace",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: the pace has no end",
    file: "src/guard/budget/bucket.ts",
    find: "Math.min(longestPace, 2 * bucket.pace)",
    replace: "2 * bucket.pace",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: a success starts no new pace",
    file: "src/guard/budget/bucket.ts",
    find: "if (this.left >= 1) this.pace = firstPace",
    replace: "if (this.left >= 99) this.pace = firstPace",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: a success wakes nobody",
    file: "src/guard/budget/bucket.ts",
    find: "this.pace = firstPace\n    this.line.wake()",
    replace: "this.pace = firstPace",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: a clock that is set back makes the pace longer",
    file: "src/guard/budget/bucket.ts",
    find: "Math.min(this.pacedFrom, now)",
    replace: "this.pacedFrom",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G2 budget: what an attempt did not use is not given back",
    file: "src/guard/budget/bucket.ts",
    find: "this.bucket.left += this.letGo()",
    replace: "this.letGo()",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: an attempt that its deadline cuts is free",
    file: "src/guard/budget/bucket.ts",
    find: "|| now >= deadline &&",
    replace: "|| now > Infinity &&",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: a refusal is no load",
    file: "src/guard/budget/bucket.ts",
    find: "  Refused: true,",
    replace: "  Refused: false,",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: the last to come goes first",
    file: "src/guard/budget/bucket.ts",
    find: "rank: () => 0,",
    replace: "rank: () => -Math.random(),",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: one bucket for all models",
    file: "src/guard/budget/RetryBudget.ts",
    find: "const known = buckets.get(model)",
    replace: "const known = [...buckets.values()][0]",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: waits until the deadline, and not a second before it",
    file: "src/guard/budget/RetryBudget.ts",
    find: "deadline - now - shortestAnswer",
    replace: "deadline - now",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: waits also if even the next paced attempt comes too late",
    file: "src/guard/budget/RetryBudget.ts",
    find: "wait !== Infinity && wait > Math.max(0, within)",
    replace: "wait > Infinity",
    test: "test/guard/budget/RetryBudget.test.ts"
  },
  {
    name: "G7 budget: an extra attempt that breaks off is not known as one",
    file: "src/policy/budget.ts",
    find: "Effect.provideService(attempt, Paid, charge)",
    replace: "attempt",
    test: "test/guard/budget-calls.test.ts"
  },
  {
    name: "G7 budget: waits for a model also if another is left",
    file: "src/policy/call.ts",
    find: "waits: !hasOther(sent)",
    replace: "waits: true",
    test: "test/guard/budget-calls.test.ts"
  },
  {
    name: "G7 budget: pays again after CircuitOpen",
    file: "src/policy/call.ts",
    find: "this.isFree = !wasSent(error)",
    replace: "this.isFree = false",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G8 a wait that ends too late is not drawn again",
    file: "src/policy/inTime.ts",
    find: "if (asked <= latest) return asked",
    replace: "if (asked <= left) return asked",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "G8 a hint is shortened",
    file: "src/policy/inTime.ts",
    find: "Math.round(hint + share() * (latest - hint))",
    replace: "Math.round(share() * latest)",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "retry: x-should-retry is passed over",
    file: "src/wire/classify.ts",
    find: "if (error.shouldRetry === false) return true",
    replace: "",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "retry: what was not sent counts",
    file: "src/policy/Retry.ts",
    find: "ClaudeError.is(input) && !wasSent(input)",
    replace: "ClaudeError.is(input) && input._tag === \"CircuitOpen\"",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "limits: a third of the deadline for a tool's input",
    file: "src/answer/defaultLimits.ts",
    find: "Math.max(Math.min(usual.idle, pause), silence, thinking.idle)",
    replace: "Math.min(usual.idle, pause)",
    test: "test/answer/defaultLimits.test.ts"
  },
  {
    name: "G1: an interrupt leaves the socket open",
    file: "src/Anthropic.ts",
    find: "drain(reader, controller) : controller.abort(closed)",
    replace: "drain(reader, controller) : undefined",
    test: "test/wire/faults.test.ts"
  },
  {
    name: "answers: a read that is interrupted takes what comes after it",
    file: "src/Anthropic.ts",
    find: "chunk = value\n                resume(taken)",
    replace: "pending = undefined\n                resume(Effect.succeed(value))",
    test: "test/wire/faults.test.ts"
  },
  {
    name: "G1: an interrupt of a read leaves the read running",
    file: "src/internal/supervised.ts",
    find: "return Fiber.interrupt(fiber)",
    replace: "return Effect.void",
    test: "test/answer/open.test.ts"
  },
  {
    name: "answers: a broken one that its reader recovers from is a success",
    file: "src/answer/stream.ts",
    find: "leave(Exit.fail(failure = error))",
    replace: "leave(Exit.void)",
    test: "test/answer/open.test.ts"
  },
  {
    name: "answers: one that is never read is a success",
    file: "src/answer/stream.ts",
    find: "return end(Exit.interrupt())",
    replace: "return end(Exit.void)",
    test: "test/answer/open.test.ts"
  },
  {
    name: "answers: one that begins anew is lost when it is interrupted",
    file: "src/answer/stream.ts",
    find: "Effect.succeed(scope = Scope.makeUnsafe())",
    replace: "Effect.succeed(Scope.makeUnsafe())",
    test: "test/answer/open.test.ts"
  },
  {
    name: "G1: an answer is asked for again whose scope is closed",
    file: "src/answer/stream.ts",
    find: "isClosed ? Effect.interrupt : Effect.succeed(scope",
    replace: "Effect.succeed(scope",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "streams: one that is over in time stays open while its reader is busy",
    file: "src/policy/Policy.ts",
    find: "Effect.andThen(Scope.close(inner, Exit.interrupt()), error)",
    replace: "error",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "answers: what is read after its scope is closed is a failure of the model",
    file: "src/answer/stream.ts",
    find: "isClosed ? Effect.interrupt : Effect.matchCauseEffect(",
    replace: "Effect.matchCauseEffect(",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "G11 endings: a stream has succeeded when it opens",
    file: "src/answer/ending.ts",
    find: "this.isHandedOver = this.answers > 0",
    replace: "this.isHandedOver = this.answers < 0",
    test: "test/answer/ending.test.ts"
  },
  {
    name: "G11 endings: a stream that breaks has no history",
    file: "src/answer/ending.ts",
    find: "    this.call.note(error)\n",
    replace: "",
    test: "test/answer/ending.test.ts"
  },
  {
    name: "G11 endings: a call ends more than once",
    file: "src/answer/ending.ts",
    find: "    if (this.isOver) return Exit.succeed(error)\n",
    replace: "",
    test: "test/answer/ending.test.ts"
  },
  {
    name: "endings: what fails in a reader is the failure of the model",
    file: "src/answer/stream.ts",
    find: "end(verdict(exit, failure))",
    replace: "end(exit)",
    test: "test/answer/ending.test.ts"
  },
  {
    name: "endings: a stream under a policy ends with its last answer",
    file: "src/policy/Policy.ts",
    find: "Effect.sync(() => ending?.opened())",
    replace: "Effect.void",
    test: "test/answer/ending.test.ts"
  },
  {
    name: "endings: a call inside of another ends alone",
    file: "src/policy/call.ts",
    find: "new Ending(this, this.outer?.ending)",
    replace: "new Ending(this, undefined)",
    test: "test/answer/ending.test.ts"
  },
  {
    name: "endings: an end is taken for that of a part",
    file: "src/policy/call.ts",
    find: "return Effect.provideService(self, Current.Call, this.outer)",
    replace: "return self",
    test: "test/answer/ending.test.ts"
  },
  {
    name: "G11 endings: what nothing came after is in the history twice",
    file: "src/policy/call.ts",
    find: "    this.last = error\n    this.lastAttempt = this.attempt\n    return Effect.fail(error)",
    replace: "    return Effect.fail(error)",
    test: "test/answer/ending.test.ts"
  },
  {
    name: "endings: an interrupt after enough is a success",
    file: "src/policy/Policy.ts",
    find: "if (isLost) ending?.cut()",
    replace: "",
    test: "test/answer/ending.test.ts"
  },
  {
    name: "G11 an error that is given up loses its cause",
    file: "src/history.ts",
    find: "cause === undefined ? fields : { ...fields, cause }",
    replace: "fields",
    test: "test/answer/ending.test.ts"
  },
  {
    name: "limits: who waits when the scope is closed waits for ever",
    file: "src/internal/watch.ts",
    find: "    // Who waits still would wait without a limit.\n    this.end?.()\n",
    replace: "",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "G13: restarts climb the ladder again and again",
    file: "src/policy/call.ts",
    find: "    this.ladder = to\n",
    replace: "",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "limits: a clock that is set back makes them as much longer",
    file: "src/internal/watch.ts",
    find: "if (now < this.latest) this.behind += this.latest - now\n    else this.latest = now",
    replace: "this.latest = now",
    test: "test/Claude.test.ts"
  },
  {
    name: "limits: content idle is not watched",
    file: "src/internal/watch.ts",
    find: ": [limit.contentIdle, contentAt]",
    replace: ": [Infinity, contentAt]",
    test: "test/Claude.test.ts"
  },
  {
    name: "limits: whoever reads slowly is watched no more",
    file: "src/internal/watch.ts",
    find: "        this.watcher = undefined\n",
    replace: "",
    test: "test/Claude.test.ts"
  },
  {
    name: "limits: a slow reader is a slow model",
    file: "src/internal/watch.ts",
    find: "this.paused += this.steady() - this.pausedAt",
    replace: "this.paused += 0",
    test: "test/Claude.test.ts"
  },
  {
    name: "limits: a slow reader of what is there already gets more time",
    file: "src/internal/watch.ts",
    find: "(this.end === undefined ? this.pausedAt : at)",
    replace: "at",
    test: "test/Claude.test.ts"
  },
  {
    name: "limits: pings count as content",
    file: "src/answer/attempt.ts",
    find: "this.watch.received(at, hasContent)",
    replace: "this.watch.received(at, true)",
    test: "test/Claude.test.ts"
  },
  {
    name: "G8: a wait is begun that cannot end before the deadline",
    file: "src/internal/retrying.ts",
    find: "if (wait === undefined) {",
    replace: "if (wait === null) {",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G8: a schedule used without a policy ignores the deadline",
    file: "src/policy/Retry.ts",
    find: "wait === undefined ? Cause.done(output) : ",
    replace: "",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "G16: a cost is summed up from what is no count",
    file: "src/models/catalogue.ts",
    find: "isCount(hours) ? Math.min(written, hours) : 0",
    replace: "Math.min(written, hours as number)",
    test: "test/Models.test.ts"
  },
  {
    name: "G11: the same failure again is no attempt of its own",
    file: "src/policy/call.ts",
    find: " || this.attempt !== this.lastAttempt",
    replace: "",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G16: a request is counted before it is looked at",
    file: "src/policy/call.ts",
    find: "how.count && isRest ?",
    replace: "how.count && (isRest || JSON.stringify(params) === \"\") ?",
    test: "test/policy/Validate.test.ts"
  },
  {
    name: "G12: a schedule that is none is found out when it is asked",
    file: "src/policy/Retry.ts",
    find: "schedule !== undefined && !Schedule.isSchedule(schedule)",
    replace: "false as boolean",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "G12: a kind of error that is none is waited for",
    file: "src/options.ts",
    find: "const slip = list.find((name) => !isTag(name))",
    replace: "const slip = undefined",
    test: "test/policy/Fallback.test.ts"
  },
  {
    name: "classify: an error without end loses its status, where the client is somebody's own",
    file: "src/wire/sdkClient.ts",
    find: "[...client.middleware, bounding]",
    replace: "client.middleware",
    test: "test/wire/faults.test.ts"
  },
  {
    name: "G16: a model whose name is no text is taken for one",
    file: "src/answer/head.ts",
    find: "if (!isString(message.model)) message.model = model",
    replace: "void isString",
    test: "test/policy/modelFallback.test.ts"
  },
  {
    name: "G8: a schedule of one's own waits less than the server asks for",
    file: "src/policy/inTime.ts",
    find: "const asked = Math.max(wait, hint)",
    replace: "const asked = wait",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "retry: the server's hint is ignored",
    file: "src/policy/Retry.ts",
    find: "Math.max(start, Duration.toMillis(hint)) + share * reach",
    replace: "start + share * reach",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "retry: the cap comes before the jitter",
    file: "src/policy/Retry.ts",
    find: "Math.round(Math.min(cap, start + share * reach))",
    replace: "Math.round(start + share * reach)",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "retry: what waiting cannot mend is retried",
    file: "src/policy/Retry.ts",
    find: "ClaudeError.is(input) && isPermanent(input)",
    replace: "ClaudeError.is(input) && isPermanent(input) && false",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "retry: all kinds share one count",
    file: "src/policy/Retry.ts",
    find: "const step = steps.get(tag)",
    replace: "const step = [...steps.values()][0]",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "retry: the correction is forgotten",
    file: "src/policy/Retry.ts",
    find: "call.corrections = [...call.corrections, input]",
    replace: "call.corrections = []",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "retry: the SDK retries too",
    file: "src/wire/sdkClient.ts",
    find: "const once = { maxRetries: 0,",
    replace: "const once = { maxRetries: 1,",
    test: "test/wire/faults.test.ts"
  },
  {
    name: "G11: the history is lost",
    file: "src/history.ts",
    find: "copy(error, { gaveUp, history })",
    replace: "copy(error, { gaveUp })",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G11: every reason is RetriesSpent",
    file: "src/internal/retrying.ts",
    find: `this.retried.has(error._tag) ? "RetriesSpent" : "NotRetried"`,
    replace: `"RetriesSpent"`,
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G12: a contradiction is accepted",
    file: "src/policy/record.ts",
    find: "if (a !== undefined && b !== undefined && a > b) {",
    replace: "if (false as boolean) {",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G13: a restart is not marked",
    file: "src/answer/stream.ts",
    find: "return Effect.as(told(tag, broken, event.attempt), Arr.of(event))",
    replace: "return Effect.andThen(told(tag, broken, event.attempt), pull)",
    test: "test/Claude.test.ts test/policy/Policy.test.ts"
  },
  {
    name: "G13: a text stream restarts",
    file: "src/answer/stream.ts",
    find: `call?.onBreak === "restart" && !mayRestart ? "fail" : `,
    replace: "",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G14: content is printed",
    file: "src/answer/attempt.ts",
    find: "text: ClaudeError.redact(text), blocks",
    replace: "text: text as never, blocks",
    test: "test/CallLog.test.ts"
  },
  {
    name: "G14: messages in the log are not cut",
    file: "src/CallLog.ts",
    find: "event.error.message.slice(0, 200)",
    replace: "event.error.message",
    test: "test/CallLog.test.ts"
  },
  {
    name: "G15: a sink that dies takes the call with it",
    file: "src/CallLog.ts",
    find: `Effect.logWarning("resilient-claude: a log sink failed", cause)`,
    replace: "Effect.failCause(cause)",
    test: "test/CallLog.test.ts"
  },
  {
    name: "G16: an answer without an end is whole",
    file: "src/answer/attempt.ts",
    find: `: this.odd("it ended before the message did")`,
    replace: ": Effect.sync((): ReadonlyArray<Message.WireEvent> => (this.draft.add({ type: \"message_stop\" }), []))",
    test: "test/Claude.test.ts test/tags.test.ts test/properties.test.ts"
  },
  {
    name: "G16: text in the wrong place is passed over",
    file: "src/answer/draft.ts",
    find: "if (block === undefined) return `a delta for a block that is not open${at(event.index)}`",
    replace: "if (block === undefined) return undefined",
    test: "test/answer/draft.test.ts test/properties.test.ts"
  },
  {
    name: "G16: characters are replaced",
    file: "src/wire/sse.ts",
    find: "{ fatal: true }",
    replace: "{ fatal: false }",
    test: "test/wire/sse.test.ts"
  },
  {
    name: "fallback: a spend limit asks another model",
    file: "src/policy/decisions.ts",
    find: "ContextWindowExceeded: \"larger\",\n  SpendLimitReached: false",
    replace: "ContextWindowExceeded: \"larger\",\n  SpendLimitReached: true",
    test: "test/policy/Fallback.test.ts"
  },
  {
    name: "classify: a rate-limit header that is empty says that nothing is left",
    file: "src/wire/classify.ts",
    find: "value !== undefined && digits.test(value) ?",
    replace: "value !== undefined ?",
    test: "test/Anthropic.test.ts"
  },
  {
    name: "classify: a spend limit is a rate limit",
    file: "src/wire/classify.ts",
    find: `enforced_spend_limit_reached: "SpendLimitReached"`,
    replace: `enforced_spend_limit_reached: "RateLimited"`,
    test: "test/tags.test.ts"
  },
  {
    name: "log: the caller's log is used",
    file: "src/Claude.ts",
    find: "new Attempt.Attempt(wire.open, log, request, fiber)",
    replace: "new Attempt.Attempt(wire.open, fiber.getRef(CallLog.CallLog), request, fiber)",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "policy: the overall limit is ignored",
    file: "src/policy/call.ts",
    find: "overall === undefined\n      ?",
    replace: "(true as boolean) || overall === undefined\n      ?",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "sending: a fetch of the caller shares its headers",
    file: "src/wire/sdkClient.ts",
    find: "fetch !== undefined && plain.has(fetch) ?",
    replace: "fetch !== undefined ?",
    test: "test/wire/sdkClient.test.ts"
  },
  {
    name: "sending: what is given up is sent",
    file: "src/wire/sdkClient.ts",
    find: "if (signal.aborted) throw",
    replace: "if (false as boolean) throw",
    test: "test/wire/sdkClient.test.ts"
  },
  {
    name: "input: a request that cannot work is sent",
    file: "src/policy/validateCall.ts",
    find: "if (errors.length > 0) {",
    replace: "if (false as boolean) {",
    test: "test/policy/Validate.test.ts"
  },
  {
    name: "input: a stale catalogue stops calls",
    file: "src/policy/Validate.ts",
    find: "const certain = strict || catalogue.refreshed",
    replace: "const certain = true || catalogue.refreshed",
    test: "test/policy/Validate.test.ts"
  },
  {
    name: "input: a strict policy only warns",
    file: "src/policy/Validate.ts",
    find: "const certain = strict || catalogue.refreshed",
    replace: "const certain = catalogue.refreshed",
    test: "test/policy/Validate.test.ts"
  },
  {
    name: "input: a deprecated model is told with every call",
    file: "src/policy/validateCall.ts",
    find: "if (warned.has(key)) return false",
    replace: "if (warned.has(key)) return true",
    test: "test/policy/Validate.test.ts"
  },
  {
    name: "input: a prompt is counted with every attempt",
    file: "src/policy/validateCall.ts",
    find: "how.count && place.isNew(params)",
    replace: "how.count",
    test: "test/policy/Validate.test.ts"
  },
  {
    name: "input: a request that is wrong is tried again",
    file: "src/wire/classify.ts",
    find: `    case "InvalidRequest":\n    case "RequestTooLarge":`,
    replace: `    case "RequestTooLarge":`,
    test: "test/policy/Validate.test.ts"
  },
  {
    name: "output: of two values, the first is taken",
    file: "src/output/extractJson.ts",
    find: "if (values.length === 1)",
    replace: "if (values.length >= 1)",
    test: "test/output/extractJson.test.ts"
  },
  {
    name: "output: a piece of broken JSON is taken for the whole",
    file: "src/output/extractJson.ts",
    find: "if (to !== undefined) openings.lastIndex = to",
    replace: "if (to !== undefined && to > 100) openings.lastIndex = to",
    test: "test/output/extractJson.test.ts"
  },
  {
    name: "output: what a schema throws is a defect",
    file: "src/output/codec.ts",
    find: "Effect.catchDefect((defect) =>",
    replace: "Effect.catchIf((_): _ is never => false, (defect) =>",
    test: "test/output/structured.test.ts"
  },
  {
    name: "output: a schema is sent to a model that takes none",
    file: "src/output/codec.ts",
    find: "if (!able || Result.isFailure(held)) return",
    replace: "if (Result.isFailure(held)) return",
    test: "test/output/structured.test.ts"
  },
  {
    name: "output: a value that does not decode passes",
    file: "src/Claude.ts",
    find: "Output.decode(output.success, codec, reply)",
    replace: "Effect.orElseSucceed(Output.decode(output.success, codec, reply), () => undefined as never)",
    test: "test/output/structured.test.ts"
  },
  {
    name: "re-ask: only the last answer is corrected",
    file: "src/policy/Retry.ts",
    find: "[...call.corrections, input]",
    replace: "[input]",
    test: "test/output/structured.test.ts"
  },
  {
    name: "re-ask: an answer that Claude did not end is asked for again",
    file: "src/policy/Retry.ts",
    find: `input.stopReason === "end_turn"`,
    replace: `input.stopReason !== "tool_use"`,
    test: "test/output/structured.test.ts"
  },
  {
    name: "re-ask: a cut answer is asked for again",
    file: "src/wire/classify.ts",
    find: `    case "Truncated":\n`,
    replace: "",
    test: "test/output/structured.test.ts"
  },
  {
    name: "costs: failed attempts cost nothing",
    file: "src/answer/attempt.ts",
    find: "if (tally !== undefined) this.count(tally, cost, isFree)",
    replace: "if (tally !== undefined && error === undefined) this.count(tally, cost, isFree)",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "costs: an attempt that broke off is counted as whole",
    file: "src/answer/attempt.ts",
    find: "|| !this.draft.ended()",
    replace: "|| false",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "costs: a long prompt costs as much as a short one",
    file: "src/models/catalogue.ts",
    find: "> long.above ? long.times : 1",
    replace: "> long.above ? 1 : 1",
    test: "test/Models.test.ts"
  },
  {
    name: "tools: an input that is cut is seen",
    file: "src/answer/draft.ts",
    find: "block.stopped && isReadable(block)",
    replace: "true",
    test: "test/answer/draft.test.ts"
  },
  {
    name: "tools: an input is not decoded",
    file: "src/output/toolInput.ts",
    find: "if (codecs.size === 0)",
    replace: "if (codecs.size >= 0)",
    test: "test/Tool.test.ts"
  },
  {
    name: "re-ask: the correction of one question is put to another",
    file: "src/request/build.ts",
    find: "questions.get(error) === key",
    replace: "questions.has(error)",
    test: "test/output/structured.test.ts"
  },
  {
    name: "input: what is validated is not what is sent",
    file: "src/request/build.ts",
    find: "check(request.params, adapted?.changes ?? none",
    replace: "check(given, adapted?.changes ?? none",
    test: "test/output/structured.test.ts"
  },
  {
    name: "tools: a refusal in the middle of an input is no refusal",
    file: "src/answer/draft.ts",
    find: "|| stop_reason === \"refusal\"",
    replace: "",
    test: "test/answer/draft.test.ts"
  },
  {
    name: "half-way: the same is asked again",
    file: "src/answer/continuation.ts",
    find: "return maxTokens > asked",
    replace: "return maxTokens >= asked",
    test: "test/answer/incomplete.test.ts"
  },
  {
    name: "half-way: more is asked for than the model writes",
    file: "src/answer/continuation.ts",
    find: "Math.min(raiseTo, model?.maxOutput ?? raiseTo)",
    replace: "raiseTo",
    test: "test/answer/incomplete.test.ts"
  },
  {
    name: "half-way: a continuation is joined wherever it begins",
    file: "src/answer/continuation.ts",
    find: "if (at === \"none\") return undefined\n",
    replace: "if (at === \"none\") return content\n",
    test: "test/answer/incomplete.test.ts"
  },
  {
    name: "half-way: an older model goes on from a blank",
    file: "src/answer/continuation.ts",
    find: "text: block.text.trimEnd()",
    replace: "text: block.text",
    test: "test/answer/incomplete.test.ts"
  },
  {
    name: "half-way: a pause is answered by the user",
    file: "src/answer/continuation.ts",
    find: "const cut = before.stopReason !== \"pause_turn\"",
    replace: "const cut = true",
    test: "test/answer/incomplete.test.ts"
  },
  {
    name: "half-way: only the last piece is counted",
    file: "src/answer/joinReplies.ts",
    find: "add(before.usage, reply.usage) as Usage",
    replace: "reply.usage",
    test: "test/answer/incomplete.test.ts"
  },
  {
    name: "half-way: without end",
    file: "src/answer/continuation.ts",
    find: "rest.continued < most",
    replace: "rest.continued <= most",
    test: "test/answer/incomplete.test.ts"
  },
  {
    name: "half-way: a value that was cut is continued",
    file: "src/answer/continuation.ts",
    find: "isNotNullish(params.output_config?.format)",
    replace: "isNotNullish(undefined)",
    test: "test/answer/incomplete.test.ts"
  },
  {
    name: "half-way: a piece that failed is tried again with all of it",
    file: "src/internal/finishing.ts",
    find: "call.settled = call.last = last",
    replace: "call.last = last",
    test: "test/answer/incomplete.test.ts"
  },
  {
    name: "half-way: the container of a pause is lost",
    file: "src/answer/continuation.ts",
    find: "params.container ?? before?.message.container?.id",
    replace: "params.container",
    test: "test/answer/incomplete.test.ts"
  },
  {
    name: "ladder: a window that is no larger",
    file: "src/internal/ladder.ts",
    find: "> exceeded",
    replace: "> 0",
    test: "test/policy/modelFallback.test.ts"
  },
  {
    name: "ladder: a model that hangs takes the time of the others",
    file: "src/internal/ladder.ts",
    find: "reserve * models.length,",
    replace: "0,",
    test: "test/policy/modelFallback.test.ts"
  },
  {
    name: "ladder: the rest of the time is not shared fairly",
    file: "src/internal/ladder.ts",
    find: "left * models.length / (models.length + 1)",
    replace: "Infinity",
    test: "test/policy/modelFallback.test.ts"
  },
  {
    name: "ladder: a circuit is waited for",
    file: "src/policy/call.ts",
    find: "error._tag === \"CircuitOpen\" &&",
    replace: "error._tag === \"Saturated\" &&",
    test: "test/policy/modelFallback.test.ts"
  },
  {
    name: "ladder: thinking of another model is refused for good",
    file: "src/internal/ladder.ts",
    find: "is(error) && isSignatureError(error)",
    replace: "false && is(error)",
    test: "test/policy/modelFallback.test.ts"
  },
  {
    name: "ladder: a refusal goes the way of other failures",
    file: "src/internal/ladder.ts",
    find: "error._tag === \"Refused\" && others.refused !== undefined",
    replace: "false as boolean",
    test: "test/answer/incomplete.test.ts"
  },
  {
    name: "G11: a ladder without a policy has no history",
    file: "src/policy/Fallback.ts",
    find: "history = History.remember(history ?? [], error, ++hop, model)",
    replace: "history = []",
    test: "test/policy/modelFallback.test.ts"
  },
  {
    name: "adapt: forced tools stay",
    file: "src/request/adaptToModel.ts",
    find: "change: forcedTools",
    replace: "change: () => undefined",
    test: "test/request/adaptToModel.test.ts"
  },
  {
    name: "accounts: a spend limit stays in the account",
    file: "src/policy/decisions.ts",
    find: "  Forbidden: true,\n  SpendLimitReached: true\n}",
    replace: "  Forbidden: true,\n  SpendLimitReached: false\n}",
    test: "test/policy/Fallback.test.ts"
  },
  {
    name: "last good: another tenant's",
    file: "src/policy/questions.ts",
    find: "        asker ?? null,\n",
    replace: "        null,\n",
    test: "test/policy/lastGood.test.ts"
  },
  {
    name: "last good: what stood in for an answer is remembered",
    file: "src/policy/lastGood.ts",
    find: "subject.whole === \"all\" ?",
    replace: "subject.id !== \"\" ?",
    test: "test/policy/lastGood.test.ts"
  },
  {
    name: "G15: a store that fails is an error",
    file: "src/policy/lastGood.ts",
    find: "Effect.andThen(broken(site, heard, \"LastGoodNotRead\", \"was not read\", why), failed)",
    replace: "Effect.failCause(why) as never",
    test: "test/policy/lastGood.test.ts"
  },
  {
    name: "G15: a store that hangs holds up the answer",
    file: "src/storePatience.ts",
    find: "restore(Effect.timeout(Fiber.join(fiber), patience))",
    replace: "restore(Fiber.join(fiber))",
    test: "test/policy/lastGood.test.ts"
  },
  {
    name: "last good: the memory grows",
    file: "src/answerStore.ts",
    find: "if (entries.size <= capacity) return",
    replace: "return",
    test: "test/policy/lastGood.test.ts"
  },
  {
    name: "last good: an old answer will do",
    file: "src/answerStore.ts",
    find: "Math.abs(now - at) <= maxAge",
    replace: "true",
    test: "test/policy/lastGood.test.ts"
  },
  {
    name: "last good: a failure beside an answer is a retry",
    file: "src/policy/questions.ts",
    find: "count.open--\n        count[how]++",
    replace: "count.open--\n        if (how !== \"not\") count[how]++",
    test: "test/policy/lastGood.test.ts"
  },
  {
    name: "last good: the memory of another Claude",
    file: "src/policy/lastGood.ts",
    find: "fiber.getRef(Store) ?? claude?.answers",
    replace: "fiber.getRef(Store)",
    test: "test/policy/lastGood.test.ts"
  },
  {
    name: "last good: the layer closes before its answers are written",
    file: "src/PersistedAnswers.ts",
    find: "idle.closeUnsafe()",
    replace: "",
    test: "test/policy/lastGood.test.ts"
  },
  {
    name: "accounts: one that cannot be built is the end",
    file: "src/policy/Fallback.ts",
    find: "Cause.hasDies(cause) || Cause.hasInterrupts(cause)",
    replace: "true",
    test: "test/policy/Fallback.test.ts"
  },
  {
    name: "accounts: a defect is passed over",
    file: "src/policy/Fallback.ts",
    find: "Cause.hasDies(cause) || Cause.hasInterrupts(cause)",
    replace: "Cause.hasInterrupts(cause)",
    test: "test/policy/Fallback.test.ts"
  },
  {
    name: "fallback: kinds that are not listed are answered for",
    file: "src/policy/Fallback.ts",
    find: "options?.on?.includes(error._tag) !== false",
    replace: "options !== null",
    test: "test/policy/Fallback.test.ts"
  },
  {
    name: "G13: a resumed stream repeats the last words",
    file: "src/answer/resume.ts",
    find: "return goOn(pending.slice(at))",
    replace: "return goOn(pending)",
    test: "test/answer/resume.test.ts"
  },
  {
    name: "G13: a continuation that begins elsewhere is shown",
    file: "src/answer/resume.ts",
    find: "if (at === \"none\") return undefined",
    replace: "if (at === \"none\") return text",
    test: "test/answer/resume.test.ts"
  },
  {
    name: "streams: the beginning of the further answer is shown",
    file: "src/answer/resume.ts",
    find: "      case \"message_start\":\n        return \"hidden\"",
    replace: "      case \"message_start\":\n        return event",
    test: "test/answer/resume.test.ts"
  },
  {
    name: "streams: without end, though a limit is set",
    file: "src/policy/Policy.ts",
    find: "return compiled.streamOverall === undefined\n",
    replace: "return true as boolean\n",
    test: "test/answer/resume.test.ts"
  },
  {
    name: "streams: an answer without a stop reason is whole",
    file: "src/answer/attempt.ts",
    find: "made.mayEndEarly === true && this.draft.head().stop_reason !== null",
    replace: "true as boolean",
    test: "test/answer/resume.test.ts"
  },
  {
    name: "streams: the end of an answer is not its message_stop",
    file: "src/answer/attempt.ts",
    find: "if (this.draft.ended()) return done",
    replace: "if (this.draft.ended() && this.flaw() !== undefined) return done",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "streams: what had arrived is lost where nothing came after it",
    file: "src/policy/call.ts",
    find: "History.still(broken, error)",
    replace: "error",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "streams: a second reader takes what the first should have",
    file: "src/answer/stream.ts",
    find: "wasRead = true",
    replace: "wasRead = false",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "answers: one whose reader is interrupted is a success",
    file: "src/answer/stream.ts",
    find: "? Exit.interrupt()\n    : Exit.void",
    replace: "? Exit.void\n    : Exit.void",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "streams: blanks are lost at the seam",
    file: "src/answer/resume.ts",
    find: "(blank.startsWith(shown) ? blank.slice(shown.length) : \"\")",
    replace: "\"\"",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "G13: blanks are there twice at the seam",
    file: "src/answer/resume.ts",
    find: "(blank.startsWith(shown) ? blank.slice(shown.length) : \"\")",
    replace: "blank",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "streams: a text goes on after a tool",
    file: "src/answer/resume.ts",
    find: "if (kept.some(({ type }) => type === \"tool_use\")) return",
    replace: "if (kept.length === 0) return",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "streams: a text goes on before a tool that was used",
    file: "src/answer/resume.ts",
    find: "!lost.has(block.type) && !isBlank(block)",
    replace: "block.type === \"text\" && !isBlank(block)",
    test: "test/answer/resume.test.ts"
  },
  {
    name: "streams: a refusal to go on is no refusal",
    file: "src/answer/resume.ts",
    find: "if (event.delta.stop_reason === \"refusal\") begun = true",
    replace: "",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "streams: a continuation that is not used ends the answer",
    file: "src/answer/resume.ts",
    find: "if (!begun) return undefined\n        // The sum",
    replace: "// The sum",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "streams: only the last request is counted",
    file: "src/answer/resume.ts",
    find: "usage: add(before.usage, event.usage) as typeof event.usage",
    replace: "usage: event.usage",
    test: "test/answer/resume.test.ts"
  },
  {
    name: "streams: a server is not held back by a slow reader",
    file: "src/wire/undiciFetch.ts",
    find: "if (this.size > highWaterMark) controller.pause()",
    replace: "void controller",
    test: "test/answer/stream.test.ts"
  },
  {
    name: "relay: a failure looks like an end",
    file: "examples/15-relay.ts",
    find: "return sse(\"failed\", ",
    replace: "return sse(\"end\", ",
    test: "test/relay.test.ts"
  },
  {
    name: "relay: the reader does not learn that it begins anew",
    file: "examples/15-relay.ts",
    find: "if (event.type === \"restarted\" || event.type === \"resumed\") return",
    replace: "if (event.type === \"resumed\") return",
    test: "test/relay.test.ts"
  },
  {
    name: "relay: nothing comes while nothing comes",
    file: "examples/15-relay.ts",
    find: "silent ? \": waiting\\n\\n\" : \"\"",
    replace: "\"\"",
    test: "test/relay.test.ts"
  },
  {
    name: "relay: anybody's page may ask",
    file: "examples/15-relay.ts",
    find: "headers: Schema.Struct({ \"content-type\": Schema.Literal(\"application/json\") }),",
    replace: "",
    test: "test/relay.test.ts"
  },
  {
    name: "G2 queue: who leaves after its turn has come keeps what was taken",
    file: "src/guard/waitQueue.ts",
    find: "if (gone) return Effect.void",
    replace: "if (gone || !gone) return Effect.void",
    test: "test/guard/waitQueue.test.ts"
  },
  {
    name: "G2 queue: what was taken for one that left meanwhile is lost",
    file: "src/guard/waitQueue.ts",
    find: "else yield* putBack(head.item, now)",
    replace: "else yield* Effect.void",
    test: "test/guard/waitQueue.test.ts"
  },
  {
    name: "G6 queue: the last of its rank goes first",
    file: "src/guard/waitQueue.ts",
    find: "rank(other.item) > rank(item)",
    replace: "rank(other.item) >= rank(item)",
    test: "test/guard/waitQueue.test.ts"
  },
  {
    name: "G6 queue: a newcomer overtakes those who wait",
    file: "src/guard/waitQueue.ts",
    find: "queue[0] !== undefined && rank(queue[0].item) <= rank(item)",
    replace: "queue[0] === null",
    test: "test/guard/waitQueue.test.ts"
  },
  {
    name: "G8 queue: a wait is begun that is known to be too long",
    file: "src/guard/waitQueue.ts",
    find: "firm && wait !== Infinity && wait > within",
    replace: "false as boolean",
    test: "test/guard/waitQueue.test.ts"
  },
  {
    name: "G6 queue: those who came while a store was asked are forgotten",
    file: "src/guard/waitQueue.ts",
    find: "          wake()\n          return firm",
    replace: "          return firm",
    test: "test/guard/waitQueue.test.ts"
  },
  {
    name: "circuit G3: what began before a trip counts after it",
    file: "src/guard/circuit/machine.ts",
    find: "if (event.generation !== state.generation || state._tag === \"Isolated\")",
    replace: "if (state._tag === \"Isolated\")",
    test: "test/guard/circuit/machine.test.ts test/guard/rivals.test.ts"
  },
  {
    name: "circuit G4: a neutral probe keeps its place",
    file: "src/guard/circuit/machine.ts",
    find: "return [{ ...state, generation: state.generation + 1, probe: null }, counted]",
    replace: "return [state, counted]",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "circuit G5: a probe that died is waited for",
    file: "src/guard/circuit/machine.ts",
    find: "state.probe === null ? 0 : state.probe - now",
    replace: "state.probe === null ? 0 : 1",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "circuit G5: a probe does not keep others out",
    file: "src/guard/circuit/machine.ts",
    find: "return busy > 0",
    replace: "return busy > Infinity",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "circuit G5: a long attempt outlives its lease",
    file: "src/guard/circuit/circuits.ts",
    find: "Math.max(this.settings.probeLease, attempt)",
    replace: "this.settings.probeLease",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "circuit G9: no failure is ever too old",
    file: "src/guard/circuit/machine.ts",
    find: "Math.floor(now / (window / slicesPerWindow))",
    replace: "0 * now * window",
    test: "test/guard/circuit/machine.test.ts"
  },
  {
    name: "circuit: growth is not reset",
    file: "src/guard/circuit/machine.ts",
    find: "opened(settings, state, 0, event.jitter",
    replace: "opened(settings, state, state.generation, event.jitter",
    test: "test/guard/circuit/machine.test.ts"
  },
  {
    name: "circuit: an end of isolation is told to nobody",
    file: "src/guard/circuit/machine.ts",
    find: "closed: !probe",
    replace: "closed: false",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "circuit: an account without money is asked again",
    file: "src/guard/circuit/verdicts.ts",
    find: "error?._tag === \"SpendLimitReached\"",
    replace: "(false as boolean)",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "circuit: a retry-after is no floor",
    file: "src/guard/circuit/machine.ts",
    find: "(1 - jitter / 2), retryAfter)",
    replace: "(1 - jitter / 2), 0 * retryAfter)",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "circuit: a clock that is set back keeps it open for as long",
    file: "src/guard/circuit/machine.ts",
    find: "state.at === undefined || now >= state.at",
    replace: "state.at !== null",
    test: "test/guard/circuit/machine.test.ts"
  },
  {
    name: "circuit: a clock that is set back is known only to who has sent something",
    file: "src/guard/circuit/circuits.ts",
    find: "return [Machine.steadied(state, now), ",
    replace: "return [state, ",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "circuit G5: a clock that is set back makes a lease as much longer",
    file: "src/guard/circuit/machine.ts",
    find: "state.probe === null ? null : state.probe - back",
    replace: "state.probe",
    test: "test/guard/circuit/machine.test.ts"
  },
  {
    name: "circuit G9: what is far ahead is counted",
    file: "src/guard/circuit/machine.ts",
    find: "Math.abs(slice.index - newest) >=",
    replace: "newest - slice.index >=",
    test: "test/guard/circuit/machine.test.ts"
  },
  {
    name: "circuit: a hint that cannot be meant is believed",
    file: "src/guard/circuit/verdicts.ts",
    find: "millis <= longestHint ? millis : 0",
    replace: "millis",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "classify: a retry-after of years is waited for",
    file: "src/wire/classify.ts",
    find: " && wait <= longestHint",
    replace: "",
    test: "test/Anthropic.test.ts"
  },
  {
    name: "circuit G15: a store that fails, fails calls",
    file: "src/guard/circuit/store.ts",
    find: "Effect.catchCause(store.modify(this.key, f), (cause) => Effect.as(onStoreError(cause), otherwise))",
    replace: "Effect.orDie(store.modify(this.key, f))",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "circuit G15: a store that hangs, hangs calls",
    file: "src/guard/guards/stores.ts",
    find: "within(() => store.modify(key, f))",
    replace: "store.modify(key, f)",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "circuit G15: a store that hangs is asked again at once",
    file: "src/storePatience.ts",
    find: "restsUntil = now + rest",
    replace: "restsUntil = now",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "opening G2: an answer that is collected is not ended",
    file: "src/internal/collecting.ts",
    find: "(exit) => Eager.left(opening.end(exit))",
    replace: "() => undefined",
    test: "test/answer/interrupted.test.ts"
  },
  {
    name: "opening G2: an answer that is collected is opened before anything sees to its end",
    file: "src/internal/collecting.ts",
    find: "Effect.suspend(() => Effect.flatMap(opening.open(), (opened) => this.read(opened, prepared, rest)))",
    replace: "Effect.flatMap(opening.open(), (opened) => this.read(opened, prepared, rest))",
    test: "test/answer/interrupted.test.ts"
  },
  {
    name: "opening G2: an answer that is read is not ended with its scope",
    file: "src/internal/opening.ts",
    find: "Scope.addFinalizerExit(scope, (exit) => opening.end(exit))",
    replace: "Scope.addFinalizerExit(scope, () => Effect.void)",
    test: "test/answer/interrupted.test.ts"
  },
  {
    name: "opening G2: a service of one's own is not told how its answer ended",
    file: "src/internal/opening.ts",
    find: "end: (exit) => Scope.close(scope, exit)",
    replace: "end: () => Effect.void",
    test: "test/Claude.test.ts"
  },
  {
    name: "opening: an answer loses what it can do when it is copied",
    file: "src/internal/opening.ts",
    find: "Effect.map(opening.open(), plain)",
    replace: "opening.open()",
    test: "test/Claude.test.ts"
  },
  {
    name: "opening: what is opened behind guards is not ended",
    file: "src/guard/Guard.ts",
    find: "this.leases.push({ end: (exit) => inner.end(exit) })",
    replace: "void inner",
    test: "test/answer/interrupted.test.ts"
  },
  {
    name: "opening G1: the socket of an attempt is left open",
    file: "src/answer/attempt.ts",
    find: "Scope.closeUnsafe(scope, exit)",
    replace: "Scope.closeUnsafe(Scope.makeUnsafe(), exit)",
    test: "test/answer/interrupted.test.ts"
  },
  {
    name: "opening: a collected answer may end with a tool whose input is not JSON",
    file: "src/answer/attempt.ts",
    find: "if (failure !== undefined) return Exit.fail(failure)",
    replace: "if (failure !== undefined && !this.draft.ended()) return Exit.fail(failure)",
    test:
      "test/answer/stream.test.ts test/wire/faults.test.ts test/output/structured.test.ts test/Tool.test.ts test/Claude.test.ts"
  },
  {
    name: "opening G2: a slot that is given after the end is lost",
    file: "src/guard/Guard.ts",
    find: "if (this.ending !== undefined) return Effect.andThen(this.end(this.ending), Effect.interrupt)",
    replace: "if (this.ending !== undefined) return Effect.interrupt",
    test: "test/guard/Guard.test.ts"
  },
  {
    name: "opening G1: what was ended while its beginning was told is opened",
    file: "src/answer/attempt.ts",
    find: "return this.scope === undefined ? Effect.interrupt : this.connect(request)",
    replace: "return this.connect(request)",
    test: "test/guard/Guard.test.ts"
  },
  {
    name: "limits: nobody watches who reads an answer after its end",
    file: "src/internal/watch.ts",
    find: "    if (this.isStopped) return interrupt()\n",
    replace: "",
    test: "test/Claude.test.ts"
  },
  {
    name: "opening G2: what a reader opens is known to its scope too late",
    file: "src/answer/stream.ts",
    find: "Effect.succeed(scope = Scope.makeUnsafe())",
    replace: "Effect.map(Scope.make(), (made) => scope = made)",
    test: "test/answer/interrupted.test.ts"
  },
  {
    name: "opening: an `open` that is a method does not know itself",
    file: "src/internal/opening.ts",
    find: "Scope.provide(service.open(request), scope)",
    replace: "Scope.provide((0, service.open)(request), scope)",
    test: "test/Claude.test.ts"
  },
  {
    name: "opening G2: the limits of an attempt outlive it",
    file: "src/answer/attempt.ts",
    find: "    watch.stop()\n",
    replace: "",
    test: "test/answer/interrupted.test.ts"
  },
  {
    name: "opening G2: an attempt whose socket cannot be closed has no end",
    file: "src/answer/attempt.ts",
    find: "Effect.ensuring(closed, Effect.suspend(() => this.ended(exit)))",
    replace: "Effect.andThen(closed, Effect.suspend(() => this.ended(exit)))",
    test: "test/Claude.test.ts"
  },
  {
    name: "opening: an attempt is told to have ended before its socket is closed",
    file: "src/answer/attempt.ts",
    find: "      : Effect.ensuring(closed, Effect.suspend(() => this.ended(exit)))",
    replace: "      : Effect.andThen(this.ended(exit), closed)",
    test: "test/answer/interrupted.test.ts"
  },
  {
    name: "streams: a tool whose input is not JSON is an answer, where it is read",
    file: "src/answer/attempt.ts",
    find: "if (failure !== undefined) return Effect.fail(failure)",
    replace: "if (failure !== undefined && !this.draft.ended()) return Effect.fail(failure)",
    test: "test/answer/readers.test.ts"
  },
  {
    name: "opening: a lease that dies at its end is not heard of",
    file: "src/internal/eager.ts",
    find: "self === Exit.void ? undefined : self",
    replace: "Exit.isExit(self) ? undefined : self",
    test: "test/guard/Guard.test.ts"
  },
  {
    name: "circuit G3: what succeeded before a trip counts after it",
    file: "src/guard/circuit/circuits.ts",
    find: "if (generation === state.generation) unsafe.set",
    replace: "if (generation >= 0) unsafe.set",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "fallback: a value is read in the form that was asked for first",
    file: "src/Claude.ts",
    find:
      "    const ended = listener.asked(questionOf(fiber, ask, options, amend))\n    return Effect.onExit(\n      // Made after that: what is asked in the end is the last that `amend` is told of.\n      self(),",
    replace:
      "    const made = self()\n    const ended = listener.asked(questionOf(fiber, ask, options, amend))\n    return Effect.onExit(\n      made,",
    test: "test/policy/modelFallback.test.ts"
  },
  {
    name: "guard: an answer that a lease is told of cannot be taken apart",
    file: "src/guard/Guard.ts",
    find: "?.opened?.(Opening.plain(answer))",
    replace: "?.opened?.(answer)",
    test: "test/guard/Guard.test.ts"
  },
  {
    name: "guard: what comes after a gate that took a while is told an old time",
    file: "src/guard/Guard.ts",
    find: "Effect.flatMap(gated, () => this.admit(placeOf(this.fiber)))",
    replace: "Effect.flatMap(gated, () => this.admit(place))",
    test: "test/guard/Guard.test.ts"
  },
  {
    name: "guard: leases are settled in the order they were given",
    file: "src/guard/Guard.ts",
    find: "for (let lease = this.leases.pop(); lease",
    replace: "for (let lease = this.leases.shift(); lease",
    test: "test/guard/Guard.test.ts"
  },
  {
    name: "guard G2: a lease that is given during an interrupt is lost",
    file: "src/guard/Guard.ts",
    find: "Effect.uninterruptible(admitted)",
    replace: "Effect.interruptible(admitted)",
    test: "test/guard/Guard.test.ts"
  },
  {
    name: "guard G2: a settling that dies takes others with it",
    file: "src/guard/Guard.ts",
    find: "Effect.ensuring(settled, Effect.suspend(",
    replace: "Effect.andThen(settled, Effect.suspend(",
    test: "test/guard/Guard.test.ts"
  },
  {
    name: "guard: a local rejection says something about the model",
    file: "src/guard/Guard.ts",
    find: "error === undefined || isLocal(error)",
    replace: "error === undefined",
    test: "test/guard/Guard.test.ts"
  },
  {
    name: "circuit: one that closed long ago still lets calls in one by one",
    file: "src/guard/circuit/circuits.ts",
    find: "now - since < this.settings.window",
    replace: "since > -1",
    test: "test/guard/circuit/Circuit.test.ts"
  },
  {
    name: "monitor: one inside of another sees only failures",
    file: "src/guard/monitor/Monitor.ts",
    find: "inner[wentWell]?.(at, model) ?? Exit.void",
    replace: "Exit.void",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "turnstile: who waits when the scope is closed is not served",
    file: "src/guard/waitQueue.ts",
    find: "isServed ? Effect.forkDetach(server) : Effect.void",
    replace: "Effect.void",
    test: "test/guard/waitQueue.test.ts"
  },
  {
    name: "G6 turnstile: who serves is gone if the scope is closed before it begins",
    file: "src/guard/waitQueue.ts",
    find: "        { uninterruptible: true }\n",
    replace: "        {}\n",
    test: "test/guard/waitQueue.test.ts"
  },
  {
    name: "monitor: failures of one window are enough",
    file: "src/guard/monitor/slidingRate.ts",
    find: "if (this.calls < minimumCalls ||",
    replace: "if (this.calls < minimumCalls - 1 ||",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: nothing is forgotten",
    file: "src/guard/monitor/slidingRate.ts",
    find: "recent[0].index <= oldest",
    replace: "recent[0].index <= -1",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: forgets a slice late",
    file: "src/guard/monitor/slidingRate.ts",
    find: "recent[0].index <= oldest",
    replace: "recent[0].index < oldest",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: causes in any order",
    file: "src/guard/monitor/slidingRate.ts",
    find: ".toSorted((a, b) => b.count - a.count)",
    replace: "",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: a call inside of another counts",
    file: "src/guard/monitor/Monitor.ts",
    find: "outer !== undefined && outer.id !== event.call",
    replace: "outer === null",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: what the budget stops is a failure",
    file: "src/guard/monitor/counts.ts",
    find: "reason === \"BudgetSpent\" ||",
    replace: "",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: what was not sent is a failure",
    file: "src/guard/monitor/counts.ts",
    find: " || isLocal(error)",
    replace: "",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: what the circuit or the queue stops was not to be answered",
    file: "src/guard/monitor/counts.ts",
    find: "how === \"none\" ? error._tag",
    replace: "how === \"none\" && failures[error._tag] ? error._tag",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: what was isolated by hand was to be answered",
    file: "src/guard/monitor/counts.ts",
    find: " || isByHand(error)",
    replace: "",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: what a gate turns away is not seen without a policy",
    file: "src/guard/Guards.ts",
    find: "monitor === undefined ? circuits : Guard.make(monitor.watch(circuits.direct))",
    replace: "circuits",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: an alert does not stand",
    file: "src/guard/monitor/slidingRate.ts",
    find: "isHeld ? this.low || ",
    replace: "isHeld && !this.low ? ",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: an alert is raised again at once",
    file: "src/guard/monitor/slidingRate.ts",
    find: "(1 + rate) / 2 < below",
    replace: "rate < below",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: an alert is not raised again, however bad it is",
    file: "src/guard/monitor/slidingRate.ts",
    find: "this.low || (1 + rate) / 2 < below",
    replace: "this.low",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: an attempt under a policy counts",
    file: "src/guard/monitor/Monitor.ts",
    find: "fiber.getRef(Current.Call) === undefined ? lone(params.model) : Guard.nothing",
    replace: "fiber.getRef(Current.Call) !== null ? lone(params.model) : Guard.nothing",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: alerts that throw fail the call",
    file: "src/guard/Guards.ts",
    find: "Effect.suspend(() => alerts.raise(alert))",
    replace: "alerts.raise(alert)",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "admission: a slow start turns away who waits where nobody named a wait",
    file: "src/guard/guards/record.ts",
    find: ", maxWait: Infinity }",
    replace: " }",
    test: "test/guard/Guards.test.ts"
  },
  {
    name: "admission: a slow start keeps what it gained by an answer that ended badly",
    file: "src/guard/admission/Admission.ts",
    find: "if (sign !== \"success\" && grew)",
    replace: "if (grew === null)",
    test: "test/guard/admission/Admission.test.ts"
  },
  {
    name: "G12 guards: a field that is none does nothing",
    file: "src/guard/guards/record.ts",
    find: "  Refuse.unknown(\"Guards\", guards, fields)\n",
    replace: "",
    test: "test/guard/guards/config.test.ts"
  },
  {
    name: "G12 config: what contradicts itself is found when it is used",
    file: "src/guard/guards/config.ts",
    find: ": compile(guards)\n",
    replace: ": guards\n",
    test: "test/guard/guards/config.test.ts"
  },
  {
    name: "G2 admission: the tokens of one that left after its turn had come are lost",
    file: "src/guard/admission/Admission.ts",
    find: "Effect.mapEager(meter?.add(cost, now) ?? Exit.void, () => {",
    replace: "Effect.mapEager(Exit.void, () => {",
    test: "test/guard/admission/Admission.test.ts"
  },
  {
    name: "G2 admission: a slot is not given back",
    file: "src/guard/admission/Admission.ts",
    find: "adjust(sign, error, grew)\n    running--",
    replace: "adjust(sign, error, grew)",
    test: "test/guard/admission/Admission.test.ts"
  },
  {
    name: "G6 admission: the bound counts those of a lower priority",
    file: "src/guard/waitQueue.ts",
    find: "place >= room",
    replace: "queue.length >= room",
    test: "test/guard/admission/Admission.test.ts"
  },
  {
    name: "G8 admission: who is turned away is told to come back too early",
    file: "src/guard/quota/meter.ts",
    find: "Math.min(this.waited, this.notBefore - now), ",
    replace: "",
    test: "test/guard/admission/Admission.test.ts"
  },
  {
    name: "admission: a deadline is not looked at",
    file: "src/guard/admission/Admission.ts",
    find: "Math.min(concurrency.maxWait, fiber.getRef(Current.Deadline) - now)",
    replace: "concurrency.maxWait",
    test: "test/guard/admission/Admission.test.ts"
  },
  {
    name: "admission: losses change nothing",
    file: "src/guard/admission/Admission.ts",
    find: "Math.floor(limit * 0.9)",
    replace: "limit",
    test: "test/guard/admission/Admission.test.ts"
  },
  {
    name: "admission: the limit grows while nobody needs it",
    file: "src/guard/admission/Admission.ts",
    find: "return 2 * running >= limit ?",
    replace: "return running > 0 ?",
    test: "test/guard/admission/Admission.test.ts"
  },
  {
    name: "admission: a slow start gains by failures",
    file: "src/guard/admission/Admission.ts",
    find: "if (sign === \"success\" && !grew) slow++",
    replace: "slow++",
    test: "test/guard/admission/Admission.test.ts"
  },
  {
    name: "admission: traffic that grew too fast goes on as it was",
    file: "src/guard/admission/Admission.ts",
    find: "error.ramp === true) {",
    replace: "error.ramp === null) {",
    test: "test/guard/admission/Admission.test.ts"
  },
  {
    name: "quota: a dimension is not looked at",
    file: "src/guard/quota/Quota.ts",
    find: "wait(\"input\"), wait(\"output\"), ",
    replace: "wait(\"input\"), ",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: a clock that is set back lets nothing come back for as long",
    file: "src/guard/quota/Quota.ts",
    find: "bucket.at = now\n",
    replace: "bucket.at = Math.max(bucket.at, now)\n",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: a clock that is set back makes a pause as much longer",
    file: "src/guard/quota/Quota.ts",
    find: "bucket.until -= bucket.at - now",
    replace: "bucket.until -= 0",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: a retry-after is not waited for",
    file: "src/guard/quota/Quota.ts",
    find: ", bucket.until - now)",
    replace: ")",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: what the API says is left raises what there is",
    file: "src/guard/quota/Quota.ts",
    find: "Math.min(levels[of], atMost[of] ?? Infinity)",
    replace: "atMost[of] ?? levels[of]",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: an estimate that was too high is not given back",
    file: "src/guard/admission/signs.ts",
    find: "return { ...cost, output: 0 }",
    replace: "return cost",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: what is read from the cache counts",
    file: "src/request/tokenEstimate.ts",
    find: "usage.input_tokens + (",
    replace: "usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: answers that broke teach how long answers are",
    file: "src/guard/quota/meter.ts",
    find: "if (isAnswer && usage !== undefined)",
    replace: "if (usage !== undefined)",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: what is in the cache makes a request too large",
    file: "src/guard/quota/meter.ts",
    find: "&& !isCached(params)",
    replace: "&& true",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: what is kept free is used",
    file: "src/guard/quota/meter.ts",
    find: "remaining - (limits[of] / minutes) * (1 - quota.headroom)",
    replace: "remaining",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: who waits for more than there is now holds up all",
    file: "src/guard/admission/Admission.ts",
    find: "ticket.priced = meter.fit(ticket.priced)",
    replace: "meter.fit(ticket.priced)",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: lower limits are not learned",
    file: "src/guard/quota/meter.ts",
    find: "isCount(limit) && limit > 0 ?",
    replace: "false as boolean ?",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: only a 429 is heard",
    file: "src/internal/stated.ts",
    find: "if (limits !== undefined &&",
    replace: "if (limits === null &&",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: a model with limits of its own shares those of its line",
    file: "src/guard/quota/Quota.ts",
    find: "line === undefined || amounts.has(model) ? model : line",
    replace: "line ?? model",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "G15 quota: a store that throws stops the queue",
    file: "src/guard/quota/meter.ts",
    find: "Effect.suspend(() => ask(store, buckets))",
    replace: "ask(store, buckets)",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "G12 quota: a slip in the limits of a class is passed over",
    file: "src/guard/quota/Quota.ts",
    find: "    Refuse.unknown(`quota: classes.${name}`, limits, ownFields)\n",
    replace: "",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "simulated: a rate limit is no loss",
    file: "src/guard/admission/signs.ts",
    find: "RateLimited: \"loss\"",
    replace: "RateLimited: \"none\"",
    test: "test/guard/admission/simulated.test.ts"
  },
  {
    name: "simulated: what was used is not settled",
    file: "src/guard/quota/meter.ts",
    find: "isEven ? Exit.void : this.add(rest, now)",
    replace: "Exit.void",
    test: "test/guard/quota/simulated.test.ts"
  },
  {
    name: "simulated: late answers count",
    file: "src/guard/circuit/machine.ts",
    find: "event.generation !== state.generation || ",
    replace: "",
    test: "test/guard/circuit/incident.test.ts"
  },
  {
    name: "simulated: the lease of a probe never ends",
    file: "src/guard/circuit/machine.ts",
    find: "state.probe === null ? 0 : state.probe - now",
    replace: "state.probe === null ? 0 : Infinity",
    test: "test/guard/circuit/incident.test.ts"
  },
  {
    name: "simulated: interactive calls wait behind others",
    file: "src/guard/waitQueue.ts",
    find: "rank(other.item) > rank(item)",
    replace: "rank(other.item) > rank(item) + 9",
    test: "test/guard/circuit/incident.test.ts"
  },
  {
    name: "retry: an error value that comes again is final",
    file: "src/internal/finishing.ts",
    find: "if (isPiece && error === call.last)",
    replace: "if (error === call.last)",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "monitor: answers that break off are nobody's trouble",
    file: "src/answer/ending.ts",
    find: "if (!this.isHandedOver || this.isOver) return Exit.succeed(error)",
    replace: "return Exit.succeed(error)",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "monitor: what goes well is not counted where nobody reads the log",
    file: "src/guard/monitor/Monitor.ts",
    find: "const told = count(well, at, model)",
    replace: "const told = at < 0 ? count(well, at, model) : Exit.void",
    test: "test/guard/monitor/Monitor.test.ts"
  },
  {
    name: "quota: answers that were left teach how long answers are",
    file: "src/guard/Guard.ts",
    find: "const usage = isLeft ? undefined : answer?.usage()",
    replace: "const usage = answer?.usage()",
    test: "test/guard/quota/Quota.test.ts"
  },
  {
    name: "quota: whatever a server asks for is waited for",
    file: "src/guard/quota/meter.ts",
    find: "Math.min(wait, longestPause)",
    replace: "wait",
    test: "test/guard/quota/Quota.test.ts"
  }
]
