import { describe, expect, test, vi } from "vitest";
import { makeLaunch, crashed, notThere } from "../../support/make-launch.ts";
import { goodProof } from "../../support/fake-system.ts";
import { Supervised } from "../../support/supervised.ts";

const base = makeLaunch();
const withoutProof = { proof: { wanted: false, reason: "no draft" } } as const;
const never = { ...withoutProof, restart: { ...base.restart, policy: "never" } } as const;

test("a server is spawned, recorded, watched, proved, and only then ready", async () => {
  await using one = new Supervised({}, { lockServer: async () => (one.tell("lock"), 7) });
  await one.ready();
  expect(one.since()).toEqual([
    "0 preflight",
    "0 starting",
    "0 lock",
    "0 spawn 101",
    "1 record 101",
    "1 watch server.log",
    "1 loading",
    "2 server is up on http://127.0.0.1:8001 after 2 ms, asking it to draft",
    "2 asks for a proof",
    "2 ready on http://127.0.0.1:8001 in 2 ms · drafting on, 71 of 92 tokens accepted",
  ]);
  expect(one.supervisor.status()).toMatchObject({
    state: "ready",
    pid: 101,
    loadMs: 2,
    runs: 1,
    restarts: 0,
    restartsByCause: {},
    lastExit: null,
    tokensPerSecond: 40,
    baselineTokensPerSecond: 20,
    warnings: [],
  });
  expect(one.supervisor.server).toEqual({ pid: 101, startTime: "101", bootId: "boot" });
});

