/**
 * What the library is measured by: the incidents, limits and mixes in which it, or a rival, was found wanting.
 *
 * `measured` is what came over real sockets (bench/README.md has the set-up): calls answered, requests in brackets.
 */
import type { Guards, Quota } from "../src/index.ts"
import type { Simulator } from "../src/testing/index.ts"

/** The columns of the table. */
export const columns = ["guarded", "without", "sdk", "p-retry", "cockatiel", "effect"] as const

export type Column = (typeof columns)[number]

/** A scenario of the lab. */
export interface Entry extends Simulator.Scenario {
  readonly about: string
  /** The limits of the account, as its console states them. */
  readonly quota?: Quota.Options | undefined
  /** Guards, where those of the README cannot be meant. */
  readonly guards?: Guards.Guards | undefined
  readonly measured?: { readonly [C in Column]?: string } | undefined
  /** What else was found, in words. */
  readonly found?: string | undefined
}

const down = (from: Time, to: Time, more: Partial<Simulator.Incident> = {}): ReadonlyArray<Simulator.Incident> => [
  { from, to, fault: "overloaded", ...more }
]

type Time = Simulator.Incident["from"]

const sonnet = "claude-sonnet-5-5"
const haiku = "claude-haiku-5-5"
const opus = "claude-opus-5-5"

// -----------------------------------------------------------------------------
// Measured over sockets
// -----------------------------------------------------------------------------

const incidents: ReadonlyArray<Entry> = [
  {
    name: "a",
    about: "529 for 20 s at 12 calls/s",
    provider: { incidents: down("12 seconds", "32 seconds") },
    traffic: { arrivals: { perSecond: 12 }, to: "57 seconds" },
    measured: {
      guarded: "521–567 (700)",
      without: "533 (1357)",
      sdk: "459 (1158)",
      "p-retry": "666 (1444)",
      cockatiel: "547 (555)",
      effect: "536"
    }
  },
  {
    name: "a2",
    about: "the same as resets",
    provider: { incidents: down("12 seconds", "32 seconds", { fault: "reset" }) },
    traffic: { arrivals: { perSecond: 12 }, to: "57 seconds" },
    measured: {
      guarded: "508 (656)",
      without: "575",
      sdk: "461",
      "p-retry": "667 (1453)",
      cockatiel: "546",
      effect: "530"
    }
  },
  {
    name: "a3",
    about: "529 for 45 s at 6 calls/s",
    provider: { incidents: down("3 seconds", "48 seconds") },
    traffic: { arrivals: { perSecond: 6 }, to: "92 seconds" },
    measured: {
      guarded: "271–361 (380)",
      without: "322",
      sdk: "289",
      "p-retry": "389 (1535)",
      cockatiel: "301 (312)",
      effect: "325"
    }
  },
  {
    name: "a4",
    about: "as a, afterwards 529 above 24 requests/s",
    provider: {
      incidents: down("12 seconds", "32 seconds"),
      fragility: { from: "32 seconds", perSecond: 24 }
    },
    traffic: { arrivals: { perSecond: 12 }, to: "57 seconds" },
    measured: {
      guarded: "223–233 (400)",
      without: "526",
      sdk: "460",
      "p-retry": "627",
      cockatiel: "443",
      effect: "519"
    }
  }
]

const errors: ReadonlyArray<Entry> = [
  {
    name: "b35",
    about: "35 % random 529 at 15 calls/s",
    provider: { faults: { overloaded: 0.35 } },
    traffic: { arrivals: { perSecond: 15 }, to: "25 seconds" },
    measured: { guarded: "278 (442)", without: "369", sdk: "360", "p-retry": "374", cockatiel: "374", effect: "369" }
  },
  {
    name: "b50",
    about: "50 % random 529 at 15 calls/s",
    provider: { faults: { overloaded: 0.5 } },
    traffic: { arrivals: { perSecond: 15 }, to: "25 seconds" },
    measured: { guarded: "8–27", without: "358", sdk: "340", "p-retry": "369", cockatiel: "163" }
  },
  {
    name: "m1",
    about: "20 % random 529, answers of 8 s, at 10 calls/s",
    provider: { faults: { overloaded: 0.2 }, firstToken: "400 millis", length: "7600 millis" },
    traffic: { arrivals: { perSecond: 10 }, to: "30 seconds", patience: "40 seconds" },
    silence: "15 seconds",
    measured: { guarded: "74–88", without: "300", sdk: "296", "p-retry": "300", cockatiel: "221", effect: "300" }
  },
  {
    name: "i",
    about: "10 % HTML with 502, 10 % with 200, at 15 calls/s",
    provider: { faults: { htmlError: 0.1, htmlPage: 0.1 } },
    traffic: { arrivals: { perSecond: 15 }, to: "20 seconds" },
    measured: { guarded: "59, 291, 297", without: "297", sdk: "275", "p-retry": "276", cockatiel: "300", effect: "276" }
  }
]

