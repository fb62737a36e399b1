import { expect, test } from "vitest";
import { ServerMetrics } from "../../../../src/supervisor/child/server-metrics.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

test("an answer is reused for some seconds", async () => {
  const clock = new FakeClock();
  let asked = 0;
  const metrics = new ServerMetrics(async () => `answer ${(asked += 1)}`, clock);
  expect(await Promise.all([metrics.read(), metrics.read()])).toEqual(["answer 1", "answer 1"]);
  await clock.advance(4999);
  expect(await metrics.read()).toBe("answer 1");
  await clock.advance(1);
  expect(await metrics.read()).toBe("answer 2");
  expect(clock.pending).toBe(0);
});

test("a busy server is asked once, and its last answer is used until it answers", async () => {
  const clock = new FakeClock();
  const answers: ((text: string) => void)[] = [];
  const metrics = new ServerMetrics(() => new Promise((resolve) => answers.push(resolve)), clock);
  /** @returns the answer to a scrape, and how long that took. */
  const scrape = async () => {
    const startMs = clock.nowMs();
    return [await clock.until(metrics.read()), clock.nowMs() - startMs];
  };
  expect(await scrape()).toEqual([undefined, 1000]);
  answers[0]?.("old");
  expect(await scrape()).toEqual(["old", 0]);
  await clock.advance(5000);
  expect(await scrape()).toEqual(["old", 1000]);
  await clock.advance(60_000);
  expect(await scrape()).toEqual(["old", 1000]);
  expect(answers).toHaveLength(2);
  answers[1]?.("new");
  await clock.advance(0);
  // That answer is a minute late, so the server is asked again.
  expect(await scrape()).toEqual(["new", 1000]);
  expect(answers).toHaveLength(3);
});
