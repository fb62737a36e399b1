import { expect, test } from "vitest";
import { llmctl, startLlmctl } from "../support/llmctl.ts";
import { readServerLog, readStatus, isAlive } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

test("down during a proof request aborts the request, since the server would wait for it", async () => {
  await using home = await TempHome.create();
  // Longer than a command may take: the test fails when llmctl kills the server or waits for it.
  await home.writeFakeProfile("p", { wedge: true }, { health: { proof_timeout: "10m" }, stop: { timeout: "10m" } });
  await using running = startLlmctl(["up", "p"], { home });
  await running.waitForLine(/asking it to draft/);
  const { pid } = await readStatus(home, "p");
  expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
  expect(isAlive(pid ?? 0)).toBe(false);
  expect(await readServerLog(home, "p")).toMatch(/cleaning up before exit\S*\n$/);
});
