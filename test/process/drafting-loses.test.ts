import getPort from "get-port";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepCosts } from "../support/keep-costs.ts";
import { llmctl } from "../support/llmctl.ts";
import { readStatus, untilStatus, upDetached } from "../support/processes.ts";
import { scrape } from "../support/read-metrics.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

async function serve(url: string | null, requests: number): Promise<void> {
  for (let request = 0; request < requests; request += 1)
    await fetch(`${url}/completion`, { method: "POST", body: JSON.stringify({ prompt: "x", n_predict: 101 }) });
}

test("a draft that loses is told once, by events, status, ps and metrics, and so is the speedup", async () => {
  const metricsPort = await getPort({ host: "127.0.0.1" });
  await home.writeFakeProfile(
    "p",
    { logRequests: { msPerToken: 12.5 } },
    { health: { interval: "100ms" }, server: { metrics_port: metricsPort } },
  );
  await keepCosts(home, "p", 10, { targetMs: [10, 11, 12], draftMs: [0.1, 0.2, 0.3] });
  const { url, baselineTokensPerSecond } = await upDetached(home, "p");
  expect(baselineTokensPerSecond).toBe(100);
  await serve(url, 4);
  const before = await untilStatus(home, "p", "measured", ({ draftingSpeedup }) => draftingSpeedup != null);
  expect(before).toMatchObject({ draftingSpeedup: { ratio: expect.closeTo(0.8, 3) as number, verdict: "unknown" } });
  await serve(url, 12);
  const status = await untilStatus(home, "p", "judged", ({ draftingSpeedup: now }) => now?.verdict === "loses");
  const warning = expect.stringMatching(
    /^drafting costs more than it brings: 0\.80 ×.*; draft\.n_max 2 would bring/,
  ) as string;
  expect(status.warnings).toEqual([warning]);
  expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +ready .* on 75% loses +0$/m);
  expect((await llmctl(["status", "p"], { home })).stdout).toMatch(/^speedup +0\.80 × \(0\.80 to 0\.80\) the speed/m);
  const events = (await llmctl(["events", "p"], { home })).stdout;
  expect(events.split("drafting costs more than it brings")).toHaveLength(2);
  const samples = await scrape(metricsPort);
  expect(samples.value("llmctl_drafting_speedup_ratio", { profile: "p" })).toBeCloseTo(0.8, 3);
  await llmctl(["down", "p"], { home });
  expect((await readStatus(home, "p")).state).toBe("stopped");
});

test("a supervisor that knows no speed without a draft claims nothing", async () => {
  await home.writeFakeProfile("p", { logRequests: { msPerToken: 12.5 } }, { health: { interval: "100ms" } });
  const { url, baselineTokensPerSecond } = await upDetached(home, "p");
  expect(baselineTokensPerSecond).toBeNull();
  await serve(url, 16);
  const status = await untilStatus(home, "p", "served", ({ traffic }) => traffic?.sinceStart.tokens === 16 * 101);
  expect(status).toMatchObject({ draftingSpeedup: null, warnings: [] });
  await llmctl(["down", "p"], { home });
});
