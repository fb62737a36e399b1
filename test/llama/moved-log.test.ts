import { rm } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { readServerLog, untilStatus } from "../support/processes.ts";
import { askForStory, upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

describe.each(inject("llamaBuilds"))("the log of $ref", ({ server }) => {
  let home: TempHome;

  beforeEach(async () => {
    home = await TempHome.create();
    await home.writeProfile("story", {
      extends: "demo",
      llama: { binary: server },
      health: { interval: "100ms" },
      restart: { backoff: "10ms" },
    });
  });
  afterEach(() => home[Symbol.asyncDispose]());

  test("is created again with the next lines after it was deleted, and traffic is still counted", async () => {
    const { url, pid } = await upServing(home, "story");
    await rm(home.join("state", "story", "server.log"));
    await askForStory(url);
    const read = () => readServerLog(home, "story").catch(() => "");
    await until("the request is in the new log", async () => (await read()).includes("eval time"));
    await untilStatus(home, "story", "counting", ({ traffic }) => (traffic?.sinceStart.tokens ?? 0) > 0);
    process.kill(pid, "SIGKILL");
    await untilStatus(home, "story", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
    expect(await read()).toMatch(/^--- llmctl: run 2, /m);
    expect((await llmctl(["down", "story"], { home })).exitCode).toBe(0);
  });
});