describe("a stop", () => {
  test("waits until no request runs, then sends one SIGTERM", async () => {
    await using one = new Supervised(withoutProof);
    await one.ready();
    one.answers.busy = 1;
    one.since();
    one.supervisor.down("you");
    await one.clock.advance(150);
    one.answers.busy = 0;
    await one.clock.advance(10_000);
    expect(one.since()).toEqual([
      "2 stopping, asked for by you",
      "2 SIGCONT 101",
      "2 waiting for running requests to end, at most 7.0 s",
      "202 SIGTERM 101",
      "202 SIGCONT 101",
      "202 SIGKILL -101", // what it has left behind
      "202 stopped, asked for by you",
    ]);
    expect(one.exit).toBe("done");
    expect(one.supervisor.status()).toMatchObject({ state: "stopped", pid: null, lastExit: null, restarts: 0 });
    expect(one.system.watchers).toBe(0);
    expect(one.clock.pending).toBe(0);
  });

  test("hurries with a second SIGTERM, then kills, and says when not even that helps", async () => {
    await using one = new Supervised({ ...withoutProof, stopTimeoutMs: 7000 });
    one.processes.behaviours = [{ termMs: [Infinity, Infinity], killMs: 40_000 }];
    await one.ready();
    one.answers.busy = 1;
    one.since();
    one.supervisor.down("you");
    await one.clock.advance(120_000);
    expect(one.since()).toEqual([
      "2 stopping, asked for by you",
      "2 SIGCONT 101",
      "2 waiting for running requests to end, at most 7.0 s",
      "7002 SIGTERM 101",
      "7002 SIGCONT 101",
      "7252 SIGTERM 101",
      "7252 SIGCONT 101",
      "9252 killing the server, asked for by you",
      "9252 SIGKILL -101",
      "39252 stuck: pid 101 is still there after SIGKILL; nothing is started until it is gone",
      "49252 SIGKILL -101",
      "49252 stopped, asked for by you",
    ]);
    expect(one.exit).toBe("done");
  });

  test("kills the descendants of a server that must be killed, and what it leaves behind when it ends", async () => {
    await using one = new Supervised(never);
    one.processes.behaviours = [{ children: ["group", "session"] }];
    await one.ready();
    one.supervisor.forceDown("you");
    expect(one.processes.pids).toEqual([101, 102, 103]);
    await one.clock.advance(100);
    expect(one.processes.pids).toEqual([]);
    expect(one.since().slice(-6)).toEqual([
      "2 killing the server, asked for by you",
      "2 SIGKILL 102",
      "2 SIGKILL 103",
      "2 SIGKILL -101",
      "2 SIGKILL -101",
      "2 stopped, asked for by you",
    ]);
  });

  test("reaches a server that was itself stopped", async () => {
    await using one = new Supervised(withoutProof);
    const pid = await one.ready();
    one.processes.find(pid).isStopped = true;
    one.supervisor.down("you");
    await one.reach("stopped");
    expect(one.processes.pids).toEqual([]);
  });

  test.each([
    ["down", ["SIGTERM 101", "SIGCONT 101"]],
    ["forceDown", ["SIGKILL -101"]],
  ] as const)("%s that comes while the process is being made is not lost", async (how, signals) => {
    await using one = new Supervised({}, { lockServer: () => one.clock.sleep(100).then(() => 7) });
    one.supervisor.up();
    await one.clock.advance(10);
    one.supervisor[how]("you");
    await one.clock.advance(89);
    expect(one.processes.spawned).toEqual([]);
    await one.clock.advance(11);
    const sent = one.since().filter((line) => / SIG(?:TERM|CONT) | SIGKILL -/.test(line));
    expect(sent).toEqual([...signals.map((line) => `101 ${line}`), "101 SIGKILL -101"]);
    expect(one.exit).toBe("done");
    expect(one.processes.pids).toEqual([]);
  });

  test.each(["preflight", "backoff"])("in %s starts nothing, and cancels what was to come", async (state) => {
    await using one = new Supervised(withoutProof, {
      preflight: () => (state === "backoff" ? Promise.resolve(crashed) : one.clock.sleep(1000).then(() => undefined)),
    });
    one.supervisor.up();
    await one.reach(state);
    one.supervisor.down("you");
    await one.clock.advance(60_000);
    expect(one.exit).toBe("done");
    expect(one.processes.spawned).toEqual([]);
    expect(one.clock.pending).toBe(0);
  });

  test("gives up the proof request, for which the server would wait", async () => {
    await using one = new Supervised();
    one.answers.proof = "never";
    one.supervisor.up();
    await one.reach("proving");
    one.since();
    one.supervisor.down("you");
    await one.clock.advance(100);
    expect(one.since()).toEqual([
      "2 stopping, asked for by you",
      "2 SIGTERM 101",
      "2 SIGCONT 101",
      "2 gives up asking for a proof",
      "2 SIGKILL -101",
      "2 stopped, asked for by you",
    ]);
  });

  test("answers each of its callers at the end", async () => {
    await using one = new Supervised(withoutProof);
    one.processes.behaviours = [{ termMs: [300] }];
    await one.ready();
    const answers = [one.supervisor.stop("you", false), one.supervisor.stop("systemd", false)];
    expect(await one.clock.until(Promise.all(answers))).toEqual([undefined, undefined]);
    expect(await one.supervisor.stop("late", false)).toBeUndefined();
  });

  test("by force kills at once", async () => {
    await using one = new Supervised(withoutProof);
    one.processes.behaviours = [{ termMs: [Infinity] }];
    await one.ready();
    one.answers.busy = 1;
    const startMs = one.clock.nowMs();
    expect(await one.clock.until(one.supervisor.stop("you", true))).toBeUndefined();
    expect(one.clock.nowMs() - startMs).toBe(0);
  });

  test("that a restart overrules says who asked for that, to each of its callers", async () => {
    await using one = new Supervised(withoutProof);
    one.processes.behaviours = [{ termMs: [300] }, {}];
    await one.ready();
    const answers = Promise.all([one.supervisor.stop("you", false), one.supervisor.stop("systemd", false)]);
    one.since();
    one.supervisor.restart(undefined, "Kim");
    expect(await answers).toEqual(["Kim", "Kim"]);
    expect(one.since()).toContain("2 Kim asked for a restart, which comes after this");
    await one.reach("ready");
    expect(one.pid).toBe(102);
    expect(one.supervisor.status()).toMatchObject({ runs: 2, restarts: 0, lastExit: null });
    // Its waiting is over: the next restart is not told to it, and a later stop ends all the same.
    one.supervisor.down("you");
    await one.reach("stopped");
  });
});

