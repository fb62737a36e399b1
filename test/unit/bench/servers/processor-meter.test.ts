import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ProcessorMeter } from "../../../../src/bench/servers/processor-meter.ts";

let proc: string;

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), "llmctl-proc-"));
});
afterEach(() => rmSync(proc, { recursive: true }));

function thread(
  id: number,
  { schedstat, state = "S" }: { readonly schedstat?: string; readonly state?: string },
): void {
  const folder = join(proc, "7", "task", String(id));
  mkdirSync(folder, { recursive: true });
  if (schedstat !== undefined) writeFileSync(join(folder, "schedstat"), schedstat);
  writeFileSync(join(folder, "stat"), `${id} (a R) b) ${state} 1 7 7 0`);
}
const meter = (ticks?: number) => new ProcessorMeter(7, proc, () => ticks);

test("the times of all threads are added", () => {
  thread(7, { schedstat: "1500000 250000 3\n" });
  thread(8, { schedstat: "500000 750000 9\n" });
  expect(meter().read()).toEqual({ cpuMs: 2, waitMs: 1 });
});

test("a thread that ends leaves its time behind, also when its number is taken again", () => {
  thread(7, { schedstat: "1000000 0 1\n" });
  thread(8, { schedstat: "3000000 1000000 1\n" });
  const one = meter();
  one.read();
  rmSync(join(proc, "7", "task", "8"), { recursive: true });
  thread(7, { schedstat: "2000000 0 1\n" });
  expect(one.read()).toEqual({ cpuMs: 5, waitMs: 1 });
  thread(8, { schedstat: "2000000 0 1\n" });
  expect(one.read()).toEqual({ cpuMs: 7, waitMs: 1 });
  rmSync(join(proc, "7"), { recursive: true });
  expect(one.read()).toEqual({ cpuMs: 7, waitMs: 1 });
});

describe("clock ticks of a hundredth of a second count", () => {
  test("on a kernel that counts nothing else", () => {
    thread(7, { schedstat: "0 0 0\n" });
    expect(meter(12).read()).toEqual({ cpuMs: 120, waitMs: null });
  });

  test("without a schedstat, or with one of another kind", () => {
    thread(7, {});
    thread(8, { schedstat: "many\n" });
    expect(meter(12).read()).toEqual({ cpuMs: 120, waitMs: null });
  });

  test("and without them nothing is known", () => {
    expect(meter().read()).toBeNull();
  });
});

describe("a process", () => {
  test.each([
    ["S", true],
    ["R", false],
    ["D", false],
    ["Z", true],
  ])("with a thread in state %s is idle: %s", (state, isIdle) => {
    thread(7, {});
    thread(8, { state });
    expect(meter().isIdle()).toBe(isIdle);
  });

  test("of which the system tells nothing counts as idle", () => {
    expect(meter().isIdle()).toBe(true);
  });
});

test.runIf(process.platform === "linux")("the own process has used some time, and more after work", () => {
  const own = new ProcessorMeter(process.pid);
  const before = own.read()?.cpuMs ?? 0;
  expect(before).toBeGreaterThan(0);
  // The kernel brings the numbers of a running thread up to date at its clock tick, so this ends.
  let now = before;
  while (now <= before) now = own.read()?.cpuMs ?? 0;
  expect(now).toBeGreaterThan(before);
});
