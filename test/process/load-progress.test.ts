import { copyFile, truncate } from "node:fs/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { llmctl, startLlmctl } from "../support/llmctl.ts";
import { untilStatus } from "../support/processes.ts";
import { demoTarget, TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

test("the progress of a load is what the server has read of its files", async () => {
  const model = home.join("large.gguf");
  await copyFile(demoTarget, model);
  await truncate(model, 4e9); // a hole: it costs no disk, and reading it no time
  await home.writeFakeProfile("p", { neverReady: true, readBytes: 1e9 }, { model, draft: undefined });
  await using up = startLlmctl(["up", "p"], { home });
  await up.waitForLine(/^ *[\d.]+ m?s {2}loading$/);
  const { load } = await untilStatus(home, "p", "a quarter loaded", (status) => (status.load?.doneBytes ?? 0) >= 1e9);
  expect(load?.totalBytes).toBe(4e9);
  expect(load?.doneBytes).toBeLessThan(1.5e9);
  expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +loading 2\d % /m);
  // Other changes are rare; the progress of a load is published twice a second.
  expect((await llmctl(["events", "p", "--json"], { home })).stdout.match(/"state":"loading"/g)).toHaveLength(1);
});
