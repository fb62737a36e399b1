import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import {
  count,
  findServers,
  isAlive,
  readServerLog,
  readStatus,
  untilStatus,
  upDetached,
  type Listed,
} from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

interface Dump {
  readonly env: Readonly<Record<string, string>>;
  readonly fds: readonly { readonly fd: number; readonly target: string }[];
}

describe("up -d", () => {
  test("shows the phases, returns at ready and leaves the server running", async () => {
    await home.writeFakeProfile("p");
    const { exitCode, stdout, stderr } = await llmctl(["up", "-d", "p"], { home });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    const phases = stdout.split("\n").map((line) => line.replace(/^ *[\d.]+ m?s {2}/, ""));
    expect(phases.slice(0, 3)).toEqual(["preflight", "starting", "loading"]);
    expect(phases[3]).toMatch(/^server is up on http:\/\/127\.0\.0\.1:\d+ after /);
    expect(phases[4]).toMatch(/^ready on http:\/\/127\.0\.0\.1:\d+ in .* · drafting on, 48 of 64 tokens accepted$/);
    const { url } = await readStatus(home, "p");
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
  });

  test("of a running profile succeeds, and refers to restart when the profile has changed", async () => {
    await home.writeFakeProfile("p");
    const first = await upDetached(home, "p");
    const again = await llmctl(["up", "-d", "p"], { home });
    expect(again.exitCode).toBe(0);
    expect(again.stdout).toContain('"p" is already running');
    expect((await llmctl(["up", "p"], { home })).exitCode).toBe(0);

    await home.writeFakeProfile("p", {}, { ctx_size: 256 });
    const changed = await llmctl(["up", "-d", "p"], { home });
    expect(changed.exitCode).toBe(75);
    expect(changed.stderr).toMatch(/already running with another configuration[^]*llmctl restart p/);
    expect((await readStatus(home, "p")).pid).toBe(first.pid);

    expect((await llmctl(["restart", "p"], { home })).exitCode).toBe(0);
    const second = await readStatus(home, "p");
    expect(second.pid).not.toBe(first.pid);
    expect(second.hash).not.toBe(first.hash);
    expect(isAlive(first.pid)).toBe(false);
    await llmctl(["down", "p"], { home });
  });

  test("closes its output at ready", async () => {
    await home.writeFakeProfile("p");
    const { exitCode, stdout } = await llmctl(["up", "-d", "p"], { home, via: ["sh", "-c", '"$@" | cat', "sh"] });
    expect(exitCode).toBe(0);
    expect(stdout).toContain("ready on http://");
    await llmctl(["down", "p"], { home });
  });

  test("reports a timeout while the load goes on; the next up waits for its end", async () => {
    await home.writeFakeProfile("p", { loadMs: 4000 });
    const { exitCode, stderr } = await llmctl(["up", "-d", "p", "--timeout", "1s"], { home });
    expect(exitCode).toBe(11);
    expect(stderr).toContain('"p" is not ready yet; it goes on loading');
    const { pid } = await untilStatus(home, "p", "loading", ({ state }) => state === "loading");
    const second = await llmctl(["up", "-d", "p"], { home });
    expect(second.exitCode).toBe(0);
    expect((await readStatus(home, "p")).pid).toBe(pid);
    await llmctl(["down", "p"], { home });
  });

  test("starts the server even when its timeout is over before it begins", async () => {
    await home.writeFakeProfile("p");
    expect((await llmctl(["up", "-d", "p", "--timeout", "1ms"], { home })).exitCode).toBe(11);
    await untilStatus(home, "p", "ready", (status) => status.state === "ready");
    await llmctl(["down", "p"], { home });
  });

  test("gives the server a clean environment and no descriptor but its log and the lock", async () => {
    const dump = home.join("dump.json");
    await home.writeFakeProfile("p", { dumpEnv: dump });
    const env = { LLAMA_ARG_CTX_SIZE: "1", NOTIFY_SOCKET: "/nowhere", HF_TOKEN: "secret", CUDA_VISIBLE_DEVICES: "0" };
    await upDetached(home, "p", { env });
    const seen = JSON.parse(await readFile(dump, "utf8")) as Dump;
    expect(Object.keys(seen.env)).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^LLAMA_ARG_|^NOTIFY_|^HF_|^LLMCTL_/)]),
    );
    expect(seen.env).toMatchObject({ CUDA_VISIBLE_DEVICES: "0" });
    const log = home.join("state", "p", "server.log");
    const files = seen.fds.filter(({ target }) => target.startsWith("/") && !target.startsWith("/proc/"));
    expect(files.map(({ fd, target }) => `${fd} ${target}`)).toEqual([
      "0 /dev/null",
      `1 ${log}`,
      `2 ${log}`,
      `3 ${home.join("state", "p", "server.lock")}`,
    ]);
    await llmctl(["down", "p"], { home });
  });
});

