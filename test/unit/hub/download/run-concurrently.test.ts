import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { runConcurrently } from "../../../../src/hub/download/run-concurrently.ts";

const { signal } = new AbortController();

describe("runConcurrently", () => {
  test("keeps to its limit, and takes items in order", async () => {
    const started: number[] = [];
    let running = 0;
    let most = 0;
    await runConcurrently([1, 2, 3, 4, 5], { limit: 2, signal }, async (item) => {
      started.push(item);
      most = Math.max(most, (running += 1));
      await nextTurn();
      running -= 1;
    });
    expect([started, most]).toEqual([[1, 2, 3, 4, 5], 2]);
  });

  test("aborts the others after the first failure, and waits for their end", async () => {
    const events: string[] = [];
    const failure = new Error("no");
    const done = runConcurrently([1, 2, 3], { limit: 2, signal }, async (item, stop) => {
      events.push(`start ${item}`);
      if (item === 1) {
        await nextTurn();
        throw failure;
      }
      await new Promise((resolve) => stop.addEventListener("abort", resolve));
      await nextTurn();
      events.push(`end ${item}, ${stop.reason === failure ? "told why" : "not told"}`);
      throw new Error("stopped");
    });
    await expect(done).rejects.toBe(failure);
    expect(events).toEqual(["start 1", "start 2", "end 2, told why"]);
  });

  test("starts no item after its signal has aborted", async () => {
    const stop = new AbortController();
    const started: number[] = [];
    const done = runConcurrently([1, 2], { limit: 1, signal: stop.signal }, async (item) => {
      started.push(item);
      stop.abort(new Error("interrupted"));
      await nextTurn();
    });
    await expect(done).rejects.toThrow("interrupted");
    expect(started).toEqual([1]);
  });
});
