import getPort from "get-port";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { askForStory, readServing, upServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";

describe.each(inject("llamaBuilds"))("a fixed port on $ref", ({ server }) => {
  let home: TempHome;
  let port: number;

  beforeEach(async () => {
    home = await TempHome.create();
    port = await getPort({ host: "127.0.0.1" });
    await home.writeProfile("story", { extends: "demo", llama: { binary: server }, server: { port } });
  });

  // Fails when a process is left.
  afterEach(() => home[Symbol.asyncDispose]());

  test("is kept through a restart", async () => {
    const { url, pid } = await upServing(home, "story");
    expect(url).toBe(`http://127.0.0.1:${port}`);
    expect((await askForStory(url)).timings.draft_n).toBeGreaterThan(0);
    expect((await llmctl(["restart", "story"], { home })).exitCode).toBe(0);
    const after = await readServing(home, "story");
    expect(after.url).toBe(url);
    expect(after.pid).not.toBe(pid);
    await llmctl(["down", "story"], { home });
  });

  test("of another profile's server is refused, even if the build itself would share it", async () => {
    const { pid, url } = await upServing(home, "story");
    await home.writeProfile("second", { extends: "story" });
    const { exitCode, stderr } = await llmctl(["up", "second", "-d"], { home });
    expect(exitCode).toBe(69);
    expect(stderr).toContain(`port ${port} is taken by the profile "story"`);
    expect((await readServing(home, "story")).pid).toBe(pid);
    expect((await askForStory(url)).timings.draft_n).toBeGreaterThan(0);
    await llmctl(["down", "story"], { home });
  });
});
