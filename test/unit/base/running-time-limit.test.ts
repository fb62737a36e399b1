import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { limitRunningTime } from "../../../src/base/running-time-limit.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "setImmediate", "clearImmediate"] }));
afterEach(() => void vi.useRealTimers());

test("ends once, when the process has run for that time", () => {
  const onEnd = vi.fn<() => void>();
  limitRunningTime(1000, onEnd);
  vi.advanceTimersByTime(990);
  expect(onEnd).not.toHaveBeenCalled();
  vi.advanceTimersByTime(5000);
  expect(onEnd).toHaveBeenCalledTimes(1);
});

test("does not end after it was cancelled, even between the last step and the end", () => {
  const onEnd = vi.fn<() => void>();
  limitRunningTime(100, onEnd)();
  const cancel = limitRunningTime(100, onEnd);
  vi.advanceTimersToNextTimer();
  vi.advanceTimersToNextTimer();
  vi.advanceTimersToNextTimer();
  vi.advanceTimersToNextTimer(); // the fourth step: arrived input is read before the end
  cancel();
  vi.advanceTimersByTime(5000);
  expect(onEnd).not.toHaveBeenCalled();
});

test("a step that came late counts once: a process that could not run has lost no time", async () => {
  vi.useRealTimers();
  const onEnd = vi.fn<() => void>();
  const cancel = limitRunningTime(200, onEnd);
  const untilMs = performance.now() + 600;
  while (performance.now() < untilMs); // busy: no code of this process can run
  // The first turn after it: only its late step has been counted.
  await new Promise((resolve) => setTimeout(() => setImmediate(resolve), 0));
  expect(onEnd).not.toHaveBeenCalled();
  cancel();
});