describe("a restart", () => {
  test("takes up a new launch when it starts the next server, and not before", async () => {
    await using one = new Supervised({ ...withoutProof, hash: "old" });
    one.processes.behaviours = [{ termMs: [300] }, {}];
    await one.ready();
    const launch = { ...makeLaunch({ port: 8002, ...withoutProof }), file: "/bin/new", hash: "new", stopTimeoutMs: 1 };
    one.supervisor.restart(launch, "you");
    await one.clock.advance(100);
    expect(one.supervisor.status()).toMatchObject({ state: "stopping", hash: "old" });
    expect(one.supervisor.stopTimeoutMs).toBe(7000);
    await one.reach("ready");
    expect(one.processes.spawned.map(({ command }) => command.includes("/bin/new"))).toEqual([false, true]);
    expect(one.supervisor.status()).toMatchObject({ hash: "new", url: "http://127.0.0.1:8002", runs: 2, restarts: 0 });
    expect(one.supervisor.stopTimeoutMs).toBe(1);
    expect(one.supervisor.healthIntervalMs).toBe(launch.health.intervalMs);
  });

  test("leaves no deadline of the stop behind", async () => {
    await using one = new Supervised({ ...withoutProof, stopTimeoutMs: 7000 });
    one.processes.behaviours = [{}, { termMs: [Infinity, Infinity] }];
    await one.ready();
    one.supervisor.restart(undefined, "you");
    await one.reachNext("ready");
    await one.clock.advance(6000);
    one.answers.busy = 1;
    one.since();
    one.supervisor.down("you");
    await one.clock.advance(6999);
    // The first stop's deadline would have come after a second of the second stop.
    expect(one.since().filter((line) => line.includes("SIGTERM"))).toEqual([]);
    await one.clock.advance(1);
    expect(one.since().filter((line) => line.includes("SIGTERM"))).toHaveLength(1);
  });

  test("in a backoff starts at once, and the backoff does not start another server later", async () => {
    await using one = new Supervised({ ...withoutProof, restart: { ...base.restart, backoffMs: 10_000 } });
    one.processes.behaviours = [{ ends: { afterMs: 100, code: 1, signal: null } }, {}];
    one.supervisor.up();
    await one.reach("backoff");
    one.supervisor.restart(undefined, "you");
    await one.reach("ready");
    const { pid } = one;
    await one.clock.advance(60_000);
    expect(one.pid).toBe(pid);
    expect(one.supervisor.status()).toMatchObject({ state: "ready", runs: 2, restarts: 0 });
  });
});

test("a supervision that has ended takes no request, and refuses a restart", async () => {
  await using one = new Supervised(withoutProof);
  await one.ready();
  one.supervisor.down("you");
  await one.reach("stopped");
  const last = one.supervisor.lastEvent;
  one.since();
  expect(() => one.supervisor.restart(undefined, "you")).toThrow(
    expect.objectContaining({
      code: "stopping",
      message: '"p" has just been stopped',
      exit: "notRunning",
      fix: { before: "start it:", run: ["up", "p"] },
    }),
  );
  one.supervisor.up();
  one.supervisor.down("late");
  one.supervisor.forceDown("late");
  await one.clock.advance(60_000);
  expect(one.since()).toEqual([]);
  expect(one.supervisor.lastEvent).toBe(last);
  expect(last.end).toEqual({ exit: "done", code: 0 });
  one.supervisor.warn("the disk is full");
  expect(one.supervisor.lastEvent).toBe(last);
  expect(one.events.at(-1)?.message).toBe("the disk is full");
});

