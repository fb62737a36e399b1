import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fetchStatus } from "../../src/control/client.ts";
import { identifyProcess } from "../../src/supervisor/state/process-identity.ts";
import { llmctl, startLlmctl } from "../support/llmctl.ts";
import {
  count,
  findServers,
  isAlive,
  readServerLog,
  readStatus,
  untilGone,
  untilStatus,
  upDetached,
} from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

const keep = { orphan: "keep", restart: { backoff: "10ms" } };

/** Kills the supervisor with SIGKILL. */
async function killSupervisor({ supervisorPid }: { readonly supervisorPid: number }): Promise<void> {
  process.kill(supervisorPid, "SIGKILL");
  await untilGone(supervisorPid);
}

describe("a server that is kept when its supervisor is killed", () => {
  test("goes on serving, and the next up adopts it", async () => {
    await home.writeFakeProfile("p", {}, keep);
    const first = await upDetached(home, "p");
    await killSupervisor(first);
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +orphaned/m);
    expect((await fetch(`${first.url}/health`)).status).toBe(200);

    const { exitCode, stdout } = await llmctl(["up", "-d", "p"], { home });
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`took over the server (pid ${first.pid}), which had outlived its supervisor`);
    const second = await readStatus(home, "p");
    expect(second).toMatchObject({
      presence: "live",
      state: "ready",
      pid: first.pid,
      url: first.url,
      drafting: { state: "on" },
      runs: 0,
    });
    expect(second.supervisorPid).not.toBe(first.supervisorPid);
    expect(count(await readServerLog(home, "p"), "--- llmctl: run ")).toBe(1);

    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
    expect(isAlive(first.pid)).toBe(false);
    expect(await readServerLog(home, "p")).not.toContain("second interrupt");
  });

  test("is adopted while it loads", async () => {
    await home.writeFakeProfile("p", { loadMs: 6000 }, keep);
    expect((await llmctl(["up", "-d", "p", "--timeout", "1ms"], { home })).exitCode).toBe(11);
    const first = await untilStatus(home, "p", "loading", ({ state }) => state === "loading");
    await killSupervisor(first);
    const second = await upDetached(home, "p");
    expect(second).toMatchObject({ state: "ready", pid: first.pid });
    await llmctl(["down", "p"], { home });
  });

  test("is stopped by down without a supervisor", async () => {
    await home.writeFakeProfile("p", {}, keep);
    const { pid, ...first } = await upDetached(home, "p");
    await killSupervisor(first);
    const { exitCode, stderr } = await llmctl(["restart", "p"], { home });
    expect(exitCode).toBe(3);
    expect(stderr).toContain(`has outlived its supervisor (pid ${pid})`);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
    expect(isAlive(pid)).toBe(false);
  });

  test("has the profile's time to stop, and none with --now", async () => {
    await home.writeFakeProfile("p", { ignoreTerm: true }, { ...keep, stop: { timeout: "1h" } });
    const { pid, ...first } = await upDetached(home, "p");
    await killSupervisor(first);
    const down = startLlmctl(["down", "p"], { home });
    await until("it is asked to stop", async () => (await readServerLog(home, "p")).includes("SIGTERM"));
    await down.stop("SIGKILL");
    expect(isAlive(pid)).toBe(true);
    expect((await llmctl(["down", "--now", "p"], { home })).exitCode).toBe(0);
    expect(isAlive(pid)).toBe(false);
  });

  test("outlives a second supervisor, too; the third sees it end and starts it again", async () => {
    await home.writeFakeProfile("p", {}, keep);
    const first = await upDetached(home, "p");
    await killSupervisor(first);
    await killSupervisor(await upDetached(home, "p"));
    const third = await upDetached(home, "p");
    expect(third.pid).toBe(first.pid);
    process.kill(first.pid, "SIGKILL");
    const mended = await untilStatus(
      home,
      "p",
      "ready again",
      ({ state, restarts }) => state === "ready" && restarts === 1,
    );
    expect(mended.lastExit).toMatchObject({
      kind: "exited",
      message: expect.stringContaining("exit code is unknown") as string,
    });
    expect(await findServers(home)).toEqual([mended.pid]);
    await llmctl(["down", "p"], { home });
  });

  test("is found by its lock when the state could no longer be written", async () => {
    await home.writeFakeProfile("p", {}, keep);
    const first = await upDetached(home, "p");
    const path = home.join("state", "p", "state.json");
    const old = await readFile(path);
    await rm(path);
    await mkdir(path);
    process.kill(first.pid, "SIGKILL");
    const socketPath = home.join("run", "p.sock");
    const { pid } = await until("it is replaced", async () => {
      const status = await fetchStatus(socketPath);
      return status?.state === "ready" && status.restarts === 1 && status;
    });
    await killSupervisor(first);
    await rm(path, { recursive: true });
    await writeFile(path, old);
    expect(await readStatus(home, "p")).toMatchObject({ presence: "orphaned", pid });
    expect(await upDetached(home, "p")).toMatchObject({ presence: "live", state: "ready", pid, runs: 0 });
    await llmctl(["down", "p"], { home });
  });

  test("is neither adopted nor ended by a start with another configuration, be its arguments the same", async () => {
    await home.writeFakeProfile("p", {}, keep);
    const first = await upDetached(home, "p");
    await killSupervisor(first);
    const env = { FAKE_LLAMA: "{}" };
    for (const other of [
      { ctx_size: 256 },
      { env: { ...env, OTHER: "1" } },
      { health: { interval: "7s" } },
      { stop: { timeout: "7s" } },
    ]) {
      await home.writeFakeProfile("p", {}, { ...keep, ...other });
      const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home });
      expect(stderr).toMatch(
        /still runs, without a supervisor and with another configuration[^]*fix: stop it first: llmctl down p/,
      );
      expect(exitCode).toBe(75);
      expect(isAlive(first.pid)).toBe(true);
    }
    await home.writeFakeProfile("p", {}, keep);
    expect(await upDetached(home, "p")).toMatchObject({ pid: first.pid, state: "ready" });
    await llmctl(["down", "p"], { home });
  });

  test("on an IPv6 address is adopted there", async () => {
    await home.writeFakeProfile("p", {}, { ...keep, server: { host: "::1" } });
    const first = await upDetached(home, "p");
    expect(first.url).toMatch(/^http:\/\/\[::1\]:\d+$/);
    await killSupervisor(first);
    expect(await upDetached(home, "p")).toMatchObject({
      state: "ready",
      pid: first.pid,
      url: first.url,
      drafting: { state: "on" },
    });
    await llmctl(["down", "p"], { home });
  });

  test("is not confused with a process that has other arguments", async () => {
    await home.writeFakeProfile("p", {}, keep);
    const first = await upDetached(home, "p");
    await killSupervisor(first);
    // As if the server's lock named a process with other arguments: this one.
    const path = home.join("state", "p", "server.lock");
    const note = JSON.parse(await readFile(path, "utf8")) as { server: object };
    await writeFile(
      path,
      JSON.stringify({ ...note, server: { ...note.server, identity: identifyProcess(process.pid) } }),
    );
    expect((await llmctl(["up", "-d", "p"], { home })).exitCode).toBe(75);
    await writeFile(path, JSON.stringify(note));
    await llmctl(["down", "p"], { home });
  });
});
