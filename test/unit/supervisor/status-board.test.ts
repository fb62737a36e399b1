import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Proof, TokenTraffic } from "../../../src/supervisor/launch.ts";
import { StatusBoard } from "../../../src/supervisor/status-board.ts";
import { llmctlVersion } from "../../../src/base/version.ts";
import { crashed, makeLaunch, notThere } from "../../support/make-launch.ts";
import {
  backoff,
  failed,
  killing,
  loading,
  proving,
  ready,
  starting,
  stopFor,
  stopped,
  waiting,
} from "../../support/machine-states.ts";

const launch = makeLaunch({ dependsOn: ["q"], args: ["--port", "0"] });
const undrafted = makeLaunch({ proof: { wanted: false, reason: "not asked" } });
const where = { pid: 7, log: "/p/server.log" };
const nothing = {
  tokens: 0,
  draftTokens: 0,
  acceptedTokens: 0,
  acceptanceRate: null,
  tokensPerSecond: null,
  meanAcceptedLength: null,
};
const traffic: TokenTraffic = {
  tokens: 20,
  seconds: 2,
  draftTokens: 8,
  acceptedTokens: 6,
  drafts: 4,
  acceptedLengths: 10,
};
const proof: Proof = {
  requests: 2,
  verdict: { state: "on", draftTokens: 9, acceptedTokens: 8 },
  tokensPerSecond: 30,
  baselineTokensPerSecond: 20,
};

let board: StatusBoard;
beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-01-01T00:00:00.000Z") });
  board = new StatusBoard();
  board.startRun(launch);
});
afterEach(() => {
  vi.useRealTimers();
});
const later = (seconds: number): string => `2026-01-01T00:00:${String(seconds).padStart(2, "0")}.000Z`;

test("before the first start every value that there is none of is null", () => {
  expect(board.read(stopped, launch, { ...where, pid: null })).toEqual({
    version: 1,
    name: "p",
    state: "stopped",
    since: later(0),
    url: null,
    pid: null,
    supervisorPid: process.pid,
    llmctl: llmctlVersion,
    launchVersion: 2,
    drafting: { state: "unproven" },
    tokensPerSecond: null,
    baselineTokensPerSecond: null,
    traffic: { sinceStart: nothing, lastTenMinutes: nothing },
    draftingSpeedup: null,
    loadMs: null,
    load: null,
    runs: 0,
    restarts: 0,
    restartsByCause: {},
    startedAt: null,
    lastExit: null,
    waitingFor: null,
    retryInMs: null,
    build: "b1",
    command: { file: "/bin/server", args: ["--port", "0"] },
    profile: "/p.yaml",
    dependsOn: ["q"],
    hash: "0",
    log: "/p/server.log",
    warnings: [],
  });
});

describe("a run", () => {
  function serve(): void {
    vi.advanceTimersByTime(1000);
    board.noteSpawn();
    board.endpoint = { host: "127.0.0.1", port: 8080 };
    board.loadMs = 5;
    board.noteProof({ kind: "proved", proof });
    board.noteTraffic(traffic);
  }

  test("has start, address, proof and traffic", () => {
    serve();
    const sums = { ...nothing, tokens: 20, draftTokens: 8, acceptedTokens: 6 };
    const summary = { ...sums, acceptanceRate: 0.75, tokensPerSecond: 10, meanAcceptedLength: 2.5 };
    expect(board.read(ready, launch, where)).toMatchObject({
      startedAt: later(1),
      url: "http://127.0.0.1:8080",
      pid: 7,
      loadMs: 5,
      drafting: { state: "on", draftTokens: 9, acceptedTokens: 8 },
      tokensPerSecond: 30,
      baselineTokensPerSecond: 20,
      traffic: { sinceStart: summary, lastTenMinutes: summary },
    });
  });

  test("leaves nothing of itself to the next one", () => {
    const before = board.read(stopped, launch, where);
    serve();
    board.load = { doneBytes: 1, totalBytes: 2 };
    board.startRun(launch);
    expect(board.read(stopped, launch, where)).toEqual(before);
  });

  test("whose proof is not wanted says why", () => {
    board.startRun(undrafted);
    expect(board.read(ready, undrafted, where).drafting).toEqual({ state: "off", reason: "not asked" });
  });

  test.each([
    [{ kind: "failed", reason: "no draft" } as const, null],
    [{ kind: "failed", reason: "no draft", proof } as const, 30],
  ])("whose proof failed says why, with the measured speed if there is one: %j", (result, tokensPerSecond) => {
    board.noteProof(result);
    expect(board.read(ready, launch, where)).toMatchObject({
      drafting: { state: "off", reason: "no draft" },
      tokensPerSecond,
      baselineTokensPerSecond: tokensPerSecond === null ? null : 20,
    });
  });

  test("of a worker has an address of TCP", () => {
    board.endpoint = { host: "::1", port: 50052 };
    expect(board.read(ready, makeLaunch({ protocol: "rpc-worker" }), where).url).toBe("tcp://[::1]:50052");
  });

  test("whose profile turns traffic off shows none", () => {
    serve();
    expect(board.read(ready, makeLaunch({ watchTraffic: false }), where).traffic).toBeNull();
  });

  test("forgets its traffic after ten minutes, but not its sum", () => {
    serve();
    vi.advanceTimersByTime(600_000);
    const shown = board.read(ready, launch, where).traffic;
    expect([shown?.sinceStart.tokens, shown?.lastTenMinutes.tokens]).toEqual([20, 0]);
  });

  test("has the judgement of its traffic", () => {
    serve();
    const speedup = { ratio: 0.8, low: 0.7, high: 0.9, draftTokens: 210, verdict: "loses" } as const;
    board.warnings.add("another");
    board.judgement = { speedup, warnings: ["drafting loses"] };
    expect(board.read(ready, launch, where)).toMatchObject({
      draftingSpeedup: speedup,
      warnings: ["another", "drafting loses"],
    });
    board.startRun(launch);
    expect(board.read(ready, launch, where)).toMatchObject({ draftingSpeedup: null, warnings: ["another"] });
  });
});

