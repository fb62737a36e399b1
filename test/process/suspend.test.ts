import { writeFile } from "node:fs/promises";
import { uptime } from "node:os";
import { afterEach, beforeEach, expect, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { withFileInPlaceOf } from "../support/namespaces.ts";
import { readStatus, untilStatus, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

// The test simulates a suspend: the supervisor reads the machine's uptime from a file of the test.
let home: TempHome;
let clock: string;

beforeEach(async () => {
  home = await TempHome.create();
  clock = home.join("uptime");
  await setUptime(0);
});
afterEach(() => home[Symbol.asyncDispose]());

/** In seconds, above the real value. It is constant, since only a jump matters. */
async function setUptime(more: number): Promise<void> {
  await writeFile(clock, `${uptime() + more} 0.00\n`);
}

async function up(
  faults: Readonly<Record<string, unknown>>,
): Promise<{ readonly pid: number; readonly url: string | null }> {
  await home.writeFakeProfile("p", faults, { health: { interval: "50ms" }, restart: { backoff: "10ms" } });
  return upDetached(home, "p", { via: withFileInPlaceOf("/proc/uptime", clock) });
}

const readEvents = async () => (await llmctl(["events", "p"], { home })).stdout;

test("after a suspend the server is asked for some tokens, and kept if it answers", async () => {
  const { pid } = await up({});
  await setUptime(3600);
  await until("the server has been asked", async () => (await readEvents()).includes("computes as before"));
  expect(await readEvents()).toContain("the machine was suspended for 1 h 0 min; the server is asked");
  expect(await readStatus(home, "p")).toMatchObject({ state: "ready", pid, restarts: 0 });
  expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
});

test("a server that has lost its GPU in a suspend is started again", async () => {
  const { pid, url } = await up({});
  await fetch(`${url}/fault`, { method: "POST", body: JSON.stringify({ computeError: true }) });
  await setUptime(3600);
  const after = await untilStatus(
    home,
    "p",
    "ready again",
    ({ state, restarts }) => state === "ready" && restarts === 1,
  );
  expect(after.pid).not.toBe(pid);
  expect(after.lastExit).toMatchObject({
    kind: "broken-by-suspend",
    message: expect.stringContaining("500") as string,
  });
  expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
});

test("a stop does not wait for the answer to llmctl's own request", async () => {
  const { url } = await up({});
  await fetch(`${url}/fault`, { method: "POST", body: JSON.stringify({ requestMs: 3_600_000 }) });
  await setUptime(3600);
  await until("the server is asked", async () => (await readEvents()).includes("still computes"));
  expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
  expect(await readEvents()).not.toContain("waiting for running requests");
});
