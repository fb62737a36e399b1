import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ServerMetrics } from "../../../../src/supervisor/child/server-metrics.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

test("an answer is reused for some seconds", async () => {
  let asked = 0;
  const metrics = new ServerMetrics(async () => `answer ${(asked += 1)}`);
  expect(await Promise.all([metrics.read(), metrics.read()])).toEqual(["answer 1", "answer 1"]);
  vi.advanceTimersByTime(4000);
  expect(await metrics.read()).toBe("answer 1");
  vi.advanceTimersByTime(1000);
  expect(await metrics.read()).toBe("answer 2");
});

test("a busy server is asked once, and its last answer is used until it answers", async () => {
  const answers: ((text: string) => void)[] = [];
  const metrics = new ServerMetrics(() => new Promise((resolve) => answers.push(resolve)));
  const first = metrics.read();
  answers[0]?.("old");
  expect(await first).toBe("old");
  vi.advanceTimersByTime(5000);
  const second = metrics.read();
  await vi.advanceTimersByTimeAsync(1000);
  expect(await second).toBe("old");
  vi.advanceTimersByTime(60_000);
  const third = metrics.read();
  await vi.advanceTimersByTimeAsync(1000);
  expect(await third).toBe("old");
  expect(answers).toHaveLength(2);
  answers[1]?.("new");
  await vi.advanceTimersByTimeAsync(0);
  expect(await metrics.read()).toBe("new");
});