describe("the exit code of a server that ends by itself and is not started again", () => {
  test.each([
    ["loading", "diedBeforeReady"],
    ["proving", "diedBeforeReady"],
    ["ready", "failed"],
    ["unhealthy", "failed"],
  ] as const)("while %s: %s", async (state, exit) => {
    await using one = new Supervised({ ...never, proof: base.proof });
    one.answers.health = state === "loading" ? "loading" : "ready";
    one.answers.proof = state === "proving" ? "never" : goodProof;
    one.supervisor.up();
    await one.reach(state === "unhealthy" ? "ready" : state);
    one.answers.health = state === "unhealthy" ? "silent" : one.answers.health;
    await one.reach(state);
    one.processes.end(one.pid, { code: null, signal: "SIGKILL" });
    await one.clock.advance(5000);
    expect(one.exit).toBe(exit);
    expect(one.supervisor.status()).toMatchObject({ state: "failed", pid: null, lastExit: { kind: "killed" } });
    expect(one.supervisor.lastEvent.end?.exit).toBe(exit);
  });

  test("killed for lack of memory, it says so", async () => {
    await using one = new Supervised(never);
    one.processes.oomKills = 3;
    await one.ready();
    one.processes.oomKills = 4;
    one.processes.end(one.pid, { code: null, signal: "SIGKILL" });
    await one.reach("failed");
    expect(one.supervisor.status().lastExit?.kind).toBe("host-out-of-memory");
  });

  test.each([undefined, 3])(
    "killed by somebody, it is not said to lack memory (kills counted so far: %s)",
    async (n) => {
      await using one = new Supervised(never);
      one.processes.oomKills = n;
      await one.ready();
      one.processes.end(one.pid, { code: null, signal: "SIGKILL" });
      await one.reach("failed");
      expect(one.supervisor.status().lastExit?.kind).toBe("killed");
    },
  );

  test("its last words explain it", async () => {
    await using one = new Supervised(never);
    await one.ready();
    one.system.append(one.logPath, "error: invalid argument: --spam\n");
    one.processes.end(one.pid, { code: 1, signal: null });
    await one.reach("failed");
    expect(one.supervisor.status().lastExit).toMatchObject({ kind: "bad-flag" });
    expect(one.exit).toBe("config");
  });
});

describe("a failed proof", () => {
  const failed = new Error("500");

  test("leaves a server as it is where the launch says so", async () => {
    await using one = new Supervised();
    one.answers.proof = failed;
    const pid = await one.ready();
    expect(one.supervisor.status()).toMatchObject({
      pid,
      drafting: { state: "off", reason: "the proof request failed: 500" },
    });
  });

  test("ends a server that ignores SIGTERM, and the supervision with its cause", async () => {
    await using one = new Supervised({ proof: { wanted: true, onFailure: "fail" }, stopTimeoutMs: 100 });
    one.processes.behaviours = [{ termMs: [Infinity, Infinity] }];
    one.answers.proof = failed;
    one.supervisor.up();
    await one.reach("failed");
    expect(one.exit).toBe("config");
    expect(one.supervisor.status()).toMatchObject({ restarts: 0, runs: 1 });
    expect(one.processes.pids).toEqual([]);
  });
});

