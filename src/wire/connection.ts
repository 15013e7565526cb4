/** What a wire gives to an attempt. */
import type * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import type { ClaudeError } from "../ClaudeError.ts"
import type { RateLimits, Request, WireEvent } from "../Message.ts"

/** What one read of the wire brought: how many bytes (pings included), and the events they completed. */
export interface WireItem {
  readonly bytes: number
  readonly events: ReadonlyArray<WireEvent>
}

/** A response whose headers are here. */
export interface Connection {
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /** Whether the message may end with its stop reason, and without a `message_stop`. */
  readonly mayEndEarly?: boolean
  /** The next socket read; done at the end of the body. */
  readonly read: Pull.Pull<WireItem, ClaudeError>
}

/** Sends a request: succeeds when the headers are there. Closing the scope closes the socket. */
export type Connect = (request: Request) => Effect.Effect<Connection, ClaudeError, Scope.Scope>
