import { readdir } from "node:fs/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { isAlive, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { pathWith } from "../support/tool-path.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
  await home.writeFakeProfile("p", { stateFile: home.join("starts") });
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

test("without flock nothing is started, and the package to install is named", async () => {
  const env = { PATH: await pathWith(home, ["setpriv", "ps", "sh", "cat"]) };
  for (const args of [
    ["up", "-d", "p"],
    ["up", "p"],
  ]) {
    const { exitCode, stderr } = await llmctl(args, { home, env });
    expect(stderr).toContain('the tool "flock" is not installed\n  fix: install util-linux');
    expect(exitCode).toBe(66);
  }
  expect(await readdir(home.path)).not.toContain("starts");
});

test("without ps a server is started and killed, with its group", async () => {
  const env = { PATH: await pathWith(home, ["setpriv", "flock", "sh", "cat"]) };
  const { pid } = await upDetached(home, "p", { env });
  expect((await llmctl(["down", "--now", "p"], { home, env })).exitCode).toBe(0);
  expect(isAlive(pid)).toBe(false);
});