describe("down", () => {
  test("returns when the server is gone and leaves neither socket nor process", async () => {
    await home.writeFakeProfile("p", { exitDelayMs: 300 });
    const { pid, supervisorPid } = await upDetached(home, "p");
    const { exitCode, stdout } = await llmctl(["down", "p"], { home });
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'stopped "p"' });
    expect(isAlive(pid)).toBe(false);
    expect(await readServerLog(home, "p")).not.toContain("second interrupt");
    await expect(readFile(home.join("run", "p.sock"))).rejects.toThrow("ENOENT");
    const after = await readStatus(home, "p");
    expect(after).toMatchObject({ presence: "gone", state: "stopped", pid: null, url: null, lastExit: null });
    expect(after.supervisorPid).toBe(supervisorPid);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(3);
  });

  test("sends a second SIGTERM when the time to stop is over, and kills a server that ignores that, too", async () => {
    await home.writeFakeProfile("p", { ignoreTerm: true }, { stop: { timeout: "300ms" } });
    const { pid } = await upDetached(home, "p");
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
    expect(isAlive(pid)).toBe(false);
    expect(count(await readServerLog(home, "p"), "ignored SIGTERM")).toBe(2);
  });

  test("--now kills a server that does not stop", async () => {
    await home.writeFakeProfile("p", { ignoreTerm: true }, { stop: { timeout: "10m" } });
    const { pid } = await upDetached(home, "p");
    expect((await llmctl(["down", "p", "--now"], { home })).exitCode).toBe(0);
    expect(isAlive(pid)).toBe(false);
  });

  test("ends a load", async () => {
    await home.writeFakeProfile("p", { neverReady: true });
    await llmctl(["up", "-d", "p", "--timeout", "1ms"], { home });
    const { pid } = await untilStatus(home, "p", "loading", (status) => status.state === "loading");
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
    expect(isAlive(pid ?? 0)).toBe(false);
    expect(await findServers(home)).toEqual([]);
  });
});

describe("for scripts", () => {
  const keys = [
    "presence",
    "version",
    "name",
    "state",
    "since",
    "url",
    "pid",
    "supervisorPid",
    "llmctl",
    "launchVersion",
    "drafting",
    "tokensPerSecond",
    "baselineTokensPerSecond",
    "traffic",
    "draftingSpeedup",
    "loadMs",
    "load",
    "runs",
    "restarts",
    "restartsByCause",
    "startedAt",
    "lastExit",
    "waitingFor",
    "retryInMs",
    "build",
    "command",
    "profile",
    "dependsOn",
    "hash",
    "log",
    "warnings",
  ];

  test("ps --json and status --json have the documented keys, running or not", async () => {
    await home.writeFakeProfile("p");
    await upDetached(home, "p");
    const running = await listJson(["ps", "--json"]);
    expect(running.map((entry) => Object.keys(entry))).toEqual([keys]);
    expect(Object.keys(await readStatus(home, "p"))).toEqual(keys);
    expect(running[0]).toMatchObject({
      presence: "live",
      version: 1,
      name: "p",
      state: "ready",
      drafting: { state: "on", draftTokens: 64, acceptedTokens: 48 },
      tokensPerSecond: 1000,
      baselineTokensPerSecond: null,
      draftingSpeedup: null,
      runs: 1,
      restarts: 0,
      lastExit: null,
      load: null,
      retryInMs: null,
      profile: home.join("config", "profiles", "p.yaml"),
      log: home.join("state", "p", "server.log"),
      warnings: [],
    });
    await llmctl(["down", "p"], { home });
    expect(await listJson(["ps", "--json"])).toEqual([]);
    expect((await listJson(["ps", "--all", "--json"])).map((entry) => Object.keys(entry))).toEqual([keys]);
    expect(Object.keys(await readStatus(home, "p"))).toEqual(keys);
  });

  async function listJson(args: readonly string[]): Promise<readonly Listed[]> {
    return JSON.parse((await llmctl(args, { home })).stdout) as readonly Listed[];
  }

  test("status ends with 0 while the profile runs and with 3 when it does not", async () => {
    await home.writeFakeProfile("p");
    await upDetached(home, "p");
    expect((await llmctl(["status", "p"], { home })).exitCode).toBe(0);
    await llmctl(["down", "p"], { home });
    expect((await llmctl(["status", "p"], { home })).exitCode).toBe(3);
  });
});