const limits: ReadonlyArray<Entry> = [
  {
    name: "c",
    about: "a limit of 3 requests/s (burst 4) under 9 calls/s",
    provider: { limits: { requests: { perMinute: 180, burst: 4 } } },
    traffic: { arrivals: { perSecond: 9 }, to: "20 seconds" },
    quota: { requests: 180 },
    measured: {
      guarded: "70 (99)",
      without: "97 (583)",
      sdk: "69 (428)",
      "p-retry": "116 (683)",
      cockatiel: "92 (715)",
      effect: "90 (99)"
    },
    found: "guards without quota: 130 (298)"
  },
  {
    name: "c3",
    about: "a limit of 1 request/s (burst 5) under 1 call/s",
    provider: { limits: { requests: { perMinute: 60, burst: 5 } }, headers: "1100 millis", firstToken: "1100 millis" },
    traffic: { arrivals: { perSecond: 1 }, to: "60 seconds", patience: "60 seconds" },
    quota: { requests: 60 },
    measured: { guarded: "46", "p-retry": "60" }
  },
  {
    name: "c4",
    about: "a limit of 4 requests/s (burst 8) under 6 calls/s",
    provider: { limits: { requests: { perMinute: 240, burst: 8 } } },
    traffic: { arrivals: { perSecond: 6 }, to: "45 seconds" },
    quota: { requests: 240 },
    measured: {
      guarded: "128 (194)",
      without: "210",
      sdk: "190",
      "p-retry": "227",
      cockatiel: "208",
      effect: "270 (270)"
    },
    found: "guards without quota: 243 (418)"
  },
  {
    name: "d",
    about: "the spend cap is reached: how soon do calls give up?",
    provider: { incidents: [{ from: 0, to: "1 hour", fault: "spendCap" }] },
    traffic: { arrivals: { perSecond: 6 }, to: "12 seconds" },
    measured: {
      guarded: "0 (5)",
      without: "0 (72)",
      sdk: "0 (216)",
      "p-retry": "0 (360)",
      cockatiel: "0 (360)",
      effect: "0 (288)"
    },
    found: "time to give up: guarded 0.00 s, without 0.01, SDK 1.4, p-retry 19.7, cockatiel 11.6, Effect 8.2"
  }
]

const models: ReadonlyArray<Entry> = [
  {
    name: "j",
    about: "one model of two is down",
    provider: { models: { [sonnet]: { faults: { overloaded: 1 } } } },
    traffic: { arrivals: { perSecond: 10 }, to: "25 seconds", fallbacks: [haiku] },
    measured: {
      guarded: "250 (261)",
      without: "250 (1250)",
      "p-retry": "250 (1000)",
      cockatiel: "250 (259)",
      effect: "250 (1250)"
    },
    found: "p50: guarded 0.25 s, without 7.7, p-retry 4.9, cockatiel 9.1, Effect 7.4"
  },
  {
    name: "j2",
    about: "one model of two hangs",
    provider: { models: { [sonnet]: { faults: { stall: 1 } } } },
    traffic: { arrivals: { perSecond: 10 }, to: "15 seconds", fallbacks: [haiku] },
    measured: { guarded: "150", without: "150", "p-retry": "0", cockatiel: "150", effect: "0" },
    found: "p50: guarded 0.27 s, without 15, cockatiel 16"
  },
  {
    name: "rare-model",
    about: "a broken model with 6 calls/min beside one with 20 % errors",
    provider: { faults: { overloaded: 0.2 }, models: { [haiku]: { faults: { overloaded: 1 } } } },
    traffic: [
      { arrivals: { perSecond: 2 }, to: "10 minutes", tenant: "healthy" },
      { arrivals: { perSecond: 0.1 }, to: "10 minutes", model: haiku, tenant: "broken" }
    ],
    found: "the healthy model falls from 99.2 to 82.5 %"
  },
  {
    name: "three-models",
    about: "one bad model of three, 2 calls/s each",
    provider: { models: { [opus]: { faults: { overloaded: 0.6 } } } },
    traffic: [
      { arrivals: { perSecond: 2 }, to: "10 minutes", tenant: "well" },
      { arrivals: { perSecond: 2 }, to: "10 minutes", model: haiku, tenant: "well" },
      { arrivals: { perSecond: 2 }, to: "10 minutes", model: opus, tenant: "bad" }
    ]
  }
]

