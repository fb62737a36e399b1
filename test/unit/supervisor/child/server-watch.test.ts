import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Launch } from "../../../../src/supervisor/launch.ts";
import { ServerLog } from "../../../../src/supervisor/log/server-log.ts";
import { ServerWatch } from "../../../../src/supervisor/child/server-watch.ts";
import type { FakeProcess } from "../../../support/fake-processes.ts";
import { systemError } from "../../../support/fake-processes.ts";
import { type Answers, FakeSystem, goodAnswers, scriptedProtocol } from "../../../support/fake-system.ts";
import { makeLaunch } from "../../../support/make-launch.ts";

let folder: string;
let log: ServerLog;
let system: FakeSystem;
let answers: Answers;
let server: FakeProcess;
/** What the watch has told, each with the milliseconds since its start; `health ready` only when it is new. */
let told: string[];
let watch: ServerWatch;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-watch-"));
  log = new ServerLog(join(folder, "server.log"), { maxBytes: 10_000, keep: 1 });
  system = new FakeSystem();
  answers = goodAnswers();
  server = system.processes.start();
  told = [];
  lines.length = 0;
});
afterEach(() => {
  watch.stop();
  log.close();
  rmSync(folder, { recursive: true });
});

const health = makeLaunch().health;
/** Passed on by `onLine` and `onCaughtUp`. */
const lines: string[] = [];

/** Watches the server, from its load on. */
function start(more: Partial<Launch> = {}): void {
  const startMs = system.clock.nowMs();
  const tell = (text: string) => told.push(`${system.clock.nowMs() - startMs} ${text}`);
  watch = new ServerWatch({
    launch: makeLaunch({ port: 8001, ...more }),
    protocol: scriptedProtocol(answers, system.clock, () => undefined),
    pid: server.pid,
    endpoint: undefined,
    log,
    system,
    onEndpoint: (endpoint) => tell(`endpoint ${JSON.stringify(endpoint)}`),
    onHealth: (found) => tell(found),
    onLoad: ({ doneBytes, totalBytes }) => tell(`loaded ${doneBytes} of ${totalBytes}`),
    onTraffic: ({ tokens, draftTokens }) => tell(`${tokens} tokens, ${draftTokens} drafted`),
    onLine: (text, isOwn) => lines.push(`${isOwn ? "own: " : ""}${text}`),
    onCaughtUp: () => lines.push("that is all"),
    onSilence: () => tell("silence"),
    onLost: () => tell("lost"),
    onLogMoved: () => tell("log moved"),
    onResume: (ms) => tell(`suspended for ${ms}`),
    onWarning: (text) => tell(text),
  });
}

/** @returns what was told meanwhile. */
async function after(ms: number): Promise<string[]> {
  told.length = 0;
  await system.clock.advance(ms);
  return [...told];
}

/** Watches a server that is ready. */
async function startReady(more: Partial<Launch> = {}): Promise<void> {
  start(more);
  await system.clock.advance(2);
  watch.enter("ready");
}

const line = (text: string) => system.append(log.path, `${text}\n`);
const speed = (tokens: number) => `slot print_timing: id  0 |        eval time =    1000.00 ms / ${tokens} tokens`;

describe("health checks", () => {
  test("of a load come four times a second, then at the interval of the profile", async () => {
    start();
    expect(await after(600)).toEqual(["1 ready", "251 ready", "501 ready"]);
    watch.enter("ready");
    expect(await after(15_001)).toEqual(["5601 ready", "10601 ready", "15601 ready"]);
    watch.enter("ready"); // changes nothing, not even the time of the next check
    expect(await after(5000)).toEqual(["20601 ready"]);
  });

  test("are told as they are, and never overlap", async () => {
    await startReady({ health: { ...health, intervalMs: 1000, timeoutMs: 2500 } });
    answers.health = "silent";
    expect(await after(7000)).toEqual(["3502 timeout", "6502 timeout"]);
    answers.health = "error";
    expect(await after(4000)).toEqual(["9502 timeout", "10003 error"]);
  });

  test("end with the watch, and their answers are no longer told", async () => {
    await startReady();
    answers.health = "silent";
    await after(6000);
    watch.stop();
    expect(await after(60_000)).toEqual([]);
    expect(system.clock.pending).toBe(0);
    expect(system.watchers).toBe(0);
    watch.enter("unhealthy");
    expect(await after(60_000)).toEqual([]);
  });

  test("that were answered late because we were stopped meanwhile do not count", async () => {
    await startReady({ health: { ...health, intervalMs: 5000, timeoutMs: 3000 } });
    answers.health = "silent";
    expect(await after(5000)).toEqual([]); // one check waits for its answer
    system.clock.stall(60_000);
    answers.health = "ready";
    // Timers were late, too: the check that follows is told, and the one that waited is not.
    expect(await after(10_000)).toEqual(["65003 ready", "70003 ready"]);
  });

  test("that were answered up to a second late count: the machine is only busy", async () => {
    await startReady({ health: { ...health, intervalMs: 5000, timeoutMs: 3000 } });
    answers.health = "silent";
    await after(5000);
    system.clock.stall(4000);
    expect(await after(0)).toEqual(["9002 timeout"]);
  });
});

