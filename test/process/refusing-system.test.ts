import { rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { llmctl, startLlmctl } from "../support/llmctl.ts";
import { findServers, untilStatus, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

const failing = fileURLToPath(new URL("../support/failing-system.mjs", import.meta.url));

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

test("system errors in timers are reported, and a crashed server is restarted all the same", async () => {
  await home.writeFakeProfile(
    "p",
    {},
    { health: { interval: "50ms" }, restart: { backoff: "1ms" }, log: { max_size: "1KB" } },
  );
  const flag = home.join("refuse");
  const { pid } = await upDetached(home, "p", { env: { NODE_OPTIONS: `--import=${failing}`, FAIL_WHEN: flag } });
  await writeFile(flag, "");
  await untilStatus(home, "p", "warned", ({ warnings }) =>
    warnings.some((text) => /cannot keep the server's log: EIO/.test(text)),
  );
  process.kill(pid, "SIGKILL");
  const { warnings } = await untilStatus(
    home,
    "p",
    "ready again",
    ({ state, restarts }) => state === "ready" && restarts === 1,
  );
  expect(warnings).toContainEqual(expect.stringContaining("EPERM"));
  expect(await findServers(home)).toHaveLength(1);
  await rm(flag);
  expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
});

test("a supervisor in the foreground goes on when its output cannot be written", async () => {
  await home.writeFakeProfile("p", {}, { restart: { backoff: "1ms" } });
  await using running = startLlmctl(["up", "p"], {
    home,
    via: ["sh", "-c", 'exec "$@" > /dev/full 2> /dev/full', "sh"],
  });
  const { pid } = await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
  process.kill(pid ?? 0, "SIGKILL");
  await untilStatus(home, "p", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
  expect((await running.stop("SIGINT")).exitCode).toBe(0);
});
