import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { count, readServerLog } from "../support/processes.ts";
import { askForStory, getJson, readServing, upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

const isSleeping = async (url: string) => ((await getJson(`${url}/props`)) as { is_sleeping: boolean }).is_sleeping;

describe.each(inject("llamaBuilds"))("a server that sleeps without requests, on $ref", ({ server }) => {
  let home: TempHome;

  beforeEach(async () => {
    home = await TempHome.create();
    const asleep = { server: { sleep_idle_seconds: 1 }, health: { interval: "50ms" } };
    await home.writeProfile("story", { extends: "demo", llama: { binary: server }, ...asleep });
  });

  // Fails when a process is left.
  afterEach(() => home[Symbol.asyncDispose]());

  const countLoads = async () => count(await readServerLog(home, "story"), "loading model");

  test("is woken by a client's request, and by no request of llmctl", async () => {
    const { url, pid } = await upServing(home, "story");
    await until("the server sleeps", () => isSleeping(url));
    const loadsBefore = await countLoads();
    // Each takes longer than several health checks.
    await llmctl(["status", "story"], { home });
    await llmctl(["ps"], { home });
    expect(await isSleeping(url)).toBe(true);
    expect(await countLoads()).toBe(loadsBefore);
    expect(await readServing(home, "story")).toMatchObject({ state: "ready", pid, restarts: 0 });

    expect((await askForStory(url)).timings.draft_n).toBeGreaterThan(0);
    expect(await readServing(home, "story")).toMatchObject({ state: "ready", pid, restarts: 0 });

    await until("the server sleeps again", () => isSleeping(url));
    const loads = await countLoads();
    expect((await llmctl(["down", "story"], { home })).exitCode).toBe(0);
    expect(await countLoads()).toBe(loads);
  });
});