describe("the endpoint", () => {
  test("that the launch plans is known at once", () => {
    start({ port: 8001 });
    expect(told).toEqual(['0 endpoint {"host":"127.0.0.1","port":8001}']);
  });

  test("that the server picks is read from its log, as soon as it is there, and asked at once", async () => {
    start({ port: 0 });
    expect(await after(260)).toEqual([]);
    line("main: server is listening on http://127.0.0.1:4711");
    expect(told).toEqual(['260 endpoint {"host":"127.0.0.1","port":4711}']);
    expect(await after(1)).toEqual(["261 ready"]);
    line("a client says: listening on http://127.0.0.1:666");
    expect((await after(500)).filter((text) => text.includes("endpoint"))).toEqual([]);
  });

  test("is asked from the system while the log is lost, and not before", async () => {
    server.port = 4711;
    start({ port: 0 });
    expect(await after(1000)).toEqual([]);
    vi.spyOn(log, "isDiskFull", "get").mockReturnValue(true);
    expect(await after(251)).toEqual(['1250 endpoint {"host":"127.0.0.1","port":4711}', "1251 ready"]);
  });

  test("is asked from the system while the log cannot be read", async () => {
    server.port = 4711;
    start({ port: 0 });
    line("something");
    vi.spyOn(log, "read").mockImplementation(() => {
      throw systemError("EIO", "read");
    });
    line("and more");
    expect((await after(1)).slice(0, 2)).toEqual([
      "0 cannot keep the server's log: read EIO",
      '0 endpoint {"host":"127.0.0.1","port":4711}',
    ]);
  });
});

describe("a line that says that the model is loaded", () => {
  test("has the server asked at once, and every 3 ms for a while, as it may say so a little early", async () => {
    start();
    answers.health = "loading";
    await after(100);
    line("srv main: model loaded");
    expect(await after(60)).toEqual(Array.from({ length: 11 }, (_, index) => `${101 + 4 * index} loading`));
    line("another line");
    expect(await after(60)).toEqual([]);
    answers.health = "ready";
    line("srv main: model loaded");
    expect(await after(20)).toEqual(["221 ready"]);
  });

  test("causes no more checks once the load is over", async () => {
    await startReady();
    line("srv main: model loaded");
    expect(await after(4000)).toEqual([]);
  });
});

test("a load that logs only our own health checks counts as silent, and gets no more of them for that", async () => {
  start({ health: { ...health, stallTimeoutMs: 10_000 } });
  answers.health = "loading";
  for (let ms = 0; ms < 10_000; ms += 250) {
    await system.clock.advance(250);
    line("srv  log_server_r: request: GET /health 127.0.0.1 503");
  }
  expect(told.filter((text) => text.endsWith("silence"))).toEqual([]);
  expect(told.filter((text) => text.endsWith("loading"))).toHaveLength(40);
  expect((await after(250)).filter((text) => text.endsWith("silence"))).toEqual(["10250 silence"]);
});

describe("a limit of 0s", () => {
  test("for a load ends none", async () => {
    start({ health: { ...health, stallTimeoutMs: 0 } });
    answers.health = "loading";
    expect((await after(600_000)).filter((text) => !text.endsWith("loading"))).toEqual([]);
  });

  test("for a health check lets it wait for ever, and the main loop, too", async () => {
    await startReady({ health: { ...health, intervalMs: 3_600_000, timeoutMs: 0 } });
    answers.isWedged = true;
    answers.health = "silent";
    expect(await after(20 * 24 * 3_600_000)).toEqual([]);
  });
});

