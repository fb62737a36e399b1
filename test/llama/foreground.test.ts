import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { llmctl, llmctlCommand, startLlmctl } from "../support/llmctl.ts";
import { isAlive, readServerLog } from "../support/processes.ts";
import { askForStory, readServing } from "../support/real-server.ts";
import { TempHome } from "../support/temp-home.ts";
import { Terminal } from "../support/terminal.ts";

const ready = /ready on (http:\S+) in .+ · drafting on, /;
let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
  await home.writeProfile("story", { extends: "demo", llama: { binary: inject("llama").server } });
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

test("up in the foreground shows its phases and serves until SIGINT, which stops it in order", async () => {
  await using up = startLlmctl(["up", "story"], { home });
  const [, url = ""] = await up.waitForLine(ready);
  const phases = up.lines.map((line) => /^ *[\d.]+ m?s {2}(server is up|\w+)/.exec(line)?.[1]);
  expect(phases).toEqual(["preflight", "starting", "loading", "server is up", "ready"]);
  expect((await askForStory(url)).timings.draft_n).toBeGreaterThan(0);

  const { pid, supervisorPid } = await readServing(home, "story");
  expect(supervisorPid).toBe(up.pid);
  expect(await up.stop("SIGINT")).toMatchObject({
    exitCode: 0,
    stderr: expect.stringContaining("press Ctrl-C again to stop at once"),
  });
  expect(isAlive(pid)).toBe(false);
  expect(up.lines.at(-1)).toMatch(/ stopped, asked for by SIGINT$/);
});

test("Ctrl-C on a terminal reaches the server as one request to stop", async () => {
  await using terminal = new Terminal(llmctlCommand(["up", "story"]), home);
  await terminal.waitFor("drafting on");
  const { pid } = await readServing(home, "story");
  terminal.pressCtrlC();
  expect((await terminal.ended).exitCode).toBe(0);
  expect(isAlive(pid)).toBe(false);
  // At a second signal the server logs it and exits without cleaning up.
  const logged = await readServerLog(home, "story");
  expect(logged).toContain("cleaning up before exit");
  expect(logged).not.toContain("second interrupt");
});

test("a running profile can be stopped from another terminal", async () => {
  await using up = startLlmctl(["up", "story"], { home });
  await up.waitForLine(ready);
  expect((await llmctl(["down", "story"], { home })).exitCode).toBe(0);
  expect((await up.ended).exitCode).toBe(0);
});
