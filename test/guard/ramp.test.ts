/** The rate at which calls begin after a circuit has closed. */
import { assert, describe, it } from "@effect/vitest"
import { Ramp, RecentRate } from "../../src/guard/ramp.ts"

/** How many calls begin in each second, if more than enough wait. */
const seconds = (ramp: Ramp, length: number, from = 0): ReadonlyArray<number> => {
  const found = Array.from({ length }, () => 0)
  for (let now = from; now < from + length * 1000;) {
    const wait = ramp.waitFor(1, now)
    if (wait === 0) {
      ramp.take()
      const second = Math.floor((now - from) / 1000)
      found[second] = (found[second] ?? 0) + 1
    }
    now += wait
  }
  return found
}

describe("a ramp", () => {
  it("grows in five seconds to twice the rate before the incident, and keeps that rate for the next 15 seconds", () => {
    for (const before of [3, 12, 1000]) {
      const found = seconds(new Ramp(before, 0), 20)
      assert.isAtMost(Math.max(...found), 2 * before + 1)
      assert.isAtMost(found[0] ?? NaN, before)
      for (const second of found.slice(5)) assert.isAtLeast(second, 2 * before - 1)
    }
  })

  it("lets one call begin at once, and grows to two calls per second if the rate before the incident was below one", () => {
    const ramp = new Ramp(1 / 60, 0)
    assert.strictEqual(ramp.waitFor(1, 0), 0)
    assert.deepStrictEqual(seconds(ramp, 8).slice(5), [2, 2, 2])
  })

  it("predicts the time until a given number of calls have begun, to within 5 % plus one millisecond per call", () => {
    for (const [before, calls] of [[12, 5], [12, 60], [12, 300], [1, 9]] as const) {
      const ramp = new Ramp(before, 0)
      const told = ramp.waitFor(calls, 0)
      let [now, begun] = [0, 0]
      while (begun < calls) {
        const wait = ramp.waitFor(1, now)
        now += wait
        if (wait === 0) {
          ramp.take()
          begun++
        }
      }
      assert.closeTo(now, told, told / 20 + calls)
    }
  })

  it("halves its rate when a call fails, and not again when another call fails that began before the rate was halved", () => {
    const ramp = new Ramp(10, 0)
    assert.isTrue(ramp.isFull(6000))
    for (const start of [3000, 4000, 5999]) ramp.lose(start, 6000)
    assert.strictEqual(ramp.rate, 10)
    assert.isFalse(ramp.isFull(6000))
    assert.isTrue(ramp.isFull(9000), "it grows again")
    const early = new Ramp(10, 0)
    early.lose(0, 2000)
    assert.strictEqual(early.rate, 4)
  })

  it("does not fall below the rate before the incident once it has reached that rate, even if 75 calls fail", () => {
    const ramp = new Ramp(10, 0)
    for (let now = 2500; now < 10_000; now += 100) ramp.lose(now, now)
    assert.isAtLeast(ramp.rate, 10)
  })

  it("keeps no unused credit for a later burst", () => {
    const ramp = new Ramp(10, 0)
    ramp.take()
    assert.strictEqual(ramp.waitFor(1, 30_000), 0)
    assert.isAbove(ramp.waitFor(2, 30_000), 0)
  })

  it("grows beyond twice the rate before the incident only after two minutes", () => {
    const ramp = new Ramp(1, 0)
    const found = seconds(ramp, 180)
    assert.isAtMost(Math.max(...found.slice(0, 120)), 3)
    assert.isAbove(found.at(-1) ?? NaN, 20)
  })

  it("does not lengthen a wait when the clock is set back", () => {
    const ramp = new Ramp(10, 3_600_000)
    ramp.take()
    assert.isAtMost(ramp.waitFor(1, 0), 1000)
    assert.strictEqual(ramp.waitFor(1, 1000), 0)
  })
})

describe("the recent rate", () => {
  const after = (rate: number, time: number): RecentRate => {
    const pace = new RecentRate()
    for (let now = 0; now < time; now += 1000 / rate) pace.count(now)
    return pace
  }

  it("is the number of calls per second, over the last minute or since the first call", () => {
    for (const rate of [1, 12, 100]) {
      for (const time of [10_000, 60_000, 3_600_000]) {
        assert.closeTo(after(rate, time).rate(), rate, rate / 5)
      }
    }
  })

  it("leaves out the time in which nothing may be sent", () => {
    const pace = after(12, 60_000)
    pace.skip(3_660_000)
    assert.closeTo(pace.rate(), 12, 1)
    pace.count(3_660_000)
    assert.closeTo(pace.rate(), 12, 1)
  })

  it("is zero before the first call", () => {
    assert.strictEqual(new RecentRate().rate(), 0)
  })
})
