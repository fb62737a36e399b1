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

  test("lets bytes pass that are due, without a wait", async () => {
    let nowMs = 0;
    const waits: number[] = [];
    const limit = new RateLimit(
      1000,
      async (ms) => void waits.push(ms),
      () => nowMs,
    );
    await limit.take(0, signal);
    await limit.take(500, signal);
    nowMs = 500;
    await limit.take(0, signal);
    expect(waits).toEqual([500]);
  });

  test("stops waiting with the reason of the signal", async () => {
    const reason = new Error("Ctrl-C");
    const limit = new RateLimit(
      1,
      async (_, given) => given.throwIfAborted(),
      () => 0,
    );
    await expect(limit.take(1, AbortSignal.abort(reason))).rejects.toBe(reason);
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
