/** The lease of a request, held at the circuit of its model and at the circuit of the account. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { atNow } from "../../atNow.ts"
import type { ClaudeError } from "../../ClaudeError.ts"
import type { Request } from "../../Message.ts"
import * as Guard from "../Guard.ts"
import { outcomeOf } from "../outcomes.ts"
import { type Circuit, look, of, type Panel, send } from "./circuits.ts"
import type * as Machine from "./machine.ts"
import { brokeOff, ended, endedForAccount, isLoss, reject } from "./verdicts.ts"
import * as Line from "./waitLine.ts"

/**
 * Fails if the circuit of the account rejects the call. While the circuit of the model is open or recovers, the call waits
 * for its turn, or fails if it may not wait for so long.
 */
export const gate = (panel: Panel, { params: { model } }: Request): Effect.Effect<void, ClaudeError> =>
  atNow((now) => {
    const { line } = of(panel, model, now)
    return Effect.flatMap(look(panel, panel.ofAccount, now), (whole) =>
      whole._tag === "Rejected"
        ? Effect.fail(reject(undefined, model, whole, whole.retryAfter, now))
        : Line.pass(line, now))
  })

export const admit = (panel: Panel, request: Request): Effect.Effect<Guard.Lease, ClaudeError> =>
  atNow((now) => admitAt(panel, request, now))

const admitAt = Effect.fnUntraced(function*(
  panel: Panel,
  { limits, params: { model } }: Request,
  now: number
): Effect.fn.Return<Guard.Lease, ClaudeError> {
  const circuit = of(panel, model, now)
  const limit = limits.attempt === undefined ? 0 : Duration.toMillis(limits.attempt)
  // Without a time-out per attempt, `probeLease` bounds the probe: otherwise a probe whose process died would block
  // forever.
  const attempt = limit < Infinity ? limit : 0
  const asked: Machine.Event = { _tag: "Ask", lease: Math.max(panel.settings.probeLease, attempt) }
  const ofAccount = yield* send(panel, undefined, asked, now)
  if (ofAccount._tag !== "Admitted") {
    return yield* Effect.fail(reject(undefined, model, ofAccount, waitOf(ofAccount), now))
  }
  const ofModel = yield* send(panel, model, asked, now)
  if (ofModel._tag !== "Admitted") {
    // Gives back the probe of the account's circuit.
    if (ofAccount.probe) yield* send(panel, undefined, { _tag: "Ignored", generation: ofAccount.generation }, now)
    return yield* Effect.fail(reject(model, model, ofModel, waitOf(ofModel), now))
  }
  if (!ofModel.probe) circuit.line.pace.count(now)
  const held: Held = { panel, circuit, start: now, ofAccount, ofModel, begunAt: undefined }
  return { opened: () => opened(held), settle: (exit) => settle(held, exit) }
})

const waitOf = (decision: Machine.Decision): number | null => decision._tag === "Rejected" ? decision.retryAfter : null

/**
 * The state of a lease. An answer that begins counts as a success, which becomes a failure if the answer breaks off.
 * After a probe has closed a circuit, its lease belongs to the new generation of that circuit.
 */
interface Held {
  readonly panel: Panel
  readonly circuit: Circuit
  readonly start: number
  ofAccount: Machine.Right
  ofModel: Machine.Right
  /** `undefined` before the answer begins. */
  begunAt: number | undefined
}

const opened = (held: Held): Effect.Effect<void> =>
  atNow((now) => {
    held.begunAt = now
    return succeeded(held, now - held.start > held.panel.settings.slowAfter, now)
  })

const settle = (held: Held, exit: Guard.Ending): Effect.Effect<void> =>
  atNow((now) => {
    const { begunAt, circuit, ofAccount, ofModel } = held
    const how = outcomeOf(exit).circuit
    const error = Guard.errorOf(exit)
    if (isLoss(how, error)) circuit.line.ramp?.lose(held.start, now)
    if (begunAt === undefined && how === "success") return succeeded(held, false, now)
    const own = begunAt === undefined
      ? ended(how, ofModel.generation, error)
      : how === "failure"
      ? brokeOff(ofModel, begunAt, error)
      : undefined
    return tell(held, own, endedForAccount(how, ofAccount, error, now), now)
  })

const succeeded = (held: Held, slow: boolean, now: number): Effect.Effect<void> =>
  tell(
    held,
    { _tag: "Success", generation: held.ofModel.generation, slow },
    endedForAccount("success", held.ofAccount, undefined, now),
    now
  )

/** If an event closes a circuit, the lease moves to the new generation of that circuit. */
const tell = (
  held: Held,
  own: Machine.Event | undefined,
  whole: Machine.Event | undefined,
  now: number
): Effect.Effect<void> => {
  const { circuit, panel } = held
  const toOwn = own && Effect.map(send(panel, circuit.model, own, now), (decision) => {
    if (decision._tag === "Closed") held.ofModel = { ...held.ofModel, generation: decision.generation }
  })
  const toWhole = whole && Effect.map(send(panel, undefined, whole, now), (decision) => {
    if (decision._tag === "Closed") held.ofAccount = { generation: decision.generation, probe: false }
  })
  return toOwn && toWhole ? Effect.andThen(toOwn, toWhole) : toOwn ?? toWhole ?? Effect.void
}
