import { describe, expect, test } from "vitest";
import {
  parseRetryAfter,
  reportOnce,
  TransientError,
  withRetries,
  type RetryRule,
} from "../../../../src/hub/http/retry.ts";

function ruleThatNotes(delays: number[], progress?: () => number): RetryRule {
  return {
    signal: new AbortController().signal,
    wait: async (ms) => void delays.push(ms),
    onRetry: () => {},
    ...(progress === undefined ? {} : { progress }),
  };
}

describe("withRetries", () => {
  test("gives up after five retries in a row, with doubled delays", async () => {
    const delays: number[] = [];
    const attempt = () => Promise.reject(new TransientError("reset"));
    await expect(withRetries(attempt, ruleThatNotes(delays))).rejects.toThrow("reset");
    expect(delays).toEqual([1000, 2000, 4000, 8000, 16000]);
  });

  test("throws anything else at once", async () => {
    const delays: number[] = [];
    await expect(withRetries(() => Promise.reject(new Error("bug")), ruleThatNotes(delays))).rejects.toThrow("bug");
    expect(delays).toEqual([]);
  });

  test("waits as long as the server asks, up to ten minutes", async () => {
    const delays: number[] = [];
    const answers = [30_000, 86_400_000];
    const attempt = async () => {
      const retryAfterMs = answers.shift();
      if (retryAfterMs !== undefined) throw new TransientError("429", { retryAfterMs });
      return "done";
    };
    expect(await withRetries(attempt, ruleThatNotes(delays))).toBe("done");
    expect(delays).toEqual([30_000, 600_000]);
  });

  test("counts from zero after progress, but not after fetching lost bytes again", async () => {
    const delays: number[] = [];
    const heights = [10, 20, 0, 20, 5, 20, 0];
    let height = 0;
    const attempt = () => {
      height = heights.shift() ?? 0;
      return Promise.reject(new TransientError("reset"));
    };
    await expect(
      withRetries(
        attempt,
        ruleThatNotes(delays, () => height),
      ),
    ).rejects.toThrow("reset");
    expect(delays).toEqual([1000, 1000, 2000, 4000, 8000, 16000]);
  });

  test("tells the reason and the delay of each retry, and waits with the signal", async () => {
    const told: unknown[] = [];
    const { signal } = new AbortController();
    const failures = [new TransientError("reset"), new TransientError("busy", { retryAfterMs: 1500 })];
    const rule: RetryRule = {
      signal,
      wait: async (ms, given) => void told.push([ms, given === signal]),
      onRetry: (reason, delayMs) => void told.push([reason, delayMs]),
    };
    const attempt = async () => {
      const failure = failures.shift();
      if (failure !== undefined) throw failure;
      return "done";
    };
    expect(await withRetries(attempt, rule)).toBe("done");
    expect(told).toEqual([
      ["reset", 1000],
      [1000, true],
      ["busy", 2000],
      [2000, true],
    ]);
  });

  test("stops waiting when aborted", async () => {
    const rule: RetryRule = { ...ruleThatNotes([]), wait: () => Promise.reject(new Error("aborted")) };
    await expect(withRetries(() => Promise.reject(new TransientError("reset")), rule)).rejects.toThrow("aborted");
  });
});

describe("reportOnce", () => {
  test("reports the same message only once while it waits", () => {
    const said: string[] = [];
    let nowMs = 0;
    const say = reportOnce(
      (reason) => void said.push(reason),
      () => nowMs,
    );
    for (const reason of ["reset", "reset", "stall"]) say(reason, 1000);
    nowMs = 999;
    say("reset", 1000);
    nowMs = 1000;
    say("reset", 2000);
    nowMs = 2999;
    say("reset", 1000);
    expect(said).toEqual(["reset", "stall", "reset"]);
  });
});

describe("parseRetryAfter", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");

  test.each([
    ["120", 120_000],
    ["0", 0],
    [" 7 ", 7000],
    ["1.5x", undefined],
    ["7 s", undefined],
    ["Thu, 01 Jan 2026 00:01:00 GMT", 60_000],
    ["Wed, 31 Dec 2025 00:00:00 GMT", 0],
    ["soon", undefined],
    [null, undefined],
  ])("reads %s", (header, expected) => {
    expect(parseRetryAfter(header, now)).toBe(expected);
  });
});