describe("restarts", () => {
  const dies = (afterMs: number) => ({ ends: { afterMs, code: 1, signal: null } });

  test("are counted by cause; the first start and a restart that was asked for are not", async () => {
    await using one = new Supervised(withoutProof);
    one.processes.behaviours = [dies(100), dies(100), {}];
    await one.ready();
    await one.reachNext("ready");
    await one.reachNext("ready");
    expect(one.supervisor.status()).toMatchObject({ runs: 3, restarts: 2, restartsByCause: { exited: 2 } });
    one.processes.end(one.pid, { code: null, signal: "SIGSEGV" });
    await one.reach("backoff");
    await one.reach("ready");
    one.supervisor.restart(undefined, "you");
    await one.reachNext("ready");
    expect(one.supervisor.status()).toMatchObject({
      runs: 5,
      restarts: 3,
      restartsByCause: { exited: 2, crashed: 1 },
      lastExit: { kind: "crashed" },
    });
  });

  test("wait longer each time, until there are too many", async () => {
    await using one = new Supervised({ ...withoutProof, restart: { ...base.restart, maxFailures: 4 } });
    one.processes.behaviours = [dies(100)];
    one.supervisor.up();
    await one.reach("failed");
    const waits = one.events.filter(({ status }) => status.state === "backoff").map(({ status }) => status.retryInMs);
    expect(waits).toEqual([1000, 2000, 4000]);
    expect(one.exit).toBe("crashLoop");
    expect(one.supervisor.status().lastExit).toMatchObject({ kind: "crash-loop" });
  });

  test("come after a backoff that counts from the server's end: the work after it delays nothing", async () => {
    await using one = new Supervised({ ...withoutProof, socketPath: "/run/p.sock" });
    const removing = vi.spyOn(one.system, "removeStaleSocket");
    one.processes.behaviours = [dies(1000), {}];
    one.supervisor.up();
    await one.clock.advance(900);
    removing.mockImplementation(() => one.clock.sleep(400));
    await one.clock.advance(505); // in backoff from 1400 on
    expect(one.state).toBe("backoff");
    removing.mockImplementation(async () => undefined);
    expect(one.events.at(-1)?.status.retryInMs).toBe(600);
    await one.clock.advance(594);
    expect(one.processes.spawned).toHaveLength(1);
    await one.clock.advance(1);
    expect(one.processes.spawned).toHaveLength(2);
  });

  test("are not delayed at all when the work took longer than the backoff", async () => {
    await using one = new Supervised({ ...withoutProof, socketPath: "/run/p.sock" });
    one.processes.behaviours = [dies(1000), {}];
    one.supervisor.up();
    await one.clock.advance(900);
    const removing = vi.spyOn(one.system, "removeStaleSocket").mockImplementation(() => one.clock.sleep(3000));
    await one.clock.advance(3050);
    removing.mockImplementation(async () => undefined);
    await one.clock.advance(60);
    expect(one.events.find(({ status }) => status.state === "backoff")?.status.retryInMs).toBe(0);
    expect(one.processes.spawned).toHaveLength(2);
  });

  test("a wait of a failed preflight has its whole time, however long ago the last server ended", async () => {
    const causes = [undefined, crashed];
    await using one = new Supervised(withoutProof, { preflight: async () => causes.shift() });
    one.processes.behaviours = [dies(1000), {}];
    one.supervisor.up();
    await one.reachNext("backoff");
    await one.reachNext("backoff");
    const [, wait] = one.events.filter(({ status }) => status.state === "backoff");
    expect(wait?.status).toMatchObject({ retryInMs: 1000, waitingFor: { kind: "crashed" } });
  });
});

describe("a start that fails", () => {
  test.each([
    ["ends the supervision where somebody watches it", false, "failed", "missingFile"],
    ["is waited for where nobody does", true, "backoff", undefined],
  ] as const)("for a file that may come: %s", async (_, isPatient, state, exit) => {
    await using one = new Supervised({}, { isPatient, preflight: async () => notThere });
    one.supervisor.up();
    await one.clock.advance(3_600_000);
    expect(one.state).toBe(state);
    expect(one.exit).toBe(exit);
    expect(one.processes.spawned).toEqual([]);
  });

  test("after its server was ready is waited for, and then succeeds", async () => {
    let cause: typeof notThere | undefined;
    await using one = new Supervised(withoutProof, { preflight: async () => cause });
    await one.ready();
    cause = notThere;
    one.processes.end(one.pid, { code: 1, signal: null });
    await one.clock.advance(3_600_000);
    expect(one.supervisor.status()).toMatchObject({ state: "backoff", waitingFor: { kind: "model-missing" } });
    cause = undefined;
    await one.reach("ready");
    expect(one.supervisor.status()).toMatchObject({ restarts: 1, restartsByCause: { exited: 1 }, waitingFor: null });
  });

  test.each([
    ["EAGAIN", { state: "backoff", lastExit: { kind: "not-started" } }, undefined],
    ["ENOENT", { state: "failed", lastExit: { kind: "not-started" } }, "missingFile"],
    ["EACCES", { state: "failed", lastExit: { kind: "not-started" } }, "permission"],
  ])("because the system refuses to spawn (%s)", async (refused, status, exit) => {
    await using one = new Supervised(withoutProof);
    one.processes.behaviours = [{ refused }];
    one.supervisor.up();
    await one.clock.advance(100);
    expect(one.supervisor.status()).toMatchObject({ ...status, pid: null, runs: 1 });
    expect(one.exit).toBe(exit);
  });

  test("because its check is broken is tried again", async () => {
    const checks = [async () => Promise.reject(new Error("EMFILE")), async () => undefined];
    await using one = new Supervised(withoutProof, { preflight: async () => checks.shift()?.() ?? undefined });
    await one.ready();
    expect(one.events.map(({ message }) => message)).toContain(
      "cannot prepare the start: Error: EMFILE; next start in 1.0 s",
    );
  });
});

