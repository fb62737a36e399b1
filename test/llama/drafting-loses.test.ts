import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { keepCosts } from "../support/keep-costs.ts";
import { llmctl } from "../support/llmctl.ts";
import { untilStatus } from "../support/processes.ts";
import { askForStory, readServing, type Serving, upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

/** No step of a real server is so short, and none of the demo models takes so long. */
const [fasterThanAny, slowerThanAny] = [0.000_001, 60_000];

/** Asks until the server is judged. */
async function serveUntil(url: string, verdict: "pays" | "loses"): Promise<void> {
  const isJudged = async () => (await readServing(home, "story")).draftingSpeedup?.verdict === verdict;
  for (let tries = 0; tries < 20 && !(await isJudged()); tries += 1)
    for (let request = 0; request < 4; request += 1) await askForStory(url);
  await untilStatus(home, "story", verdict, ({ draftingSpeedup }) => draftingSpeedup?.verdict === verdict);
}

describe.each(inject("llamaBuilds"))("on $ref", ({ ref, server }) => {
  async function up(ms: number | undefined, draft: object = {}): Promise<Serving> {
    await home.writeProfile("story", {
      extends: "demo",
      llama: { binary: server },
      health: { interval: "200ms" },
      draft,
    });
    if (ms !== undefined) await keepCosts(home, "story", ms);
    return upServing(home, "story");
  }

  test("drafting that is slower than what was measured without a draft loses", async () => {
    const { url } = await up(fasterThanAny);
    await serveUntil(url, "loses");
    const { warnings } = await readServing(home, "story");
    expect(warnings).toEqual([
      expect.stringMatching(/^drafting costs more than it brings: 0\.00 × .*"llmctl tune story"/),
    ]);
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^story +ready .* on \d+% loses +0$/m);
    await llmctl(["down", "story"], { home });
  });

  test("drafting that is faster pays, and nothing is warned of", async () => {
    const { url } = await up(slowerThanAny);
    await serveUntil(url, "pays");
    expect(await readServing(home, "story")).toMatchObject({ warnings: [], drafting: { state: "on" } });
    await llmctl(["down", "story"], { home });
  });

  test("a server that loses is restarted without its draft once it is idle, where that is asked for", async () => {
    const { url, pid, hash } = await up(fasterThanAny, { on_loss: "restart" });
    await serveUntil(url, "loses");
    const status = await untilStatus(home, "story", "restarted", ({ runs, state }) => runs === 2 && state === "ready");
    expect(status).toMatchObject({
      hash,
      restarts: 0,
      draftingSpeedup: null,
      drafting: { state: "off", reason: expect.stringContaining(", restarted without the draft at 20") as string },
    });
    expect(status.pid).not.toBe(pid);
    expect(
      (await askForStory(url.replace(/:\d+$/, `:${new URL(status.url ?? "").port}`))).timings.draft_n,
    ).toBeUndefined();
    // The profile has not changed, so a start finds it running; a restart drafts again.
    expect((await llmctl(["up", "-d", "story"], { home })).stdout).toContain("already");
    await llmctl(["restart", "story"], { home });
    expect(await readServing(home, "story")).toMatchObject({ drafting: { state: "on" }, hash });
    await llmctl(["down", "story"], { home });
  });

  test("the speed without a draft is measured only where a request can turn drafting off", async () => {
    const { url, baselineTokensPerSecond } = await up(undefined);
    if (ref === "b7698") expect(baselineTokensPerSecond).toBeGreaterThan(0);
    else expect(baselineTokensPerSecond).toBeNull();
    for (let request = 0; request < 6; request += 1) await askForStory(url);
    const isServed = (status: Serving | { traffic: Serving["traffic"] }) =>
      (status.traffic?.sinceStart.tokens ?? 0) > 350;
    const { draftingSpeedup } = await untilStatus(home, "story", "served", isServed);
    if (ref === "b7698") expect(draftingSpeedup?.draftTokens).toBeGreaterThanOrEqual(200);
    else expect(draftingSpeedup).toBeNull();
    await llmctl(["down", "story"], { home });
  });
});
