import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BenchServer, type BenchServerOptions } from "../../../../src/bench/servers/bench-server.ts";
import type { Launch } from "../../../../src/supervisor/launch.ts";
import { AnsweringServer } from "../../../support/answering-server.ts";
import { FakeSystem } from "../../../support/fake-system.ts";
import { makeLaunch } from "../../../support/make-launch.ts";

let folder: string;
let http: AnsweringServer;
let system: FakeSystem;
let told: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-bench-"));
  http = await AnsweringServer.listen();
  http.answer = (response) => void response.end("{}");
  told = [];
  system = new FakeSystem((text) => told.push(text));
});
afterEach(async () => {
  await http[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function start(more: Partial<BenchServerOptions> = {}, launch: Partial<Launch> = {}): Promise<BenchServer> {
  const { signal } = new AbortController();
  const { port } = http.endpoint;
  return system.clock.until(BenchServer.start(makeLaunch({ port, ...launch }), { folder, signal, system, ...more }));
}

const signals = () => told.filter((text) => text.startsWith("SIG"));

test("a server is ready when it answers, and its log is private", async () => {
  const server = await start();
  expect(server.endpoint).toEqual(http.endpoint);
  expect(server.hasDied()).toBe(false);
  expect(server.loadMs).toBeGreaterThanOrEqual(0);
  expect(statSync(dirname(server.logPath)).mode & 0o777).toBe(0o700);
  expect(dirname(dirname(server.logPath))).toBe(folder);
  await system.clock.until(server.stop());
});

test("a stop ends the process, removes its log, and is done once", async () => {
  const server = await start();
  await system.clock.until(Promise.all([server.stop(), server.stop(), server[Symbol.asyncDispose]()]));
  expect(signals()).toEqual([`SIGTERM ${server.pid}`, `SIGCONT ${server.pid}`]);
  expect(system.processes.pids).toEqual([]);
  expect(readdirSync(folder)).toEqual([]);
  expect(await server.exited).toBeUndefined();
  expect(server.hasDied()).toBe(false);
});

test("a server that ignores SIGTERM is killed with its children after five seconds", async () => {
  system.processes.behaviours = [{ termMs: [], children: ["group"] }];
  const server = await start();
  const stoppedMs = system.clock.nowMs();
  await system.clock.until(server.stop());
  expect(system.clock.nowMs() - stoppedMs).toBe(5000);
  expect(system.processes.pids).toEqual([]);
});

test("a server that does not even die is an error after a minute", async () => {
  system.processes.behaviours = [{ termMs: [], killMs: 3_600_000 }];
  const server = await start();
  await expect(system.clock.until(server.stop())).rejects.toMatchObject({
    code: "bench-server-stuck",
    message: `process ${server.pid} does not end although it was killed`,
  });
  await system.clock.advance(3_600_000);
});

describe("the death of a server", () => {
  test("while it loads is explained, and its log stays", async () => {
    system.processes.behaviours = [{ ends: { code: 1, signal: null, afterMs: 500 } }];
    http.answer = (response) => void response.writeHead(503).end();
    const at = expect.stringMatching(/server-\w+\/server\.log$/) as string;
    const fix = "the end of its log says more";
    await expect(start()).rejects.toMatchObject({
      code: "bench-server-died",
      message: "the server exited with code 1",
      exit: "diedBeforeReady",
      problems: [{ at, fix }],
    });
    expect(readdirSync(folder)).toHaveLength(1);
  });

  test("while it serves is told, its children are killed, and a stop has nothing to do", async () => {
    system.processes.behaviours = [{ children: ["group"] }];
    const server = await start();
    system.append(server.logPath, "llama_kv_cache: failed to allocate buffer for kv cache\n");
    expect(await system.clock.until(server.findDeath())).toBeUndefined();
    system.processes.end(server.pid, { code: 1, signal: null });
    const death = await server.findDeath();
    expect(death).toMatchObject({ code: "bench-server-died", at: server.logPath });
    expect(death?.message).toBe("the machine has too little memory");
    expect(await server.exited).toBe(death);
    expect(server.hasDied()).toBe(true);
    await system.clock.advance(0);
    expect(system.processes.pids).toEqual([]);
    await server.stop();
    expect(signals()).toEqual([`SIGKILL -${server.pid}`]);
    expect(existsSync(server.logPath)).toBe(true);
  });

  test("by the kernel for lack of memory is told apart", async () => {
    const server = await start();
    system.processes.oomKills = 1;
    system.processes.end(server.pid, { code: null, signal: "SIGKILL" });
    expect(await server.exited).toMatchObject({
      message: "the kernel killed the server because the memory ran out",
    });
    await server.stop();
  });
});

test("a load without a sign of life ends by the launch's own rule", async () => {
  http.answer = (response) => void response.writeHead(503).end();
  await expect(start()).rejects.toMatchObject({
    code: "bench-server-died",
    message: "the load showed no sign of life (log, CPU, I/O) for 60 s",
    exit: "notReadyInTime",
  });
  expect(system.processes.pids).toEqual([]);
  expect(readdirSync(folder)).toHaveLength(1);
});

describe("an abort", () => {
  test("while it loads ends the server and removes its log", async () => {
    const controller = new AbortController();
    http.answer = (response) => {
      response.writeHead(503).end();
      controller.abort(new Error("Ctrl-C"));
    };
    await expect(start({ signal: controller.signal })).rejects.toThrow("Ctrl-C");
    expect(system.processes.pids).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("before it starts none", async () => {
    await expect(start({ signal: AbortSignal.abort(new Error("Ctrl-C")) })).rejects.toThrow("Ctrl-C");
    expect(told).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });
});

test("a program that cannot be started leaves nothing", async () => {
  system.processes.behaviours = [{ refused: "ENOENT" }];
  await expect(start()).rejects.toMatchObject({
    code: "bench-server-died",
    message: "cannot start /bin/server: spawn ENOENT",
    exit: "missingFile",
    at: "/bin/server",
  });
  expect(readdirSync(folder)).toEqual([]);
});

test("a folder that others can write is closed to them", async () => {
  chmodSync(folder, 0o777);
  await start().then((server) => system.clock.until(server.stop()));
  expect(statSync(folder).mode & 0o777).toBe(0o700);
});

test("logs of a week ago are removed, and nothing else is", async () => {
  const days = 24 * 3600;
  for (const [name, ageDays] of [
    ["server-old", 7.1],
    ["server-new", 6.9],
    ["other", 8],
  ] as const) {
    mkdirSync(join(folder, name));
    utimesSync(join(folder, name), Date.now() / 1000, Date.now() / 1000 - ageDays * days);
  }
  const server = await start();
  await system.clock.until(server.stop());
  expect(readdirSync(folder).toSorted()).toEqual(["other", "server-new"]);
});
