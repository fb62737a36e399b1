import { describe, expect, test } from "vitest";
import { RateLimit } from "../../../../src/hub/http/rate-limit.ts";

const signal = new AbortController().signal;

describe("a rate limit", () => {
  test("limits the sum of all connections", async () => {
    const waits: number[] = [];
    const limit = new RateLimit(
      1000,
      async (ms) => void waits.push(ms),
      () => 50,
    );
    await Promise.all([limit.take(500, signal), limit.take(250, signal)]);
    expect(waits).toEqual([500, 750]);
  });

  test("does not save up unused bytes", async () => {
    let nowMs = 0;
    const limit = new RateLimit(
      1000,
      async (ms) => void (nowMs += ms),
      () => nowMs,
    );
    await limit.take(1000, signal);
    expect(nowMs).toBe(1000);
    nowMs = 60_000;
    await limit.take(1000, signal);
    expect(nowMs).toBe(61_000);
  });
});
