import { appendFileSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, startLlmctl } from "../support/llmctl.ts";
import { withoutWatches } from "../support/namespaces.ts";
import { findServers, readServerLog, readStatus, untilStatus, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

const quick = { health: { interval: "50ms" }, restart: { backoff: "1ms" } };

let home: TempHome;
let folder: string;
let log: string;

beforeEach(async () => {
  home = await TempHome.create();
  folder = home.join("state", "p");
  log = home.join("state", "p", "server.log");
});
afterEach(() => home[Symbol.asyncDispose]());

/** Makes the running server log a line through its open descriptor. */
function logAsServer(pid: number, line: string): void {
  appendFileSync(`/proc/${pid}/fd/1`, `${line}\n`);
}

async function untilLogged(line: string): Promise<void> {
  await until(`"${line}" is in the log`, async () =>
    (await readServerLog(home, "p").catch(() => "")).includes(`${line}\n`),
  );
}

/** Kills the server; the next one must get ready, with a log that can be read. */
async function expectRestart(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  await untilStatus(home, "p", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
  const { exitCode, stdout } = await llmctl(["logs", "p"], { home });
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^--- llmctl: run 2, /m);
  expect(stdout).toContain("listening on");
  expect(await findServers(home)).toHaveLength(1);
  expect((await stat(log)).mode & 0o777).toBe(0o600);
}

async function down(): Promise<void> {
  expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
}

const losses: readonly (readonly [string, () => Promise<void>])[] = [
  ["moved", () => rename(log, home.join("moved.log"))],
  ["moved to the name of a rotated one", () => rename(log, `${log}.1`)],
  ["deleted", () => rm(log)],
  ["deleted with its folder", () => rm(folder, { recursive: true, maxRetries: 10 })],
  [
    "replaced by another file",
    async () => {
      await rename(log, home.join("moved.log"));
      await writeFile(log, "", { mode: 0o600 });
    },
  ],
];

describe.each(losses)("a log that is %s", (_, lose) => {
  test("while the server is ready is created again, with all later lines", async () => {
    await home.writeFakeProfile("p", {}, quick);
    const { pid } = await upDetached(home, "p");
    await using follower = startLlmctl(["logs", "p", "-f"], { home });
    await follower.waitForLine(/listening on/);
    await lose();
    logAsServer(pid, "after the loss");
    await untilLogged("after the loss");
    logAsServer(pid, "much later");
    await follower.waitForLine(/^much later$/);
    expect(follower.lines.filter((line) => line === "after the loss")).toHaveLength(1);
    expect((await readServerLog(home, "p")).startsWith("--- llmctl: run 1, ")).toBe(true);
    const { stdout } = await llmctl(["events", "p"], { home });
    expect(stdout).toContain("the server's log was moved or deleted");
    await expectRestart(pid);
    await follower.waitForLine(/^--- llmctl: run 2, /);
    expect((await follower.stop("SIGINT")).exitCode).toBe(0);
    await down();
  });

  test("while the server loads does not keep it from getting ready", async () => {
    await home.writeFakeProfile("p", { loadMs: 2000 }, quick);
    await using running = startLlmctl(["up", "p"], { home });
    await running.waitForLine(/loading/);
    await lose();
    await running.waitForLine(/ready on/);
    const { pid } = await readStatus(home, "p");
    await expectRestart(pid ?? 0);
    expect((await running.stop("SIGINT")).exitCode).toBe(0);
  });

  test("just before a crash delays nothing, and the last lines are kept", async () => {
    await home.writeFakeProfile("p", {}, { ...quick, health: { interval: "1h" } });
    const { pid } = await upDetached(home, "p");
    await lose();
    logAsServer(pid, "last words");
    await expectRestart(pid);
    expect((await readServerLog(home, "p")).split("\n")).toContain("last words");
    const { stdout } = await llmctl(["logs", "p", "--previous"], { home });
    expect(stdout).toMatch(/^--- llmctl: run 1, /);
    expect(stdout).toContain("last words");
    await down();
  });
});

test("a folder in place of the log stops nothing, and is reported until it is gone", async () => {
  await home.writeFakeProfile("p", {}, quick);
  const { pid } = await upDetached(home, "p");
  await rm(log);
  await mkdir(log);
  await untilStatus(home, "p", "warned", ({ warnings }) =>
    warnings.some((text) => text.includes("cannot keep the server's log")),
  );
  process.kill(pid, "SIGKILL");
  const after = await untilStatus(
    home,
    "p",
    "ready again",
    ({ state, restarts }) => state === "ready" && restarts === 1,
  );
  expect((await llmctl(["logs", "p"], { home })).stderr).toContain('the log of "p" was moved or deleted');
  await rmdir(log);
  logAsServer(after.pid ?? 0, "back again");
  await untilLogged("back again");
  await down();
});

test("a missing log does not mean that the profile has never run", async () => {
  await home.writeFakeProfile("p", {}, { health: { interval: "1h" } });
  const { pid } = await upDetached(home, "p");
  await rm(log);
  await rm(home.join("state", "p", "supervisor.log"));
  for (const [command, word] of [
    ["logs", "log"],
    ["events", "event log"],
  ] as const) {
    const { exitCode, stderr } = await llmctl([command, "p"], { home });
    expect(exitCode).toBe(66);
    expect(stderr).toContain(`the ${word} of "p" was moved or deleted`);
    expect(stderr).not.toContain("never run");
  }
  await using logs = startLlmctl(["logs", "p", "-f"], { home });
  await using events = startLlmctl(["events", "p", "-f"], { home });
  await logs.waitForLine(/waiting for the new one/);
  await events.waitForLine(/waiting for the new one/);
  process.kill(pid, "SIGKILL");
  await logs.waitForLine(/listening on/);
  await events.waitForLine(/ready on/);
  await down();
  await rm(log);
  expect((await llmctl(["logs", "p"], { home })).stderr).toContain("its next start makes a new one: llmctl up p");
});

test("a deleted log does not grow without limit, and a moved one keeps its content", async () => {
  await home.writeFakeProfile("p", {}, { ...quick, log: { max_size: "20KB", keep: 3 } });
  const { pid } = await upDetached(home, "p");
  const moved = home.join("moved.log");
  await using follower = startLlmctl(["logs", "p", "-f"], { home });
  await follower.waitForLine(/listening on/);
  await rename(log, moved);
  const kept = await readFile(moved, "utf8");
  await until("there is a new log", () => stat(log).catch(() => undefined));
  for (let round = 0; round < 4; round += 1) {
    const lines = Array.from({ length: 500 }, (_, n) => `line ${500 * round + n} ${"x".repeat(40)}`);
    logAsServer(pid, lines.join("\n"));
    await follower.waitForLine(new RegExp(`^line ${500 * round + 499} `));
    await until("the old file is cut", async () => (await stat(moved)).size === kept.length);
  }
  expect(await readFile(moved, "utf8")).toBe(kept);
  const seen = follower.lines.flatMap((line) => /^line (\d+) /.exec(line)?.[1] ?? []);
  expect(seen).toEqual(Array.from({ length: 2000 }, (_, n) => String(n)));
  expect((await readdir(folder)).filter((name) => name.startsWith("server.log.")).length).toBeGreaterThan(0);
  await follower.stop("SIGINT");
  await down();
});

test("the moved log of an orphaned server is found by its next supervisor", async () => {
  await home.writeFakeProfile("p", {}, { ...quick, orphan: "keep" });
  const { pid, supervisorPid } = await upDetached(home, "p");
  process.kill(supervisorPid, "SIGKILL");
  await untilStatus(home, "p", "orphaned", ({ presence }) => presence === "orphaned");
  await rm(log);
  await upDetached(home, "p");
  logAsServer(pid, "still here");
  await untilLogged("still here");
  expect((await readStatus(home, "p")).pid).toBe(pid);
  await down();
});

describe.each(["instances", "watches"] as const)("without free inotify %s", (what) => {
  test("a server gets ready, is restarted after a crash, and its log can be followed", async () => {
    await home.writeFakeProfile("p", { loadMs: 300 }, quick);
    const via = withoutWatches(what);
    const { pid, loadMs } = await upDetached(home, "p", { via });
    expect(loadMs).not.toBeNull();
    await using follower = startLlmctl(["logs", "p", "-f"], { home, via });
    await follower.waitForLine(/listening on/);
    logAsServer(pid, "later");
    await follower.waitForLine(/^later$/);
    process.kill(pid, "SIGKILL");
    await untilStatus(home, "p", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
    await follower.waitForLine(/^--- llmctl: run 2, /);
    expect((await follower.stop("SIGINT")).exitCode).toBe(0);
    await down();
  });
});
