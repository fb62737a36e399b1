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
    expect(after).toMatchObject({ supervisorPid: before.supervisorPid, drafting: { state: "on" }, lastExit: { kind: "killed" } });
    expect((await askForStory(after.url)).timings.draft_n).toBeGreaterThan(0);
    await llmctl(["down", "story"], { home });
  });

  test("the death of the supervisor leaves no server behind, and does not keep up from starting anew", async () => {
    process.kill(before.supervisorPid, "SIGKILL");
    await untilGone(before.pid);
    expect(await readStatus(home, "story")).toMatchObject({ presence: "gone" });
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^story +dead /m);
    expect((await llmctl(["down", "story"], { home })).exitCode).toBe(3);
    expect(await upServing(home, "story")).toMatchObject({ state: "ready", drafting: { state: "on" } });
    await llmctl(["down", "story"], { home });
  });
});