describe("a load", () => {
  test("is silent when the server neither logs nor reads nor computes for the stall timeout", async () => {
    start({ health: { ...health, stallTimeoutMs: 5000 } });
    answers.health = "loading";
    const silences = async (ms: number) => (await after(ms)).filter((text) => text.endsWith("silence"));
    expect(await silences(5000)).toEqual([]);
    server.taken = { ...server.taken, mapped: 4096 };
    expect(await silences(5250)).toEqual([]);
    expect(await silences(250)).toEqual(["10500 silence"]);
  });

  test("tells its progress, until the server is ready", async () => {
    start({ files: [{ path: "/m.gguf", sizeBytes: 1000 }] });
    server.taken = { read: 100, fetched: 500, mapped: 0 };
    expect(await after(300)).toContain("250 loaded 500 of 1000");
    watch.enter("ready");
    expect((await after(60_000)).filter((text) => text.includes("loaded"))).toEqual([]);
  });
});

/** An unhealthy server, idle for so long before. @returns the times at which it was silent for too long. */
async function unhealthySilences(hangTimeoutMs: number, idleMs: number, ms: number): Promise<string[]> {
  await startReady({ health: { ...health, intervalMs: 60_000, hangTimeoutMs } });
  await after(idleMs);
  answers.health = "silent";
  watch.enter("unhealthy");
  return (await after(ms)).filter((text) => text.endsWith("silence"));
}

describe("an unhealthy server", () => {
  test("is silent for too long only after the hang timeout, however long it was idle before", async () => {
    expect(await unhealthySilences(90_000, 3_600_000, 120_000)).toEqual([`${2 + 3_600_000 + 120_000} silence`]);
  });

  test("is never silent for too long with a hang timeout of 0s", async () => {
    expect(await unhealthySilences(0, 1000, 3_600_000)).toEqual([]);
  });

  test("that computes is left alone", async () => {
    await startReady({ health: { ...health, hangTimeoutMs: 60_000 } });
    answers.health = "silent";
    watch.enter("unhealthy");
    for (let ms = 0; ms < 600_000; ms += 50_000) {
      server.cpuTicks += 100;
      expect((await after(50_000)).filter((text) => text.endsWith("silence"))).toEqual([]);
    }
  });

  test("that is ready may be silent for ever", async () => {
    await startReady({ health: { ...health, intervalMs: 60_000, hangTimeoutMs: 60_000 } });
    expect((await after(3_600_000)).filter((text) => !text.endsWith("ready"))).toEqual([]);
  });
});

describe("time in which we did not run ourselves, as in a frozen container", () => {
  test("is no silence of a load", async () => {
    start({ health: { ...health, stallTimeoutMs: 60_000 } });
    answers.health = "loading";
    await after(50_000);
    system.clock.stall(3_600_000);
    const silences = (await after(61_000)).filter((text) => text.endsWith("silence"));
    expect(silences.slice(0, 1)).toEqual([`${50_000 + 3_600_000 + 60_250} silence`]);
  });

  test("is no silence of an unhealthy server", async () => {
    await startReady({ health: { ...health, hangTimeoutMs: 60_000 } });
    answers.health = "silent";
    watch.enter("unhealthy");
    await after(50_000);
    system.clock.stall(3_600_000);
    expect((await after(60_000)).filter((text) => text.endsWith("silence"))).toEqual([]);
    expect((await after(10_000)).filter((text) => text.endsWith("silence"))).not.toEqual([]);
  });

  test("is no late answer of the main loop, which waits to be read", async () => {
    await startReady({ health: { ...health, intervalMs: 1000, timeoutMs: 500 } });
    answers.isWedged = true;
    await after(6100);
    system.clock.stall(60_000);
    answers.isWedged = false;
    expect((await after(900)).filter((text) => text.endsWith("timeout"))).toEqual([]);
  });
});

describe("a stuck main loop", () => {
  test("is a failed check while nothing else moves, and no health check is sent then", async () => {
    await startReady({ health: { ...health, intervalMs: 1000, timeoutMs: 500 } });
    await after(5001);
    answers.isWedged = true;
    // The probe goes out after six checks, and may take as long as a health check.
    expect(await after(4001)).toEqual(["6003 ready", "7002 timeout", "8002 timeout", "9002 timeout"]);
  });

  test("counts as ready while the server logs or computes", async () => {
    await startReady({ health: { ...health, intervalMs: 1000, timeoutMs: 500 } });
    answers.isWedged = true;
    await after(6500);
    line("slot update: prompt processing progress");
    expect(await after(1000)).toEqual(["7002 ready"]);
    expect(await after(1000)).toEqual(["8002 timeout"]);
    server.cpuTicks += 100;
    expect(await after(1000)).toEqual(["9002 ready"]);
  });

  test("is not looked for while the server loads, and not before its address is known", async () => {
    start({ port: 0, health: { ...health, intervalMs: 100, timeoutMs: 50 } });
    answers.isWedged = true;
    answers.health = "loading";
    expect((await after(30_000)).filter((text) => text.endsWith("timeout"))).toEqual([]);
  });
});

