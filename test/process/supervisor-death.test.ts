import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { followEvents } from "../../src/control/client.ts";
import type { StatusEvent } from "../../src/control/messages.ts";
import { identifyProcess } from "../../src/supervisor/state/process-identity.ts";
import type { StateRecord } from "../../src/supervisor/state/state-file.ts";
import { llmctl, startLlmctl, type RunningLlmctl } from "../support/llmctl.ts";
import {
  findServers,
  isAlive,
  readServerLog,
  readStatus,
  untilGone,
  untilStatus,
  upDetached,
} from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { pathWith } from "../support/tool-path.ts";
import { until } from "../support/until.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

describe("when the supervisor is killed", () => {
  test("its server dies with it, ps says so, and the next up starts a new one", async () => {
    await home.writeFakeProfile("p");
    const first = await upDetached(home, "p");
    process.kill(first.supervisorPid, "SIGKILL");
    await untilGone(first.pid);
    expect(await readStatus(home, "p")).toMatchObject({ presence: "gone", state: "ready" });
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +dead/m);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(3);
    const second = await upDetached(home, "p");
    expect(await findServers(home)).toEqual([second.pid]);
    await llmctl(["down", "p"], { home });
  });

  test("an up at the same instant takes over", async () => {
    await home.writeFakeProfile("p");
    const first = await upDetached(home, "p");
    process.kill(first.supervisorPid, "SIGKILL");
    const second = await upDetached(home, "p");
    expect(second.supervisorPid).not.toBe(first.supervisorPid);
    expect(await findServers(home)).toEqual([second.pid]);
    await llmctl(["down", "p"], { home });
  });

  test("the up that started it says so", async () => {
    await home.writeFakeProfile("p", { neverReady: true });
    await expectSupervisorGone(startLlmctl(["up", "-d", "p"], { home }), "was ended by SIGKILL");
  });

  test("an up that found it running says so", async () => {
    await home.writeFakeProfile("p", { neverReady: true });
    await llmctl(["up", "-d", "p", "--timeout", "1ms"], { home });
    await untilStatus(home, "p", "loading", ({ state }) => state === "loading");
    await expectSupervisorGone(startLlmctl(["up", "p"], { home }), "exited");
  });

  test("the up that started it names the exit code of a supervisor that wrote no error", async () => {
    await home.writeFakeProfile("p");
    const exits = home.join("exits.mjs");
    await writeFile(exits, 'if (process.argv[2] === "__supervise") process.exit(7);');
    const env = { NODE_OPTIONS: `--import=${exits}` };
    const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home, env });
    expect(stderr).toContain('the supervisor of "p" exited with code 7 and wrote no error\n');
    expect(exitCode).toBe(1);
  });

  async function expectSupervisorGone(waiting: RunningLlmctl, how: string): Promise<void> {
    await waiting.waitForLine(/loading/);
    const { supervisorPid } = await untilStatus(home, "p", "loading", ({ state }) => state === "loading");
    process.kill(supervisorPid, "SIGKILL");
    const { exitCode, stderr } = await waiting.ended;
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`the supervisor of "p" ${how} and wrote no error\n`);
    expect(stderr).toMatch(/\n {2}fix: see \S+supervisor\.log/);
    await until("no server is left", async () => (await findServers(home)).length === 0);
  }
});

test("a supervisor that does not answer is reported as such, and no command waits for it", async () => {
  await home.writeFakeProfile("p");
  const { pid, supervisorPid } = await upDetached(home, "p");
  process.kill(supervisorPid, "SIGSTOP");
  expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +unresponsive/m);
  for (const command of ["up", "restart", "down"]) {
    const { exitCode, stderr } = await llmctl([command, "p"], { home });
    expect(exitCode).toBe(1);
    expect(stderr).toContain("the supervisor does not answer");
  }
  process.kill(supervisorPid, "SIGCONT");
  expect(await untilStatus(home, "p", "ready", ({ presence }) => presence === "live")).toMatchObject({
    state: "ready",
    pid,
  });
  await llmctl(["down", "p"], { home });
});

test("a supervisor without a free descriptor keeps its server, and replaces it once it has one again", async () => {
  await home.writeFakeProfile("p", {}, { restart: { backoff: "50ms", max_failures: 2 } });
  const { pid, supervisorPid } = await upDetached(home, "p");
  const events = followEvents(home.join("run", "p.sock"));
  await events.next();
  // Clients cannot cause this with any number of connections; other processes of the machine can.
  await limitDescriptors(supervisorPid, "4");
  process.kill(pid, "SIGKILL");
  await untilEvent(events, /^cannot start .* EMFILE/);
  await limitDescriptors(supervisorPid, "1000");
  const after = await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
  expect(await findServers(home)).toEqual([after.pid]);
  await llmctl(["down", "p"], { home });
});

async function untilEvent(events: AsyncIterable<StatusEvent>, pattern: RegExp): Promise<void> {
  for await (const { message } of events) if (pattern.test(message)) return;
  throw new Error(`no event matched ${String(pattern)}`);
}

/** New descriptors have a number below the limit; the hard one stays, so that it can be raised again. */
async function limitDescriptors(pid: number, count: string): Promise<void> {
  await execa("prlimit", [`--pid=${pid}`, `--nofile=${count}:`]);
}

