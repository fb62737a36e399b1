import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import type { Launch } from "../../../../src/supervisor/launch.ts";
import { endOrphan, findAdoptable, findOrphan } from "../../../../src/supervisor/state/orphan.ts";
import type { ProcessIdentity } from "../../../../src/supervisor/state/process-identity.ts";
import { type StateRecord, writeState } from "../../../../src/supervisor/state/state-file.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { FakeFlock } from "../../../support/fake-flock.ts";
import { FakeForeignProcesses } from "../../../support/fake-foreign-processes.ts";
import { makeLaunch } from "../../../support/make-launch.ts";
import { makeStatus } from "../../../support/make-status.ts";

let state: string;
let lockPath: string;
let clock: FakeClock;
let processes: FakeForeignProcesses;
let locks: FakeFlock;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "llmctl-orphan-"));
  mkdirSync(join(state, "p"), { mode: 0o700 });
  lockPath = join(state, "p", "server.lock");
  clock = new FakeClock();
  processes = new FakeForeignProcesses(clock);
  locks = new FakeFlock();
});
afterEach(() => rmSync(state, { recursive: true }));

const supervisor: ProcessIdentity = { pid: 41, startTime: "100", bootId: "b" };
const server: ProcessIdentity = { pid: 42, startTime: "101", bootId: "b" };
const other: ProcessIdentity = { pid: 43, startTime: "102", bootId: "b" };
const words = ["node", "server", "--port", "0"];

const lookup = () => ({ clock, processes, flock: locks.flock });
const find = () => findOrphan({ runtime: state, state }, "p", lookup());
const adopt = (launch: Partial<Launch> = {}) =>
  findAdoptable(
    { runtime: state, state },
    makeLaunch({ orphan: "keep", hash: "h", args: words.slice(2), ...launch }),
    lookup(),
  );

/** The lock's file as a supervisor leaves it. */
function noteInLock(identity: ProcessIdentity, more: Readonly<Record<string, unknown>> = {}): void {
  const record = { holder: supervisor, profile: "p", server: { identity, hash: "h", stopTimeoutMs: 700 }, ...more };
  writeFileSync(lockPath, JSON.stringify(record));
}

/** The state file as a supervisor leaves it. */
function noteInState(more: Partial<StateRecord> = {}): Promise<void> {
  return writeState(state, {
    status: makeStatus({ hash: "h", pid: 42 }),
    supervisor,
    server,
    stopTimeoutMs: 900,
    ...more,
  });
}

type Behaves = Partial<Parameters<FakeForeignProcesses["add"]>[0]>;
const runs = (more: Behaves = {}) => processes.add({ identity: server, words, port: 8111, lockPath, ...more });

