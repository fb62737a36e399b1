import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { FakeClock } from "../../support/fake-clock.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** What happens in 100 ms to a timer of 20 ms and one of 10 ms that is cancelled after 5 ms, and to three sleeps. */
async function tell(clock: FakeClock | typeof systemClock, advance: (ms: number) => Promise<unknown>) {
  const told: string[] = [];
  const startMs = clock.nowMs();
  const tellAt = (text: string) => told.push(`${clock.nowMs() - startMs}: ${text}`);
  const early = new AbortController();
  const late = new AbortController();
  const settle = (work: Promise<void>, name: string) =>
    void work.then(
      () => tellAt(`${name} is over`),
      (error: unknown) => tellAt(`${name} fails: ${String(error)}`),
    );
  clock.setTimer(20, () => tellAt("timer"));
  const cancel = clock.setTimer(10, () => tellAt("cancelled timer"));
  settle(clock.sleep(30, late.signal), "sleep");
  settle(clock.sleep(40, early.signal), "aborted sleep");
  settle(clock.sleep(40, AbortSignal.abort("never")), "sleep of an aborted signal");
  await advance(5);
  cancel();
  early.abort("enough");
  await advance(95);
  late.abort("too late");
  cancel();
  await advance(0);
  return told;
}

const expected = [
  "0: sleep of an aborted signal fails: never",
  "5: aborted sleep fails: enough",
  "20: timer",
  "30: sleep is over",
];

describe("timers and sleeps", () => {
  test("of the system run by the global timers, and leave none behind", async () => {
    expect(await tell(systemClock, (ms) => vi.advanceTimersByTimeAsync(ms))).toEqual(expected);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("of the fake run the same", async () => {
    const clock = new FakeClock();
    expect(await tell(clock, (ms) => clock.advance(ms))).toEqual(expected);
    expect(clock.pending).toBe(0);
  });

  test("a sleep that is over no longer listens to its signal", async () => {
    const clock = new FakeClock();
    const { signal } = new AbortController();
    const removed: string[] = [];
    vi.spyOn(signal, "removeEventListener").mockImplementation((name) => void removed.push(name));
    await clock.until(clock.sleep(10, signal));
    expect(removed).toEqual(["abort"]);
  });
});
