import { expect, test } from "vitest";
import { SuspendMeter } from "../../../../src/supervisor/child/suspend-meter.ts";

const hour = 3_600_000;

test("reports each suspend once, with its length", () => {
  const meter = new SuspendMeter(100_000, 5000);
  expect(meter.look(110_000, 15_000)).toBe(0);
  expect(meter.look(120_000 + hour, 25_000)).toBe(hour);
  expect(meter.look(130_000 + hour, 35_000)).toBe(0);
  expect(meter.look(140_000 + 2 * hour, 45_000)).toBe(hour);
});

test("a stopped process does not count as a suspended machine", () => {
  const meter = new SuspendMeter(100_000, 5000);
  expect(meter.look(100_000 + hour, 5000 + hour)).toBe(0);
});

test("clocks that are read one after the other, or count whole seconds, show no suspend", () => {
  const meter = new SuspendMeter(100_000, 5999);
  for (let nowMs = 6000; nowMs < 1_000_000; nowMs += 999)
    expect(meter.look(Math.floor((nowMs + 94_001) / 1000) * 1000, nowMs)).toBe(0);
});

test("without the time since boot no suspend is reported", () => {
  const meter = new SuspendMeter(undefined, 5000);
  expect(meter.look(undefined, 15_000)).toBe(0);
  expect(meter.look(110_000 + hour, 25_000)).toBe(0);
  expect(meter.look(undefined, 35_000)).toBe(0);
  expect(meter.look(130_000 + 2 * hour, 45_000)).toBe(hour);
});
