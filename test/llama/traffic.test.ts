import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { untilStatus } from "../support/processes.ts";
import { askForStory, upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

describe.each(inject("llamaBuilds"))("on $ref", ({ server }) => {
  test("status has the speed of clients' requests", async () => {
    await home.writeProfile("story", { extends: "demo", llama: { binary: server }, health: { interval: "200ms" } });
    const before = await upServing(home, "story");
    expect(before.traffic?.sinceStart.tokens).toBe(0);
    const { timings } = await askForStory(before.url);
    const { traffic } = await untilStatus(
      home,
      "story",
      "its request told",
      (status) => (status.traffic?.sinceStart.draftTokens ?? 0) > 0,
    );
    // The log counts the tokens after the first of an answer on some builds, all of them on others.
    expect([timings.predicted_n - 1, timings.predicted_n]).toContain(traffic?.sinceStart.tokens);
    expect(traffic?.sinceStart).toMatchObject({
      draftTokens: timings.draft_n,
      acceptedTokens: timings.draft_n_accepted,
    });
    expect(traffic?.lastTenMinutes).toEqual(traffic?.sinceStart);
    const { stdout } = await llmctl(["status", "story"], { home });
    expect(stdout).toMatch(/^last 10 min +\d+ tokens, .*% of drafted tokens accepted/m);
    await llmctl(["down", "story"], { home });
  });

  test("status has no such speed when the profile turns the measurement off", async () => {
    await home.writeProfile("story", {
      extends: "demo",
      llama: { binary: server },
      health: { interval: "200ms", watch_traffic: false },
    });
    expect(await upServing(home, "story")).toMatchObject({
      drafting: { state: "on" },
      traffic: null,
      baselineTokensPerSecond: null,
    });
    await llmctl(["down", "story"], { home });
  });
});
