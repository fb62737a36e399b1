import { appendFileSync, readFileSync, rmSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { systemError } from "../../../support/fake-processes.ts";
import { goodProof } from "../../../support/fake-system.ts";
import { makeLaunch } from "../../../support/make-launch.ts";
import { Supervised } from "../../../support/supervised.ts";

const base = makeLaunch();
const withoutProof = { proof: { wanted: false, reason: "no draft" } } as const;
const never = { ...withoutProof, restart: { ...base.restart, policy: "never" } } as const;

describe("a start", () => {
  test("gives the server the log as output, the lock as third descriptor, and nothing of our environment", async () => {
    await using one = new Supervised({ args: ["--port", "8001"], env: { A: "b" }, cwd: "/tmp", orphan: "keep" });
    await one.ready();
    const [spawned] = one.processes.spawned;
    const fd = expect.any(Number) as number;
    expect(spawned).toEqual({
      command: ["/bin/server", "--port", "8001"],
      options: { cwd: "/tmp", env: { A: "b" }, detached: true, stdio: ["ignore", fd, fd, 7] },
    });
    expect(readFileSync(one.logPath, "utf8")).toMatch(/^--- llmctl: run 1, \S+: \/bin\/server --port 8001\n$/);
  });

  test("records what an adoption needs", async () => {
    const recordServer = vi.fn<(server: unknown) => void>();
    await using one = new Supervised({ ...withoutProof, hash: "h", stopTimeoutMs: 7 }, { recordServer });
    await one.ready();
    const identity = { pid: 101, startTime: "101", bootId: "boot" };
    expect(recordServer.mock.calls).toEqual([[{ identity, hash: "h", stopTimeoutMs: 7 }]]);
  });

  test("that cannot record its server goes on, with a warning", async () => {
    const recordServer = () => {
      throw systemError("ENOSPC", "write");
    };
    await using one = new Supervised(withoutProof, { recordServer });
    await one.ready();
    expect(one.supervisor.status().warnings).toEqual(["cannot record the server in its lock: Error: write ENOSPC"]);
  });

  test("whose process cannot be identified goes on without a record", async () => {
    await using one = new Supervised(withoutProof);
    one.processes.unknowable = "EMFILE";
    await one.ready();
    expect(one.supervisor.server).toBeNull();
    expect(one.since().filter((line) => line.includes("record"))).toEqual([]);
  });

  test("fails for good when another server holds the lock, and spawns nothing", async () => {
    const lockServer = () => Promise.reject(systemError("EWOULDBLOCK", "flock"));
    await using one = new Supervised(withoutProof, { lockServer });
    one.supervisor.up();
    await one.reach("failed");
    expect(one.processes.spawned).toEqual([]);
    expect(one.supervisor.status().lastExit).toMatchObject({
      kind: "not-started",
      message: "cannot start /bin/server: flock EWOULDBLOCK",
    });
  });

  test("on a unix socket removes a stale one before the spawn, and after the server's end", async () => {
    await using one = new Supervised({ ...withoutProof, socketPath: "/run/p.sock" });
    await one.ready();
    one.supervisor.down("you");
    await one.reach("stopped");
    expect(one.since().filter((line) => /stale|spawn|stopped/.test(line))).toEqual([
      "0 remove a stale /run/p.sock",
      "0 spawn 101",
      "2 remove a stale /run/p.sock",
      "2 stopped, asked for by you",
    ]);
    expect(one.supervisor.status().warnings).toEqual([]);
  });

  test("whose stale socket cannot be removed after the server's end only warns", async () => {
    await using one = new Supervised({ ...withoutProof, socketPath: "/run/p.sock" });
    await one.ready();
    vi.spyOn(one.system, "removeStaleSocket").mockRejectedValue(systemError("EACCES", "unlink"));
    one.supervisor.down("you");
    await one.reach("stopped");
    expect(one.supervisor.status().warnings).toEqual([
      "cannot remove the server's socket /run/p.sock: Error: unlink EACCES",
    ]);
  });
});

describe("an orphan", () => {
  /** A supervisor that finds a server which has outlived an earlier one. */
  function adopt(endpoint = true, behaviour = {}): Supervised {
    const identity = { pid: 101, startTime: "101", bootId: "boot" };
    const at = endpoint ? { host: "127.0.0.1", port: 9001 } : undefined;
    const one = new Supervised({ ...withoutProof, port: 0 }, { orphan: { identity, endpoint: at } });
    expect(one.processes.start(behaviour).pid).toBe(101);
    return one;
  }

  test("is taken over: nothing is checked, locked, spawned or recorded, and it is ready when it answers", async () => {
    await using one = adopt();
    expect(one.supervisor.server?.pid).toBe(101);
    await one.ready();
    expect(one.since()).toEqual([
      "0 preflight",
      "0 starting",
      "0 took over the server (pid 101), which had outlived its supervisor",
      "0 watch server.log",
      "0 loading",
      "1 ready on http://127.0.0.1:9001 in 1 ms · drafting off: no draft",
    ]);
    expect(one.supervisor.status()).toMatchObject({ pid: 101, runs: 0, restarts: 0, url: "http://127.0.0.1:9001" });
    expect(one.supervisor.server?.pid).toBe(101);
  });

  test("that still loads tells its address in its log, which is read from the start of its run", async () => {
    await using one = adopt(false);
    appendFileSync(
      one.logPath,
      "main: server is listening on http://127.0.0.1:1111\n--- llmctl: run 1, x: y\n" +
        "main: server is listening on http://127.0.0.1:2222\n",
    );
    await one.ready();
    expect(one.supervisor.status().url).toBe("http://127.0.0.1:2222");
  });

  test("is looked for until it is gone, and then a server of our own is started", async () => {
    await using one = adopt();
    await one.ready();
    one.processes.end(101, { code: 1, signal: null });
    await one.reach("backoff");
    // We are not its parent, so its exit is found by looking, every 50 ms, and its code stays unknown.
    expect(one.since().at(-1)).toMatch(/^50 the server is gone; its exit code is unknown .*; next start in 1\.0 s$/);
    await one.clock.advance(1000);
    expect(one.processes.spawned).toHaveLength(1);
    expect(one.supervisor.status()).toMatchObject({ runs: 1, restarts: 1 });
  });

  test("is not gone while the system cannot tell", async () => {
    await using one = adopt();
    await one.ready();
    one.processes.unknowable = "EMFILE";
    await one.clock.advance(1000);
    expect(one.supervisor.status()).toMatchObject({ state: "ready", pid: 101 });
  });

  test("is stopped like any server", async () => {
    await using one = adopt(true, { termMs: [100] });
    await one.ready();
    one.since();
    one.supervisor.down("you");
    await one.reach("stopped");
    expect(one.since()).toEqual([
      "1 stopping, asked for by you",
      "1 SIGCONT 101",
      "1 SIGTERM 101",
      "1 SIGCONT 101",
      "150 SIGKILL -101",
      "150 stopped, asked for by you",
    ]);
  });

  test("is found by a stop that comes with the start", async () => {
    await using one = adopt();
    one.supervisor.up();
    one.supervisor.down("you");
    await one.reach("stopped");
    expect(one.processes.pids).toEqual([]);
  });
});

describe("a proof", () => {
  test("that is not there in time has failed, and its request is given up", async () => {
    await using one = new Supervised({ health: { ...base.health, proofTimeoutMs: 10_000 } });
    one.answers.proof = "never";
    await one.ready();
    expect(one.since().slice(-3)).toEqual([
      "2 asks for a proof",
      "10002 gives up asking for a proof",
      expect.stringMatching(/^12002 ready on .* drafting off: the proof request failed: /),
    ]);
  });

  test("that may take any time (0s) is waited for", async () => {
    await using one = new Supervised({ health: { ...base.health, proofTimeoutMs: 0 } });
    one.answers.proof = "never";
    one.supervisor.up();
    await one.clock.advance(600_000);
    expect(one.state).toBe("proving");
  });

  test("that kills the server is explained by its exit, though the connection ends first", async () => {
    await using one = new Supervised({ ...never, proof: base.proof });
    one.answers.proof = new Error("socket hang up");
    one.supervisor.up();
    await one.reach("proving");
    await one.clock.advance(1900);
    one.processes.end(one.pid, { code: null, signal: "SIGSEGV" });
    await one.reach("failed");
    expect(one.supervisor.status()).toMatchObject({
      lastExit: { kind: "crashed" },
      drafting: { state: "unproven" },
    });
    expect(one.exit).toBe("diedBeforeReady");
  });

  test("that finds no drafting tells the reason and the speed", async () => {
    await using one = new Supervised();
    one.answers.proof = { ...goodProof, verdict: { state: "off", reason: "no token" } };
    await one.ready();
    expect(one.supervisor.status()).toMatchObject({
      drafting: { state: "off", reason: "no token" },
      tokensPerSecond: 40,
    });
  });

  test("is given up when the server is killed", async () => {
    await using one = new Supervised();
    one.processes.behaviours = [{ killMs: 10_000 }];
    one.answers.proof = "never";
    one.supervisor.up();
    await one.reach("proving");
    one.since();
    one.supervisor.forceDown("you");
    await one.clock.advance(1);
    expect(one.since()).toContain("2 gives up asking for a proof");
  });

  test("of a run that is over says nothing about the next one", async () => {
    await using one = new Supervised();
    one.answers.proof = "never";
    one.supervisor.up();
    await one.reach("proving");
    one.supervisor.restart(undefined, "you");
    one.answers.proof = goodProof;
    await one.reach("ready");
    await one.clock.advance(10_000);
    expect(one.supervisor.status().drafting).toEqual(goodProof.verdict);
    expect(one.supervisor.status().warnings).toEqual([]);
  });

  test("is no traffic of clients", async () => {
    await using one = new Supervised({ watchTraffic: true });
    await one.ready();
    const line = (tokens: number) => `slot: eval time =    1000.00 ms / ${tokens} tokens\n`;
    for (let request = 0; request < goodProof.requests; request++) appendFileSync(one.logPath, line(64));
    appendFileSync(one.logPath, line(5));
    await one.clock.advance(5000);
    expect(one.supervisor.status().traffic?.sinceStart.tokens).toBe(5);
  });
});

describe("after a suspend", () => {
  async function suspended(): Promise<Supervised> {
    const one = new Supervised(withoutProof);
    await one.ready();
    one.since();
    one.system.suspendedMs += 3_600_000;
    return one;
  }

  test("a server that computes is kept, and that request is no traffic", async () => {
    await using one = await suspended();
    await one.clock.advance(5000);
    appendFileSync(one.logPath, "slot: eval time =    1000.00 ms / 8 tokens\n");
    await one.clock.advance(5000);
    expect(one.since()).toEqual([
      "5002 the machine was suspended for 1 h 0 min; the server is asked whether it still computes",
      "5002 asks for some tokens",
      "5002 the server computes as before the machine was suspended",
    ]);
    expect(one.supervisor.status()).toMatchObject({ state: "ready", restarts: 0 });
    expect(one.supervisor.status().traffic?.sinceStart.tokens).toBe(0);
  });

  test("a server that does not compute any more is replaced", async () => {
    await using one = await suspended();
    one.answers.examination = { result: "broken", reason: "500: CUDA error" };
    await one.reach("backoff");
    expect(one.supervisor.status().lastExit).toMatchObject({ kind: "broken-by-suspend" });
    expect(one.processes.pids).toEqual([]);
  });

  test("a stop does not wait for that answer: the server would wait for us", async () => {
    await using one = await suspended();
    one.answers.examination = "never";
    await one.clock.advance(5000);
    one.since();
    one.supervisor.down("you");
    await one.reach("stopped");
    expect(one.since().slice(0, 4)).toEqual([
      "5002 stopping, asked for by you",
      "5002 SIGCONT 101",
      "5002 gives up asking for some tokens",
      "5002 SIGTERM 101",
    ]);
  });

  test("a server that gives no answer in time is kept", async () => {
    await using one = await suspended();
    one.answers.examination = "never";
    await one.clock.advance(70_000);
    expect(one.since().slice(1)).toEqual(["5002 asks for some tokens", "65002 gives up asking for some tokens"]);
    expect(one.state).toBe("ready");
  });

  test.each([
    ["gone", "well"],
    ["gone", "broken"],
    ["replaced", "well"],
    ["replaced", "broken"],
  ] as const)("nothing is told about a server that is %s when its answer comes (%s)", async (fate, result) => {
    await using one = await suspended();
    // However long it takes: the answer may have been on its way.
    one.answers.examination = one.clock.sleep(100_000).then(() => ({ result, reason: "500" }) as const);
    await one.clock.advance(5000);
    one.processes.end(one.pid, { code: 1, signal: null });
    one.processes.behaviours = fate === "gone" ? [{ refused: "EAGAIN" }] : [{}];
    await one.clock.advance(50_000);
    expect(one.state).toBe(fate === "gone" ? "backoff" : "ready");
    one.since();
    await one.clock.advance(60_000);
    expect(one.since().filter((line) => /computes as before|stopped computing/.test(line))).toEqual([]);
    expect(one.supervisor.status().restartsByCause["broken-by-suspend"]).toBeUndefined();
  });
});

describe("an unhealthy server", () => {
  test("that hangs is killed, and replaced", async () => {
    await using one = new Supervised({ ...withoutProof, health: { ...base.health, hangTimeoutMs: 60_000 } });
    await one.ready();
    one.answers.health = "silent";
    await one.reach("unhealthy");
    one.since();
    await one.reach("backoff");
    one.answers.health = "ready";
    expect(one.since().map((line) => line.replace(/^\d+ /, ""))).toEqual([
      expect.stringMatching(/^killing the server: the server answered no health check.* for 60 s$/),
      "SIGKILL -101",
      "SIGKILL -101",
      expect.stringMatching(/; next start in 1\.0 s$/),
    ]);
    await one.reach("ready");
    expect(one.supervisor.status()).toMatchObject({ restartsByCause: { hung: 1 }, lastExit: { kind: "hung" } });
  });

  test("is not killed in an hour with a hang timeout of 0s, and may come back", async () => {
    await using one = new Supervised({
      ...withoutProof,
      health: { ...base.health, intervalMs: 60_000, hangTimeoutMs: 0 },
    });
    const pid = await one.ready();
    one.answers.health = "silent";
    await one.clock.advance(3_600_000);
    expect(one.supervisor.status()).toMatchObject({ state: "unhealthy", pid });
    one.answers.health = "ready";
    await one.reach("ready");
    expect(one.supervisor.status()).toMatchObject({ pid, restarts: 0 });
  });
});

test("a load that stalls is killed, and does not count as ready before", async () => {
  await using one = new Supervised({ ...never, health: { ...base.health, stallTimeoutMs: 5000 } });
  one.answers.health = "loading";
  one.supervisor.up();
  await one.reach("failed");
  expect(one.exit).toBe("notReadyInTime");
  expect(one.supervisor.status().lastExit).toMatchObject({ kind: "stalled" });
});

test("a server that has lost a worker is replaced", async () => {
  await using one = new Supervised({ ...withoutProof, rpcWorkers: ["10.0.0.2:50052"] });
  await one.ready();
  one.processes.find(one.pid).lostPeers = [50_052];
  await one.reach("backoff");
  expect(one.supervisor.status()).toMatchObject({ lastExit: { kind: "rpc-worker-lost" } });
});

describe("metrics of the server", () => {
  test("are read while it is ready, and not while it loads or after its end", async () => {
    await using one = new Supervised(withoutProof);
    one.answers.health = "loading";
    one.supervisor.up();
    await one.reach("loading");
    expect(await one.supervisor.readServerMetrics()).toBeUndefined();
    one.answers.health = "ready";
    await one.reach("ready");
    expect(await one.supervisor.readServerMetrics()).toBe("# metrics");
    one.answers.metrics = "# more";
    expect(await one.supervisor.readServerMetrics()).toBe("# metrics"); // kept for some seconds
    one.supervisor.down("you");
    await one.reach("stopped");
    expect(await one.supervisor.readServerMetrics()).toBeUndefined();
    expect(one.since().filter((line) => line.includes("metrics"))).toHaveLength(1);
  });
});

describe("what fails around a server", () => {
  test("is a warning: its log was moved", async () => {
    await using one = new Supervised(withoutProof);
    await one.ready();
    rmSync(one.logPath);
    await one.clock.advance(10_000);
    const moved = "the server's log was moved or deleted: it goes on in a new file in its place";
    expect(one.events.filter(({ message }) => message === moved)).toHaveLength(1);
  });

  test("is a warning: a signal that we may not send, and the stop goes on", async () => {
    await using one = new Supervised({ ...withoutProof, stopTimeoutMs: 1000 });
    await one.ready();
    const real = one.processes.signal;
    const refuse = vi.spyOn(one.processes, "signal").mockImplementation((pid, name) => {
      if (name === "SIGTERM") throw systemError("EPERM", "kill");
      real(pid, name);
    });
    one.supervisor.down("you");
    await one.reach("stopped");
    refuse.mockRestore();
    expect(one.supervisor.status().warnings).toContain(
      "cannot terminate: cannot send SIGTERM to process 101: kill EPERM",
    );
    expect(one.processes.pids).toEqual([]);
  });

  test("after its end is a warning, and it is replaced all the same", async () => {
    await using one = new Supervised(withoutProof);
    await one.ready();
    const refuse = vi.spyOn(one.processes, "signal").mockImplementation(() => {
      throw systemError("EPERM", "kill");
    });
    one.processes.end(one.pid, { code: 1, signal: null });
    await one.reach("backoff");
    refuse.mockRestore();
    expect(one.supervisor.status().warnings).toEqual([
      "cannot kill the processes that the server has left behind: cannot send SIGKILL to process 101: kill EPERM",
    ]);
    await one.reach("ready");
  });
});

test("a fault that the traffic shows is a warning, once", async () => {
  await using one = new Supervised({ watchTraffic: true });
  await one.ready();
  for (let request = 0; request < goodProof.requests + 20; request++)
    appendFileSync(one.logPath, "slot: eval time =    1000.00 ms / 100 tokens\n");
  await one.clock.advance(60_000);
  expect(one.supervisor.status().warnings).toEqual([expect.stringMatching(/^drafting has stopped: /)]);
  expect(one.supervisor.status().traffic?.sinceStart.tokens).toBe(2000);
});
