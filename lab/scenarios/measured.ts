/** The scenarios that were also measured over real sockets. */
import { down, type Entry, haiku, sonnet } from "./entry.ts"

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
    provider: { limits: { requests: { perMinute: 180, burst: 4 } }, firstToken: "90 millis", length: "10 millis" },
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
    provider: { limits: { requests: { perMinute: 240, burst: 8 } }, firstToken: "90 millis", length: "10 millis" },
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
  }
]

export const measured = [...incidents, ...errors, ...limits, ...models]
