/** The scenarios that were written to find faults of the guards. `found` names a fault, if there was one. */
import type { Guards } from "../../src/index.ts"
import { down, type Entry, haiku, opus } from "./entry.ts"

const models: ReadonlyArray<Entry> = [
  {
    name: "rare-model",
    about: "a broken model with 2 calls/min beside one with 12, 20 % errors",
    provider: { faults: { overloaded: 0.2 }, models: { [haiku]: { faults: { overloaded: 1 } } } },
    traffic: [
      { arrivals: { perSecond: 0.2 }, to: "1 hour", tenant: "healthy" },
      { arrivals: { perSecond: 0.03 }, to: "1 hour", model: haiku, tenant: "broken" }
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

/** No concurrency limit: in the scenarios with long answers, hundreds of calls run at once. */
const circuitOnly: Guards.Guards = { circuit: {} }

const longAnswers: ReadonlyArray<Entry> = [
  {
    name: "long-errors",
    about: "5 % random 529 at 10 calls/s, answers of 61 s",
    provider: { faults: { overloaded: 0.05 }, firstToken: "1 second", length: "60 seconds" },
    traffic: { arrivals: { perSecond: 10 }, to: "10 minutes", patience: "5 minutes" },
    guards: circuitOnly,
    timeout: "2 minutes",
    found: "the circuit opens 2–4 times in ten minutes, and 32–73 % of the calls are lost"
  },
  {
    name: "long-outage",
    about: "529 for 60 s at 2 calls/s, answers of 201 s",
    provider: { incidents: down("1 minute", "2 minutes"), firstToken: "1 second", length: "200 seconds" },
    traffic: { arrivals: { perSecond: 2 }, to: "12 minutes", patience: "5 minutes" },
    guards: circuitOnly,
    timeout: "5 minutes",
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
        prompt: { max_tokens: 60_000 },
        tenant: "long"
      },
      {
        arrivals: { perSecond: 1 },
        to: "700 seconds",
        patience: "2 minutes",
        prompt: { max_tokens: 100 },
        tenant: "short"
      }
    ],
    timeout: "12 minutes",
    found: "nothing begins for 508 s; 449 of 700 Saturated"
  })),
  {
    name: "breaks",
    about: "every stream breaks after its first token for 60 s",
    provider: { incidents: down("1 minute", "2 minutes", { fault: "break" }), length: "8 seconds" },
    traffic: { arrivals: { perSecond: 5 }, to: "4 minutes", patience: "40 seconds" },
    silence: "15 seconds",
    bound:
      "circuit and budget learn only when an answer breaks off, after 4 s on average; the guards send 37 % fewer requests"
  }
]

const load: ReadonlyArray<Entry> = [
  {
    name: "jobs",
    about: "1,000 jobs where 50 may run, 8 s each",
    provider: { limits: { concurrent: 50 }, firstToken: "400 millis", length: "7600 millis" },
    traffic: { arrivals: { jobs: 1000 }, patience: "15 minutes" },
    guards: { concurrency: { min: 1, max: 64, queue: 1000, maxWait: "15 minutes" }, circuit: {} },
    silence: "15 seconds",
    found: "took 424–454 s, with up to 302 429s; the ideal is 160 s"
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
      { arrivals: { perSecond: 2 }, to: "70 seconds", patience: "2 minutes" },
      { arrivals: { jobs: 500 }, from: "25 seconds", patience: "2 minutes" }
    ],
    found: "227–282 lost"
  },
  {
    name: "rare-errors",
    about: "12 calls/min with 30 % errors for an hour",
    provider: { faults: { overloaded: 0.3 } },
    traffic: { arrivals: { perSecond: 0.2 }, to: "1 hour" },
    found: "the circuit opens 17.8 times an hour"
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
      { arrivals: { perSecond: 40 }, to: "3 minutes", tenant: "flood" }
    ],
    timeout: "15 seconds",
    found: "3 of 150 of the small tenant's calls answered",
    bound: "64 calls may run and 200 may wait: the small tenant gets all 150 answers, and the flood is rejected at once"
  }
]

/** Requests with many tokens that precede the short chats, and the account's input tokens per minute. */
const heavy = [
  { name: "documents", prompt: { documents: 1 }, inputTokens: 800_000, found: "43 of 100 chats answered" },
  { name: "images", prompt: { images: 1 }, inputTokens: 30_000 },
  { name: "web-searches", prompt: { webSearch: true }, inputTokens: 200_000 }
]

const quota: ReadonlyArray<Entry> = [
  ...heavy.map(({ found, inputTokens, name, prompt }): Entry => ({
    name,
    about: `20 calls with ${name.replace("-", " ")}, then 100 short chats at once, answers of 8 s`,
    provider: { length: "8 seconds", limits: { inputTokens: { perMinute: inputTokens } } },
    traffic: [
      { arrivals: { perSecond: 0.1 }, to: "200 seconds", patience: "2 minutes", tenant: name, prompt },
      { arrivals: { jobs: 100 }, from: "270 seconds", tenant: "chats" }
    ],
    quota: { inputTokens },
    timeout: "15 seconds",
    found
  })),
  {
    name: "cached",
    about: "20 calls at once with a cached prompt of 28k tokens, under 30k uncached tokens a minute",
    provider: {
      tokens: { warm: true },
      length: "4500 millis",
      limits: { requests: { perMinute: 50 }, inputTokens: { perMinute: 30_000 }, outputTokens: { perMinute: 8000 } }
    },
    traffic: { arrivals: { jobs: 20 }, patience: "1 minute", prompt: { cached: 112_000 } },
    quota: { requests: 50, inputTokens: 30_000, outputTokens: 8000 },
    found: "12 answered, although the API would accept all 20"
  },
  {
    name: "two-processes",
    about: "two processes on one account of 1 request/s, 0.75 calls/s each",
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
    traffic: { arrivals: { perSecond: 1 }, to: "40 minutes", patience: "2 minutes" },
    found: "the alert came after 212 s, and another one for the success rate 74 s after the recovery"
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
    found: "the retries add at most 30 requests, and at most 5 % from 0.15 calls/s on"
  }))
]

export const wanting = [...models, ...longAnswers, ...load, ...quota, ...alarms]
