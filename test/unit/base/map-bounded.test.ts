import { expect, test } from "vitest";
import { mapBounded } from "../../../src/base/map-bounded.ts";

test("keeps the order, and never has more at work than allowed", async () => {
  let atWork = 0;
  let most = 0;
  const results = await mapBounded([5, 4, 3, 2, 1], 2, async (ticks) => {
    most = Math.max(most, (atWork += 1));
    for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve();
    atWork -= 1;
    return ticks * 10;
  });
  expect(results).toEqual([50, 40, 30, 20, 10]);
  expect(most).toBe(2);
});

test("a failure is the caller's", async () => {
  await expect(mapBounded([1], 4, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
});