describe("a server without a supervisor", () => {
  test("is told by lock and state file, with the port that the system knows", async () => {
    runs();
    noteInLock(server);
    await noteInState();
    expect(await find()).toEqual({
      identity: server,
      stopTimeoutMs: 900,
      hash: "h",
      isDisputed: false,
      status: makeStatus({ hash: "h", pid: 42, url: "http://127.0.0.1:8111" }),
    });
  });

  test("is told by its lock alone, without a status", async () => {
    runs();
    noteInLock(server);
    expect(await find()).toEqual({
      identity: server,
      stopTimeoutMs: 700,
      hash: "h",
      isDisputed: false,
      status: undefined,
    });
  });

  test("is told by the state file alone, as an older version leaves it", async () => {
    runs();
    writeFileSync(lockPath, "");
    const { stopTimeoutMs: _, ...older } = { status: makeStatus({ hash: "s" }), supervisor, server, stopTimeoutMs: 1 };
    await writeState(state, older);
    expect(await find()).toMatchObject({ identity: server, stopTimeoutMs: undefined, hash: "s", isDisputed: false });
  });

  test("is told by the kernel where both files are lost", async () => {
    runs();
    const end = locks.hold(lockPath);
    expect(await find()).toEqual({
      identity: server,
      stopTimeoutMs: undefined,
      hash: undefined,
      isDisputed: false,
      status: undefined,
    });
    end();
  });

  test.each<[string, Partial<StateRecord>, string | null]>([
    [
      "has the address of the state file while its port is not visible",
      { status: makeStatus() },
      "http://127.0.0.1:8080",
    ],
    ["has no address where the state file has none", { status: makeStatus({ url: null }) }, null],
  ])("%s", async (_, record, url) => {
    runs();
    const { port: __, ...hidden } = { identity: server, words, port: 1, lockPath };
    processes.add(hidden);
    await noteInState(record);
    expect((await find())?.status).toMatchObject({ url, pid: 42 });
  });

  test.each([
    ["http://[::1]:8080", "http://[::1]:8111"],
    ["unix:///run/a:1/p.sock", "unix:///run/a:1/p.sock"],
  ])("keeps the host of its address %s", async (url, now) => {
    runs();
    await noteInState({ status: makeStatus({ url }) });
    expect((await find())?.status?.url).toBe(now);
  });

  test("without an address gets none from the port", async () => {
    runs();
    await noteInState({ status: makeStatus({ url: null }) });
    expect((await find())?.status?.url).toBeNull();
  });

  test.each<[string, () => void]>([
    ["that has ended", () => processes.end(42)],
    ["whose pid another process has now", () => runs({ identity: { ...server, startTime: "999" } })],
    ["of another user", () => runs({ isOwn: false })],
    ["that does not hold the lock", () => runs({ lockPath: "/elsewhere" })],
    ["that hides its files, while nobody holds the lock", () => runs({ lockPath: undefined })],
  ])("is not a process %s", async (_, change) => {
    runs();
    noteInLock(server);
    await noteInState();
    change();
    expect(await find()).toBeUndefined();
  });

  test("is never process 1", async () => {
    const init = runs({ identity: { ...server, pid: 1 } });
    noteInLock(init);
    await noteInState({ server: init });
    expect(await find()).toBeUndefined();
  });

  test("that hides its files is told by its held lock", async () => {
    runs({ lockPath: undefined });
    noteInLock(server);
    const end = locks.hold(lockPath);
    expect(await find()).toMatchObject({ identity: server });
    end();
  });

  test("is not looked for after the lock's release, nor while nobody holds the lock", async () => {
    runs();
    writeFileSync(lockPath, JSON.stringify({ released: true }));
    const end = locks.hold(lockPath);
    expect(await find()).toBeUndefined();
    end();
    writeFileSync(lockPath, "");
    expect(await find()).toBeUndefined();
  });

  test("is the one of the lock where the state file names a process that is none", async () => {
    runs();
    noteInLock(server);
    await noteInState({ server: other });
    expect(await find()).toMatchObject({ identity: server, isDisputed: false });
  });

  test("is the one of the state file where the lock names a process that is none", async () => {
    runs();
    noteInLock(other);
    await noteInState();
    expect(await find()).toMatchObject({ identity: server, isDisputed: false });
  });

  test("is disputed while lock and state file name two processes that run", async () => {
    runs();
    processes.add({ identity: other });
    noteInLock(server);
    await noteInState({ server: other });
    expect(await find()).toMatchObject({ identity: server, isDisputed: true });
  });
});