// -----------------------------------------------------------------------------
// Where the guards were found wanting
// -----------------------------------------------------------------------------

/** Six hundred answers at a time do not fit into 64 slots. */
const circuitOnly: Guards.Guards = { circuit: {} }

const longAnswers: ReadonlyArray<Entry> = [
  {
    name: "long-errors",
    about: "5 % random 529 at 10 calls/s, answers of 61 s",
    provider: { faults: { overloaded: 0.05 }, firstToken: "1 second", length: "60 seconds" },
    traffic: { arrivals: { perSecond: 10 }, to: "10 minutes", patience: "2 minutes" },
    guards: circuitOnly,
    found: "2–4 trips in ten minutes, 32–73 % lost"
  },
  {
    name: "long-outage",
    about: "529 for 60 s at 2 calls/s, answers of 201 s",
    provider: { incidents: down("1 minute", "2 minutes"), firstToken: "1 second", length: "200 seconds" },
    traffic: { arrivals: { perSecond: 2 }, to: "12 minutes", patience: "5 minutes" },
    guards: circuitOnly,
    found: "the circuit never closes: 1,382 of 1,440 lost"
  },
  ...[20, 50].map((streams): Entry => ({
    name: `still-running-${streams}`,
    about: `${streams} streams of 10 minutes still run when a circuit closes`,
    provider: {
      incidents: down("1 minute", "90 seconds"),
      output: 1_000_000,
      tokensPerSecond: 100
    },
    traffic: [
      {
        arrivals: { jobs: streams },
        from: "50 seconds",
        patience: "12 minutes",
        prompt: { maxTokens: 60_000 },
        tenant: "long"
      },
      {
        arrivals: { perSecond: 1 },
        to: "700 seconds",
        patience: "2 minutes",
        prompt: { maxTokens: 100 },
        tenant: "short"
      }
    ],
    found: "nothing begins for 508 s; 449 of 700 Saturated"
  })),
  {
    name: "breaks",
    about: "every stream breaks after its first token for 60 s",
    provider: { incidents: down("1 minute", "2 minutes", { fault: "break" }), length: "8 seconds" },
    traffic: { arrivals: { perSecond: 5 }, to: "4 minutes", patience: "40 seconds" },
    silence: "15 seconds"
  }
]

const load: ReadonlyArray<Entry> = [
  {
    name: "jobs",
    about: "1,000 jobs where 50 may run, 8 s each",
    provider: { limits: { concurrent: 50 }, firstToken: "400 millis", length: "7600 millis" },
    traffic: { arrivals: { jobs: 1000 }, patience: "15 minutes" },
    guards: { concurrency: { min: 1, max: 100, queue: 1000, maxWait: "15 minutes" }, circuit: {} },
    silence: "15 seconds",
    found: "424–454 s and up to 302 429s; 160 s is ideal"
  },
  {
    name: "429-no-quota",
    about: "60 s of 429 with a retry-after, and no quota",
    provider: { incidents: down("1 minute", "2 minutes", { fault: "rateLimited", retryAfter: "end" }) },
    traffic: { arrivals: { perSecond: 10 }, to: "4 minutes", patience: "30 seconds" },
    found: "600 requests, 330 calls lost"
  },
  {
    name: "recovery-500",
    about: "500 callers wait when an outage ends",
    provider: { incidents: down("10 seconds", "40 seconds") },
    traffic: [
      { arrivals: { perSecond: 2 }, to: "70 seconds", patience: "1 minute" },
      { arrivals: { jobs: 500 }, from: "25 seconds", patience: "1 minute" }
    ],
    found: "227–282 lost"
  },
  {
    name: "rare-errors",
    about: "12 calls/min with 30 % errors for an hour",
    provider: { faults: { overloaded: 0.3 } },
    traffic: { arrivals: { perSecond: 0.2 }, to: "1 hour" },
    found: "17.8 trips an hour"
  },
  {
    name: "jobs-outage",
    about: "200 jobs in an outage of 60 s, no other traffic",
    provider: { incidents: down(0, "1 minute") },
    traffic: { arrivals: { jobs: 200 }, patience: "2 minutes" }
  },
  {
    name: "flood",
    about: "a tenant floods the queue",
    provider: { firstToken: "400 millis", length: "7600 millis" },
    traffic: [
      { arrivals: { perSecond: 1 }, from: "30 seconds", to: "3 minutes", tenant: "small" },
      { arrivals: { perSecond: 200 }, to: "3 minutes", tenant: "flood" }
    ],
    found: "3 of 150 of the small tenant's calls answered"
  }
]

