import { expect, test } from "vitest";
import { Heartbeat } from "../../../src/supervisor/heartbeat.ts";

const { signal } = new AbortController();

test("a main loop is asked at its time, never twice at once, and the wait is that of the open question", async () => {
  let asked = 0;
  let answer: () => void = () => undefined;
  const ask = () => {
    asked += 1;
    return new Promise<void>((resolve) => (answer = resolve));
  };
  const heartbeat = new Heartbeat(ask, { everyMs: 100, nowMs: 1000, signal });
  heartbeat.beat(1099);
  expect(asked).toBe(0);
  heartbeat.beat(1100);
  heartbeat.beat(1500);
  expect(asked).toBe(1);
  expect(heartbeat.waitedMs(1500)).toBe(400);
  answer();
  await Promise.resolve();
  expect(heartbeat.waitedMs(1600)).toBe(0);
  heartbeat.beat(1600);
  expect(asked).toBe(2);
});