describe("events", () => {
  test("a warning is told once, and there are at most 50", async () => {
    await using one = new Supervised(withoutProof);
    for (let number = 1; number <= 60; number++) {
      one.supervisor.warn(`warning ${number}`);
      one.supervisor.warn("warning 1");
    }
    const all = Array.from({ length: 50 }, (_, index) => `warning ${index + 1}`);
    expect(one.events.map(({ message }) => message)).toEqual(all);
    expect(one.supervisor.status().warnings).toEqual(all);
  });

  test("of the present start are kept for a reader that comes a little later", async () => {
    await using one = new Supervised(withoutProof);
    expect(one.supervisor.eventsOfStart).toEqual([]);
    expect(one.supervisor.lastEvent.message).toBe("not started");
    await one.ready();
    expect(one.supervisor.eventsOfStart.map(({ message }) => message)).toEqual([
      "preflight",
      "starting",
      "loading",
      "ready on http://127.0.0.1:8001 in 2 ms · drafting off: no draft",
    ]);
    for (let number = 1; number <= 30; number++) one.supervisor.warn(`warning ${number}`);
    const kept = one.supervisor.eventsOfStart;
    expect(kept).toHaveLength(21);
    expect(kept.at(-1)?.message).toBe("warning 30");
    expect(kept.at(-2)?.message).toBe("warning 16");
    one.supervisor.restart(undefined, "you");
    await one.reachNext("ready");
    expect(one.supervisor.eventsOfStart.map(({ message }) => message)).toEqual([
      "preflight",
      "starting",
      "loading",
      "ready on http://127.0.0.1:8001 in 2 ms · drafting off: no draft",
    ]);
  });

  test("have the time since the supervisor was made", async () => {
    await using one = new Supervised(withoutProof);
    await one.clock.advance(1234);
    await one.ready();
    expect(one.supervisor.lastEvent).toMatchObject({ elapsedMs: 1236, status: { state: "ready" } });
  });

  test("name who asked only while the request is carried out", async () => {
    await using one = new Supervised(withoutProof);
    await one.ready();
    one.supervisor.restart(undefined, "you");
    await one.reachNext("ready");
    one.processes.behaviours = [{ refused: "EACCES" }];
    one.processes.end(one.pid, { code: 1, signal: null });
    await one.reach("failed");
    expect(one.since().filter((line) => line.includes("you"))).toEqual(["2 stopping for a restart, asked for by you"]);
  });

  test("of progress of a load are told while it loads, and not kept", async () => {
    await using one = new Supervised({ ...withoutProof, files: [{ path: "/m.gguf", sizeBytes: 1000 }] });
    one.answers.health = "loading";
    one.supervisor.up();
    await one.reach("loading");
    one.since();
    one.processes.find(one.pid).taken = { read: 410, fetched: 0, mapped: 0 };
    await one.clock.advance(250);
    expect(one.since()).toContain("251 loading 41 %");
    expect(one.supervisor.status().load).toEqual({ doneBytes: 410, totalBytes: 1000 });
    expect(one.supervisor.lastEvent.message).toBe("loading");
    one.answers.health = "ready";
    await one.reach("ready");
    expect(one.supervisor.status().load).toBeNull();
  });
});
