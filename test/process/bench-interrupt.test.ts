import { afterEach, beforeEach, expect, test } from "vitest";
import { startLlmctl } from "../support/llmctl.ts";
import { TempHome } from "../support/temp-home.ts";
import { findServers } from "../support/processes.ts";
import { until } from "../support/until.ts";

let home: TempHome;
beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

test("Ctrl-C while the first server loads ends a bench with what it has, which is nothing", async () => {
  await home.writeFakeProfile("a", { neverReady: true });
  await using bench = startLlmctl(["bench", "a"], { home });
  await until("a server loads", async () => (await findServers(home)).length > 0);
  const { exitCode, stdout, stderr } = await bench.stop("SIGINT");
  expect(stderr).not.toContain("internal error");
  expect(exitCode).toBe(130);
  expect(stdout).toContain("a: no difference can be shown");
  expect(await findServers(home)).toEqual([]);
});