describe("a start with orphan: keep", () => {
  test("adopts the server that runs its very launch", async () => {
    runs();
    noteInLock(server);
    await noteInState();
    expect(await adopt()).toEqual({ identity: server, endpoint: { host: "127.0.0.1", port: 8111 } });
    expect(processes.signals).toEqual([]);
  });

  test("adopts nothing where no server runs", async () => {
    noteInLock(server);
    expect(await adopt()).toBeUndefined();
  });

  test.each<[string, string | null, unknown]>([
    ["an IPv6 address, without brackets", "http://[::1]:8080", { host: "::1", port: 8111 }],
    ["a socket", "unix:///run/p.sock", { socketPath: "/run/p.sock" }],
    ["no address: the system's port", null, { host: "127.0.0.1", port: 8111 }],
  ])("takes the address of the status: %s", async (_, url, endpoint) => {
    runs();
    noteInLock(server);
    await noteInState({ status: makeStatus({ url, hash: "h" }) });
    expect((await adopt())?.endpoint).toEqual(endpoint);
  });

  test("takes the launch's address where the state file is lost", async () => {
    runs();
    noteInLock(server);
    expect((await adopt({ host: "::1" }))?.endpoint).toEqual({ host: "::1", port: 8111 });
    expect((await adopt({ socketPath: "/run/p.sock" }))?.endpoint).toEqual({ socketPath: "/run/p.sock" });
  });

  test("knows no address of a server that does not listen yet", async () => {
    processes.add({ identity: server, words, lockPath });
    noteInLock(server);
    expect(await adopt()).toEqual({ identity: server, endpoint: undefined });
  });

  const differs = (at: string) =>
    new LlmctlError(
      "orphan-differs",
      'a server of "p" still runs, without a supervisor and with another configuration',
      { exit: "busy", at, fix: { before: "stop it first:", run: ["down", "p"] } },
    );

  test.each<[string, Readonly<Record<string, unknown>>, Partial<Launch>]>([
    ["another hash, as by another env, health or stop", {}, { hash: "other" }],
    ["a hash that nobody knows", { server: undefined }, {}],
    ["other arguments", {}, { args: ["--port", "1"] }],
  ])("refuses %s, and signals nobody", async (_, note, launch) => {
    runs();
    noteInLock(server, note);
    const end = locks.hold(lockPath);
    await expect(adopt(launch)).rejects.toEqual(differs("pid 42"));
    expect(processes.signals).toEqual([]);
    end();
  });

  test("refuses to choose between two servers, and names the profile of the old one", async () => {
    runs();
    processes.add({ identity: other });
    noteInLock(server);
    await noteInState({ server: other });
    await expect(adopt()).rejects.toEqual(differs("pid 42, /p.yaml"));
    expect(processes.signals).toEqual([]);
  });
});

describe("a start without it", () => {
  test("ends the server in its own time, and returns only when it is gone", async () => {
    runs({ stopMs: 600 });
    noteInLock(server);
    expect(await clock.until(adopt({ orphan: "kill", hash: "other" }))).toBeUndefined();
    expect(processes.signals).toEqual(["0 ms: SIGTERM of 42"]);
    expect(processes.isRunning(server)).toBe(false);
  });
});

describe("the end of a server without a supervisor", () => {
  /** @returns how long it took. */
  async function end(options: { readonly stopTimeoutMs?: number; readonly now?: boolean } = {}): Promise<number> {
    const { now = false, ...known } = options;
    const startMs = clock.nowMs();
    await clock.until(endOrphan({ identity: server, stopTimeoutMs: undefined, ...known }, "p", { ...lookup(), now }));
    return clock.nowMs() - startMs;
  }

  test.each<[string, Behaves, Parameters<typeof end>[0], string[], number]>([
    ["comes by SIGTERM", { stopMs: 390 }, { stopTimeoutMs: 400 }, ["0 ms: SIGTERM of 42"], 400],
    [
      "comes by SIGKILL after its time to stop, and is waited for",
      { killMs: 29_990 },
      { stopTimeoutMs: 400 },
      ["0 ms: SIGTERM of 42", "400 ms: SIGKILL to the group of 42"],
      30_400,
    ],
    [
      "has 5 s where its time to stop is not known",
      { killMs: 0 },
      {},
      ["0 ms: SIGTERM of 42", "5000 ms: SIGKILL to the group of 42"],
      5020,
    ],
    [
      "comes by SIGKILL at once on request, and is waited for",
      { stopMs: 1, killMs: 90 },
      { now: true },
      ["0 ms: SIGKILL to the group of 42"],
      100,
    ],
  ])("%s", async (_, how, options, signals, tookMs) => {
    runs(how);
    expect(await end(options)).toBe(tookMs);
    expect(processes.signals).toEqual(signals);
  });

  test("of one that has just ended needs no second signal", async () => {
    expect(await end()).toBe(0);
    expect(processes.signals).toEqual(["0 ms: SIGTERM of 42"]);
  });

  test("is not awaited for ever", async () => {
    processes.add({ identity: server });
    const startMs = clock.nowMs();
    const ending = endOrphan({ identity: server, stopTimeoutMs: 400 }, "p", lookup());
    await expect(clock.until(ending)).rejects.toEqual(
      new LlmctlError("orphan-stuck", 'an old server of "p" (pid 42) is still there after SIGKILL', {
        exit: "busy",
        fix: "it waits for a driver or a disk; only a reboot ends such a process",
      }),
    );
    expect(clock.nowMs() - startMs).toBe(30_400);
  });
});
