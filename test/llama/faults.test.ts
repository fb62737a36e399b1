import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { readStatus, untilGone, untilStatus } from "../support/processes.ts";
import { askForStory, readServing, upServing, type Serving } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";

describe.each(inject("llamaBuilds"))("faults on $ref", ({ server }) => {
  let home: TempHome;
  let before: Serving;

  beforeEach(async () => {
    home = await TempHome.create();
    await home.writeProfile("story", { extends: "demo", llama: { binary: server }, restart: { backoff: "10ms" } });
    before = await upServing(home, "story");
  });

  // Fails when a process is left.
  afterEach(() => home[Symbol.asyncDispose]());

  test("a server that was killed is started again and drafts again", async () => {
    process.kill(before.pid, "SIGKILL");
    await untilStatus(home, "story", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
    const after = await readServing(home, "story");
    expect(after.pid).not.toBe(before.pid);
    expect(after).toMatchObject({
      supervisorPid: before.supervisorPid,
      drafting: { state: "on" },
      lastExit: { kind: "killed" },
    });
    expect((await askForStory(after.url)).timings.draft_n).toBeGreaterThan(0);
    await llmctl(["down", "story"], { home });
  });

  test("a killed supervisor leaves no server behind, and up starts a new one", async () => {
    process.kill(before.supervisorPid, "SIGKILL");
    await untilGone(before.pid);
    expect(await readStatus(home, "story")).toMatchObject({ presence: "gone" });
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^story +dead /m);
    expect((await llmctl(["down", "story"], { home })).exitCode).toBe(3);
    expect(await upServing(home, "story")).toMatchObject({ state: "ready", drafting: { state: "on" } });
    await llmctl(["down", "story"], { home });
  });

  test("a server that outlives its supervisor serves on and is adopted with its loaded model", async () => {
    await llmctl(["down", "story"], { home });
    await home.writeProfile("story", { extends: "demo", llama: { binary: server }, orphan: "keep" });
    const first = await upServing(home, "story");
    const { text } = await askForStory(first.url);
    process.kill(first.supervisorPid, "SIGKILL");
    await untilGone(first.supervisorPid);
    expect(await readStatus(home, "story")).toMatchObject({ presence: "orphaned", pid: first.pid });
    expect((await askForStory(first.url)).text).toBe(text);

    const second = await upServing(home, "story");
    expect(second).toMatchObject({
      presence: "live",
      state: "ready",
      pid: first.pid,
      url: first.url,
      drafting: { state: "on" },
      runs: 0,
    });
    expect((await askForStory(second.url)).timings.draft_n).toBeGreaterThan(0);
    expect((await llmctl(["down", "story"], { home })).exitCode).toBe(0);
    await untilGone(first.pid);
  });
});
