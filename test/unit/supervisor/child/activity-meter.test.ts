import { describe, expect, test } from "vitest";
import { ActivityMeter } from "../../../../src/supervisor/child/activity-meter.ts";

const still = { logBytes: 100, cpuTicks: 50, taken: { read: 1000, fetched: 1000, mapped: 1000 } };

/** A server whose counters the test sets. */
function watchSigns(): { life: ActivityMeter; signs: { now: typeof still } } {
  const signs = { now: still };
  return {
    signs,
    life: new ActivityMeter(() => signs.now, 0),
  };
}

describe("signs of activity", () => {
  test.each([
    ["by a line in its log", { ...still, logBytes: 101 }],
    ["by a log that was rotated", { ...still, logBytes: 0 }],
    ["by reading", { ...still, taken: { ...still.taken, read: 1001 } }],
    ["by mapping pages that are in the page cache", { ...still, taken: { ...still.taken, mapped: 1001 } }],
    ["by a page fetched from the disk", { ...still, taken: { ...still.taken, fetched: 1001 } }],
    ["by mapping while other pages are given back", { ...still, taken: { read: 1000, fetched: 1001, mapped: 0 } }],
    ["by using a core", { ...still, cpuTicks: 150 }],
  ])("%s", (_, now) => {
    const { life, signs } = watchSigns();
    expect(life.look(1000)).toBe(false);
    signs.now = now;
    expect(life.look(2000)).toBe(true);
    expect(life.silentMs(2500)).toBe(500);
    expect(life.look(3000)).toBe(false);
    expect(life.silentMs(3000)).toBe(1000);
  });
});

test("the cost of llmctl's own health checks never counts as activity", () => {
  const { life, signs } = watchSigns();
  // A hundredth of a second of CPU time in ten seconds.
  for (let second = 10; second <= 900; second += 10) {
    signs.now = { ...signs.now, cpuTicks: signs.now.cpuTicks + 1 };
    expect(life.look(second * 1000)).toBe(false);
  }
  expect(life.silentMs(900_000)).toBe(900_000);
});

test.each([
  [10, false],
  [11, true],
])("CPU time of %i hundredths of a second in ten seconds counts as activity: %s", (ticks, isActive) => {
  const { life, signs } = watchSigns();
  signs.now = { ...still, cpuTicks: still.cpuTicks + ticks };
  expect(life.look(10_000)).toBe(isActive);
});

test("CPU time is compared over ten seconds, neither a moment nor a minute", () => {
  const { life, signs } = watchSigns();
  const compute = (ticks: number) => {
    signs.now = { ...signs.now, cpuTicks: signs.now.cpuTicks + ticks };
  };
  // 6 ticks in each window: the windows are not added up.
  for (let second = 5; second <= 60; second += 5) {
    compute(3);
    expect(life.look(second * 1000)).toBe(false);
  }
  // 12 ticks within one window, in parts of 2.
  const looks = Array.from({ length: 6 }, (_, index) => {
    compute(2);
    return life.look(60_000 + (index + 1) * 1000);
  });
  expect(looks).toEqual([false, false, false, false, false, true]);
});

test("silence is counted anew when somebody says so", () => {
  const { life } = watchSigns();
  life.startAnew(5000);
  expect(life.look(6000)).toBe(false);
  expect(life.silentMs(6000)).toBe(1000);
});

test("counters that the system does not tell for a while are no activity", () => {
  const signs: { now: { logBytes: number; cpuTicks: number | undefined; taken: typeof still.taken | undefined } } = {
    now: still,
  };
  const life = new ActivityMeter(() => signs.now, 0);
  signs.now = { ...still, cpuTicks: undefined, taken: undefined };
  expect(life.look(10_000)).toBe(false);
  signs.now = { ...still, cpuTicks: undefined };
  expect(life.look(20_000)).toBe(false);
  expect(life.look(30_000)).toBe(false);
});

test("a server that begins to compute after an hour is active after a tenth of a second of CPU time", () => {
  const { life, signs } = watchSigns();
  for (let second = 10; second <= 3600; second += 10) life.look(second * 1000);
  signs.now = { ...still, cpuTicks: still.cpuTicks + 11 };
  expect(life.look(3_600_200)).toBe(true);
});

test("without CPU and I/O counters only log lines count", () => {
  const signs = { now: { logBytes: 1, cpuTicks: undefined, taken: undefined } };
  const life = new ActivityMeter(() => signs.now, 0);
  expect(life.look(1000)).toBe(false);
  signs.now = { ...signs.now, logBytes: 2 };
  expect(life.look(2000)).toBe(true);
});
