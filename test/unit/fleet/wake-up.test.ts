import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WakeUp } from "../../../src/fleet/wake-up.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("a wait ends with a ring", async () => {
  const wakeUp = new WakeUp();
  const waiting = wakeUp.wait(1000);
  wakeUp.ring();
  expect(await waiting).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test("a ring before the wait is kept, once", async () => {
  const wakeUp = new WakeUp();
  wakeUp.ring();
  wakeUp.ring();
  expect(await wakeUp.wait(1000)).toBe(true);
  const waiting = wakeUp.wait(1000);
  await vi.advanceTimersByTimeAsync(1000);
  expect(await waiting).toBe(false);
});