describe("a state", () => {
  test("has the time since which it lasts", () => {
    vi.advanceTimersByTime(2000);
    board.enter(loading);
    vi.advanceTimersByTime(1000);
    expect(board.read(loading, launch, where).since).toBe(later(2));
  });

  test("of loading alone has progress", () => {
    board.load = { doneBytes: 1, totalBytes: 2 };
    board.enter(loading);
    expect(board.read(loading, launch, where).load).toEqual({ doneBytes: 1, totalBytes: 2 });
    board.enter(proving);
    expect(board.read(proving, launch, where).load).toBeNull();
  });

  test("of waiting counts down to the next start, and says for what it waits", () => {
    board.enter(waiting, 1500);
    const { kind, message } = notThere;
    expect(board.read(waiting, launch, where)).toMatchObject({
      retryInMs: 1500,
      waitingFor: { kind, message, fix: null },
    });
    vi.advanceTimersByTime(1000);
    expect(board.read(waiting, launch, where).retryInMs).toBe(500);
    vi.advanceTimersByTime(1000);
    expect(board.read(waiting, launch, where).retryInMs).toBe(0);
    expect(board.read(starting, launch, where)).toMatchObject({ retryInMs: null, waitingFor: null });
    expect(board.read(backoff, launch, where).waitingFor).toBeNull();
    const mended = { ...waiting, waitingFor: { ...notThere, fix: "mount it" } } as typeof waiting;
    expect(board.read(mended, launch, where).waitingFor).toEqual({ kind, message, fix: "mount it" });
  });

  test.each([failed, killing(stopFor)])("with a cause makes it the last exit: %j", (state) => {
    vi.advanceTimersByTime(3000);
    board.enter(state);
    expect(board.read(state, launch, where).lastExit).toEqual({
      kind: "bad-flag",
      message: "a bad flag",
      fix: null,
      time: later(3),
    });
  });

  test("without a cause keeps the last exit, with its fix", () => {
    board.noteExit({ ...crashed, fix: "try" });
    for (const state of [killing(), ready, stopped]) board.enter(state);
    expect(board.read(ready, launch, where).lastExit).toEqual({
      kind: "crashed",
      message: "it crashed",
      fix: "try",
      time: later(0),
    });
  });
});

test("restarts are counted by the cause of the exit before them, and go on counting over runs", () => {
  board.noteRestart();
  board.noteExit(crashed);
  for (let i = 0; i < 2; i += 1) board.noteRestart();
  board.startRun(launch);
  const status = board.read(ready, launch, where);
  expect([status.restarts, status.restartsByCause]).toEqual([3, { unknown: 1, crashed: 2 }]);
  board.noteRestart();
  expect(status.restartsByCause, "a status that was read stays as it is").toEqual({ unknown: 1, crashed: 2 });
});

test("each warning is shown once, in the order in which they came", () => {
  for (const text of ["b", "a", "b"]) board.warnings.add(text);
  board.startRun(launch);
  expect(board.read(ready, launch, where).warnings).toEqual(["b", "a"]);
});