test("status of a profile whose supervisor was killed says what happened and has a fix", async () => {
  await home.writeFakeProfile("p");
  const { supervisorPid } = await upDetached(home, "p");
  process.kill(supervisorPid, "SIGKILL");
  await untilGone(supervisorPid);
  const { stdout } = await llmctl(["status", "p"], { home });
  expect(stdout).toMatch(/^state +dead$/m);
  expect(stdout).toMatch(/^last exit +its supervisor was killed, or the machine went down\nfix +run "llmctl up p"$/m);
  expect(stdout).not.toMatch(/^since /m); // nobody knows
  expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +dead +-  /m);
});

describe("without setpriv", () => {
  test("a guard ends the server with its supervisor, and ends itself when the server stops", async () => {
    const { pid, supervisorPid, warnings } = await upWithGuard();
    expect(warnings).toEqual([]);
    expect(await findGuards(pid)).toHaveLength(1);
    process.kill(supervisorPid, "SIGKILL");
    await untilGone(pid);
    await until("the guard is gone", async () => (await findGuards(pid)).length === 0);

    const again = await upWithGuard();
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
    expect(await findGuards(again.pid)).toEqual([]);
    expect(await readServerLog(home, "p")).not.toContain("second interrupt");
  });

  test("ps shows the orphan of a killed supervisor and guard, and down ends it", async () => {
    const { pid } = await makeOrphan();
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +orphaned/m);
    expect(await readStatus(home, "p")).toMatchObject({ presence: "orphaned", pid });
    const { exitCode, stdout } = await llmctl(["down", "p"], { home });
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`its supervisor was gone, the server (pid ${pid}) was still there`);
    expect(isAlive(pid)).toBe(false);
  });

  test("the next up ends the orphan of a killed supervisor and guard, and starts its own server", async () => {
    const { pid } = await makeOrphan();
    const second = await upDetached(home, "p");
    expect(isAlive(pid)).toBe(false);
    expect(await findServers(home)).toEqual([second.pid]);
    expect(await readServerLog(home, "p")).not.toContain("second interrupt");
    await llmctl(["down", "p"], { home });
  });

  async function makeOrphan() {
    const running = await upWithGuard();
    for (const guard of await findGuards(running.pid)) process.kill(guard, "SIGKILL");
    process.kill(running.supervisorPid, "SIGKILL");
    await untilGone(running.supervisorPid);
    expect(isAlive(running.pid)).toBe(true);
    return running;
  }

  /** Shells that wait for the end of a supervisor, to kill this server's group. */
  async function findGuards(pid: number): Promise<number[]> {
    const pids = (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry)).map(Number);
    const isGuard = async (one: number) => {
      const words = (await readFile(`/proc/${one}/cmdline`, "utf8").catch(() => "")).split("\0");
      return words[0] === "/bin/sh" && words[2]?.startsWith("read -r") === true && words[3] === String(pid);
    };
    const guards = await Promise.all(pids.map(async (one) => ((await isGuard(one)) ? [one] : [])));
    return guards.flat();
  }

  /** With a PATH of all programs that llmctl needs except setpriv. */
  async function upWithGuard() {
    await home.writeFakeProfile("p");
    return upDetached(home, "p", { env: { PATH: await pathWith(home, ["flock", "ps", "sh", "cat"]) } });
  }
});

describe("leftovers of an earlier supervisor", () => {
  test.each([
    ["an empty state file", "state.json", ""],
    ["half a state file", "state.json", '{ "status": { "version": 1, "na'],
    ["a state file of another kind", "state.json", "null\n"],
    [
      "a state file of the future",
      "state.json",
      '{"status":{"version":99,"name":"p"},"supervisor":{"pid":1},"server":{"pid":1}}',
    ],
  ])("do not prevent a start: %s", async (_, file, content) => {
    const path = home.join("state", "p", file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    await home.writeFakeProfile("p");
    expect(await llmctl(["ps", "-a"], { home })).toMatchObject({ exitCode: 0, stdout: "nothing is running" });
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(3);
    await upDetached(home, "p");
    await llmctl(["down", "p"], { home });
  });

  test("do not prevent a start: a dead socket and a lock file without its holder", async () => {
    await home.writeFakeProfile("p");
    await mkdir(home.join("run"));
    await writeFile(home.join("run", "p.lock"), '{"pid":999999999,"startTime":"1","bootId":"x"}');
    await writeFile(home.join("run", "p.sock"), "");
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(3);
    await upDetached(home, "p");
    await llmctl(["down", "p"], { home });
  });

  test("a reused pid is left alone", async () => {
    await home.writeFakeProfile("p");
    await upDetached(home, "p");
    await llmctl(["down", "p"], { home });
    const stranger = spawn("sleep", ["600"]);
    try {
      const path = home.join("state", "p", "state.json");
      const record = JSON.parse(await readFile(path, "utf8")) as StateRecord;
      const identity = identifyProcess(stranger.pid ?? 0);
      await writeFile(path, JSON.stringify({ ...record, server: { ...identity, startTime: "1" } }));
      expect((await llmctl(["ps"], { home })).stdout).toBe("nothing is running");
      expect((await llmctl(["down", "p"], { home })).exitCode).toBe(3);
      await upDetached(home, "p");
      expect(isAlive(stranger.pid ?? 0)).toBe(true);
      await llmctl(["down", "p"], { home });
    } finally {
      stranger.kill("SIGKILL");
    }
  });
});
