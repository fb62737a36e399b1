import { describe, expect, test } from "vitest";
import type { TokenTraffic } from "../../../../src/supervisor/launch.ts";
import { TrafficMeter } from "../../../../src/supervisor/child/traffic-meter.ts";

const request: TokenTraffic = {
  tokens: 60,
  seconds: 2,
  draftTokens: 40,
  acceptedTokens: 30,
  drafts: 10,
  acceptedLengths: 40,
};
const minute = 60_000;

describe("a traffic meter", () => {
  test("has no rates when no token was generated", () => {
    const nothing = {
      tokens: 0,
      draftTokens: 0,
      acceptedTokens: 0,
      acceptanceRate: null,
      tokensPerSecond: null,
      meanAcceptedLength: null,
    };
    expect(new TrafficMeter().sinceStart()).toEqual(nothing);
    expect(new TrafficMeter().lastTenMinutes(5)).toEqual(nothing);
  });

  test("sums requests", () => {
    const meter = new TrafficMeter();
    meter.add(request, 0);
    meter.add({ ...request, tokens: 20, acceptedTokens: 10 }, 1000);
    expect(meter.sinceStart()).toEqual({
      tokens: 80,
      draftTokens: 80,
      acceptedTokens: 40,
      acceptanceRate: 0.5,
      tokensPerSecond: 20,
      meanAcceptedLength: 4,
    });
    expect(meter.lastTenMinutes(2000)).toEqual(meter.sinceStart());
  });

  test("forgets requests after ten minutes, but not in the total", () => {
    const meter = new TrafficMeter();
    meter.add(request, 0);
    meter.add(request, 6 * minute);
    expect(meter.lastTenMinutes(9 * minute).tokens).toBe(120);
    expect(meter.lastTenMinutes(10 * minute).tokens).toBe(60);
    expect(meter.lastTenMinutes(16 * minute).tokens).toBe(0);
    expect(meter.sinceStart().tokens).toBe(120);
  });
});