/** The chats after something whose tokens no estimate sees: 100 at 2 a second. */
const chats: Simulator.Traffic = { arrivals: { perSecond: 2 }, from: "1 minute", to: "110 seconds", tenant: "chats" }

const quota: ReadonlyArray<Entry> = [
  ...(["documents", "images", "webSearch"] as const).map((what): Entry => ({
    name: what === "webSearch" ? "web-searches" : what,
    about: `20 calls with ${what === "webSearch" ? "web searches" : what}, then 100 short chats`,
    provider: {
      limits: {
        requests: { perMinute: 1000 },
        inputTokens: { perMinute: 2_000_000 },
        outputTokens: { perMinute: 400_000 }
      }
    },
    traffic: [
      {
        arrivals: { perSecond: 0.5 },
        to: "40 seconds",
        tenant: what,
        prompt: what === "webSearch" ? { webSearch: true } : { [what]: what === "images" ? 20 : 1 }
      },
      chats
    ],
    quota: { requests: 1000, inputTokens: 2_000_000, outputTokens: 400_000 },
    ...(what === "documents" && { found: "43 of 100 chats answered" })
  })),
  {
    name: "cached",
    about: "20 calls at once with a cached prompt of 28k tokens, under 30k uncached tokens a minute",
    provider: {
      tokens: { warm: true },
      limits: { requests: { perMinute: 50 }, inputTokens: { perMinute: 30_000 }, outputTokens: { perMinute: 8000 } }
    },
    traffic: { arrivals: { jobs: 20 }, patience: "1 minute", prompt: { cached: 112_000 } },
    quota: { requests: 50, inputTokens: 30_000, outputTokens: 8000 },
    found: "12 answered; the API would take all"
  },
  {
    name: "two-processes",
    about: "two processes on one account of 1 request/s, 0.5 calls/s each",
    provider: { limits: { requests: { perMinute: 60 } } },
    traffic: { arrivals: { perSecond: 1.5 }, to: "5 minutes" },
    processes: 2,
    quota: { requests: 60 }
  }
]

const alarms: ReadonlyArray<Entry> = [
  {
    name: "alarm-outage",
    about: "an outage of 20 minutes at 1 call/s",
    provider: { incidents: down("10 minutes", "30 minutes") },
    traffic: { arrivals: { perSecond: 1 }, to: "40 minutes", patience: "1 minute" },
    found: "told after 212 s; the success rate tells 74 s after the recovery"
  },
  {
    name: "alarm-steady",
    about: "a steady 5 % of errors at 1 call/s for two hours",
    provider: { faults: { overloaded: 0.05 } },
    traffic: { arrivals: { perSecond: 1 }, to: "2 hours" }
  },
  ...[0.05, 0.15, 1].map((perSecond): Entry => ({
    name: `hour-${perSecond}`,
    about: `an hour of full outage at ${perSecond} calls/s`,
    provider: { incidents: down(0, "1 hour") },
    traffic: { arrivals: { perSecond }, to: "1 hour", patience: "1 minute" },
    found: "extra load: at most 30 requests, and at most 5 % from 0.15 calls/s on"
  }))
]

/** All of them, in the order of the table. */
export const scenarios: ReadonlyArray<Entry> = [
  ...incidents,
  ...errors,
  ...limits,
  ...models,
  ...longAnswers,
  ...load,
  ...quota,
  ...alarms
]