describe("traffic", () => {
  test("of clients is told, that of our own requests is not", async () => {
    start({ watchTraffic: true });
    watch.noteOwnRequests(2);
    for (const tokens of [1, 2]) line(speed(tokens));
    await after(2);
    watch.enter("ready");
    line(speed(3));
    expect(await after(5000)).toEqual(["5002 3 tokens, 0 drafted"]);
  });

  test("comes with each line of a server that is ready, and with which lines are about our own requests", async () => {
    start({ watchTraffic: true });
    watch.noteOwnRequests(1);
    line("listening");
    line(speed(1));
    await after(2);
    expect(lines).toEqual([]);
    watch.enter("ready");
    line(speed(3));
    await after(5000);
    expect(lines).toEqual(["listening", `own: ${speed(1)}`, speed(3), "that is all"]);
    await after(5000);
    expect(lines.slice(4)).toEqual(["that is all"]);
  });

  test("is not read where the launch does not want it", async () => {
    await startReady({ watchTraffic: false });
    line(speed(3));
    expect(await after(5001)).toEqual(["5003 ready"]);
    expect(lines).toEqual([]);
  });

  test("is read on after a rotation of the log", async () => {
    await startReady({ watchTraffic: true });
    line(speed(1));
    line("x".repeat(20_000));
    expect(await after(5000)).toEqual(["5002 1 tokens, 0 drafted"]);
    expect(log.sizeBytes).toBe(0);
    // Longer than all that was read before: nothing but the rotation tells where to go on.
    line(speed(2));
    line("x".repeat(25_000));
    expect(await after(5000)).toContain("10002 2 tokens, 0 drafted");
  });
});

describe("the log", () => {
  test("on a full disk is told, and the server goes on", async () => {
    vi.spyOn(log, "isDiskFull", "get").mockReturnValue(true);
    await startReady();
    expect(await after(5001)).toEqual([
      `5002 no space left on the disk of ${log.path}: the server goes on, what it logs meanwhile is lost`,
      "5003 ready",
    ]);
  });

  test("that cannot be read is a warning, and the checks go on", async () => {
    await startReady();
    vi.spyOn(log, "sizeBytes", "get").mockImplementation(() => {
      throw systemError("EIO", "fstat");
    });
    expect(new Set(await after(10_001))).toEqual(
      new Set([
        "5002 cannot keep the server's log: fstat EIO",
        "5003 ready",
        "10002 cannot keep the server's log: fstat EIO",
        "10003 ready",
      ]),
    );
  });

  test.each(["loading", "ready"] as const)("that was moved while the server is %s is told", async (phase) => {
    if (phase === "ready") await startReady();
    else start();
    rmSync(log.path);
    expect((await after(5001)).filter((text) => text.endsWith("moved"))).toHaveLength(1);
  });
});

describe("a server with workers on other machines", () => {
  test("is lost when one of them has closed its connection, and never while it loads", async () => {
    server.lostPeers = [50_052];
    start({ rpcWorkers: ["10.0.0.2:50051", "gpu.lan:50052"] });
    answers.health = "loading";
    expect((await after(1000)).filter((text) => text.endsWith("lost"))).toEqual([]);
    watch.enter("ready");
    expect(await after(5001)).toContain("6000 lost");
  });

  test("is not lost by a connection to another port, nor by a client of its own port", async () => {
    server.lostPeers = [50_053, 8001];
    await startReady({ rpcWorkers: ["10.0.0.2:50051", "10.0.0.3:8001"] });
    expect(await after(5001)).toEqual(["5003 ready"]);
  });

  test("without workers is not lost by anything", async () => {
    server.lostPeers = [50_051];
    await startReady();
    expect(await after(5001)).toEqual(["5003 ready"]);
  });
});

test("a suspend of the machine is told once, when the server is ready", async () => {
  await startReady();
  await after(5000);
  system.suspendedMs += 3_600_000;
  expect(await after(5000)).toEqual(["5003 ready", "10002 suspended for 3600000"]);
  expect(await after(5000)).toEqual(["10003 ready"]);
});
