import { describe, expect, test } from "vitest";
import { type ComparedRequest, SpeedupWindow } from "../../../../src/llama/traffic/speedup-window.ts";
import { normalNoise } from "../../../support/normal-noise.ts";
import { fixedSeed } from "../../../support/seed.ts";

function request(logRatio: number, tokens = 60, draftTokens = 50): ComparedRequest {
  return { logRatio, tokens, draftTokens, acceptedTokens: 0, drafts: 0 };
}

function filled(requests: readonly ComparedRequest[]): SpeedupWindow {
  const window = new SpeedupWindow();
  for (const one of requests) window.add(one);
  return window;
}

describe("an estimate", () => {
  test("is the geometric mean with Student's interval", () => {
    const logs = [-0.1, -0.2, -0.3, -0.2];
    // Mean -0.2, standard deviation √(0.02 / 3), three degrees of freedom.
    const half = 3.182 * Math.sqrt(0.02 / 3 / 4);
    const { ratio, low, high } = filled(logs.map((log) => request(log))).estimate() ?? {};
    expect([ratio, low, high].map((value) => Math.log(value ?? 0))).toEqual(
      [-0.2, -0.2 - half, -0.2 + half].map((value) => expect.closeTo(value, 9) as number),
    );
  });

  test("gives a long request the weight of its tokens", () => {
    const { ratio } = filled([...[0, 0, 0].map((log) => request(log, 100)), request(-0.4, 300)]).estimate() ?? {};
    expect(Math.log(ratio ?? 0)).toBeCloseTo(-0.2, 9);
  });

  test("is wider where one long request outweighs the others", () => {
    const logs = [-0.1, -0.2, -0.3, -0.2, -0.2];
    const equal = filled(logs.map((log) => request(log, 100))).estimate();
    const uneven = filled(logs.map((log, index) => request(log, index === 4 ? 400 : 100))).estimate();
    expect((uneven?.high ?? 0) - (uneven?.low ?? 0)).toBeGreaterThan((equal?.high ?? 0) - (equal?.low ?? 0));
  });

  test.each([
    ["three requests", [request(0, 60, 100), request(0, 60, 100), request(0, 60, 100)]],
    ["199 drafted tokens", [request(0, 60, 49), ...[1, 2, 3].map(() => request(0))]],
    ["hardly more than one request by weight", [request(0, 10_000), ...[1, 2, 3].map(() => request(0, 10))]],
  ])("does not come from %s", (_, requests) => {
    expect(filled(requests).estimate()).toBeUndefined();
  });

  test("holds the true ratio in 95 of 100 windows", () => {
    const noise = normalNoise(fixedSeed);
    const windows = Array.from({ length: 4000 }, () =>
      filled(Array.from({ length: 6 }, () => request(-0.1 + 0.2 * noise()))).estimate(),
    );
    const held = windows.filter((one) => one !== undefined && Math.log(one.low) < -0.1 && -0.1 < Math.log(one.high));
    expect(held.length / windows.length).toBeCloseTo(0.95, 2);
  });
});

describe("a window", () => {
  test("that shrinks keeps the fewest requests with 200 drafted tokens, the newest ones", () => {
    const window = filled([1, 2, 3, 4, 5, 6].map((log) => request(log)));
    window.shrink();
    expect(window.requests.map(({ logRatio }) => logRatio)).toEqual([3, 4, 5, 6]);
    expect(window.draftTokens).toBe(200);
  });

  test("that shrinks keeps four requests, however much they draft", () => {
    const window = filled([1, 2, 3, 4, 5].map((log) => request(log, 60, 900)));
    window.shrink();
    expect(window.requests).toHaveLength(4);
  });

  test("keeps no more than 1000 requests, where hardly anything is drafted", () => {
    const window = filled(Array.from({ length: 1500 }, () => request(0, 60, 0)));
    expect(window.requests).toHaveLength(1000);
    window.clear();
    expect([window.requests.length, window.draftTokens]).toEqual([0, 0]);
  });
});
