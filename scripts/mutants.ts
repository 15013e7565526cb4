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
    name: "G1: an interrupt leaves the socket open",
    file: "src/Anthropic.ts",
    find: "drain(reader, controller) : controller.abort(closed)",
    replace: "drain(reader, controller) : undefined",
    test: "test/wire.test.ts"
  },
  {
    name: "G1: an interrupt of a read leaves the read running",
    file: "src/internal/supervised.ts",
    find: "return Fiber.interrupt(fiber)",
    replace: "return Effect.void",
    test: "test/open.test.ts"
  },
  {
    name: "answers: a broken one that its reader recovers from is a success",
    file: "src/internal/reading.ts",
    find: "if (error._tag === \"Some\" && ClaudeError.is(error.value)) return Exit.fail(error.value)",
    replace: "if (error._tag === \"Some\") return Exit.void",
    test: "test/open.test.ts"
  },
  {
    name: "answers: one that is never read is a success",
    file: "src/internal/reading.ts",
    find: "leave(Exit.interrupt())",
    replace: "leave(Exit.void)",
    test: "test/open.test.ts"
  },
  {
    name: "answers: one that begins anew is lost when it is interrupted",
    file: "src/internal/reading.ts",
    find: "(opened): Reading => current = { opened, scope }",
    replace: "(opened): Reading => ({ opened, scope })",
    test: "test/open.test.ts"
  },
  {
    name: "G13: restarts climb the ladder again and again",
    file: "src/internal/run.ts",
    find: "models.slice(this.hop)",
    replace: "models.slice(0)",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "limits: content idle is not watched",
    file: "src/internal/watch.ts",
    find: `["idle", limit.contentIdle, contentAt]`,
    replace: `["idle", Infinity, contentAt]`,
    test: "test/Claude.test.ts"
  },
  {
    name: "limits: a slow reader is a slow model",
    file: "src/internal/watch.ts",
    find: "paused += clock.currentTimeMillisUnsafe() - pausedAt",
    replace: "paused += 0",
    test: "test/Claude.test.ts"
  },
  {
    name: "limits: pings count as content",
    file: "src/internal/attempt.ts",
    find: "watch.received(events.some(Message.isContent))",
    replace: "watch.received(true)",
    test: "test/Claude.test.ts"
  },
  {
    name: "G8: a wait is begun that cannot end before the deadline",
    file: "src/internal/run.ts",
    find: "if (now + waited >= deadline) {",
    replace: "if (false as boolean) {",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G8: a schedule used without a policy ignores the deadline",
    file: "src/policy/Retry.ts",
    find: "now + Duration.toMillis(duration) < deadline && ",
    replace: "",
    test: "test/policy/Retry.test.ts"
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
    find: " && !(ClaudeError.is(input) && isPermanent(input))",
    replace: "",
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
    find: "if (call !== undefined) call.correction = input",
    replace: "if (call !== undefined) call.correction = undefined",
    test: "test/policy/Retry.test.ts"
  },
  {
    name: "retry: the SDK retries too",
    file: "src/internal/sdk.ts",
    find: "const once = { maxRetries: 0,",
    replace: "const once = { maxRetries: 1,",
    test: "test/wire.test.ts"
  },
  {
    name: "G11: the history is lost",
    file: "src/internal/history.ts",
    find: "({ ...error, gaveUp, history })",
    replace: "({ ...error, gaveUp })",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G11: every reason is RetriesSpent",
    file: "src/internal/run.ts",
    find: `retried.has(error._tag) ? "RetriesSpent" : "NotRetried"`,
    replace: `"RetriesSpent"`,
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G12: a contradiction is accepted",
    file: "src/internal/policyRecord.ts",
    find: "if (a !== undefined && b !== undefined && a > b) {",
    replace: "if (false as boolean) {",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G13: a restart is not marked",
    file: "src/internal/reading.ts",
    find: "return Effect.as(told(broken, event.attempt), Arr.of(event))",
    replace: "return Effect.andThen(told(broken, event.attempt), pull)",
    test: "test/Claude.test.ts test/policy/Policy.test.ts"
  },
  {
    name: "G13: a text stream restarts",
    file: "src/internal/reading.ts",
    find: "const reopen = mayRestart ? call?.reopen : undefined",
    replace: "const reopen = call?.reopen",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "G14: content is printed",
    file: "src/internal/attempt.ts",
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
    file: "src/internal/attempt.ts",
    find: `() => odd("it ended before the message did")`,
    replace: "() => Effect.sync((): ReadonlyArray<Message.WireEvent> => (draft.add({ type: \"message_stop\" }), []))",
    test: "test/Claude.test.ts test/tags.test.ts test/properties.test.ts"
  },
  {
    name: "G16: text in the wrong place is passed over",
    file: "src/internal/draft.ts",
    find: "if (block === undefined) return `a delta for a block that is not open${at(event.index)}`",
    replace: "if (block === undefined) return undefined",
    test: "test/internal/draft.test.ts test/properties.test.ts"
  },
  {
    name: "G16: characters are replaced",
    file: "src/internal/sse.ts",
    find: "{ fatal: true }",
    replace: "{ fatal: false }",
    test: "test/internal/sse.test.ts"
  },
  {
    name: "fallback: a spend limit asks another model",
    file: "src/policy/Fallback.ts",
    find: "SpendLimitReached: false,\n  RateLimited: true",
    replace: "SpendLimitReached: true,\n  RateLimited: true",
    test: "test/policy/Fallback.test.ts"
  },
  {
    name: "classify: a spend limit is a rate limit",
    file: "src/internal/classify.ts",
    find: `enforced_spend_limit_reached: "SpendLimitReached"`,
    replace: `enforced_spend_limit_reached: "RateLimited"`,
    test: "test/tags.test.ts"
  },
  {
    name: "log: the caller's log is used",
    file: "src/Claude.ts",
    find: "Attempt.open(wire.open, log, request)",
    replace: "Effect.flatMap(CallLog.CallLog, (log) => Attempt.open(wire.open, log, request))",
    test: "test/policy/Policy.test.ts"
  },
  {
    name: "policy: the overall limit is ignored",
    file: "src/internal/run.ts",
    find: ": overall(hopped)",
    replace: ": hopped",
    test: "test/policy/Policy.test.ts"
  }
]
