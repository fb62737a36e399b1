import type { Status, StatusEvent } from "../../src/control/messages.ts";

const traffic = {
  tokens: 5,
  draftTokens: 4,
  acceptedTokens: 3,
  acceptanceRate: 0.75,
  tokensPerSecond: 9.5,
  meanAcceptedLength: null,
};
const cause = {
  kind: "crashed",
  message: "it crashed",
  fix: { run: ["logs", "p"], or: { before: "wait, then run", run: ["up", "p"] } },
};

/** A status with a value for each key. */
export function makeStatus(more: Partial<Status> = {}): Status {
  return {
    version: 1,
    name: "p",
    state: "ready",
    since: "2026-01-01T00:00:00.000Z",
    url: "http://127.0.0.1:8080",
    pid: 12,
    supervisorPid: 11,
    llmctl: "0.1.0",
    launchVersion: 2,
    drafting: { state: "on", draftTokens: 4, acceptedTokens: 3 },
    tokensPerSecond: 9.5,
    baselineTokensPerSecond: null,
    traffic: { sinceStart: traffic, lastTenMinutes: { ...traffic, acceptanceRate: null } },
    draftingSpeedup: { ratio: 0.9, low: 0.8, high: 1.1, draftTokens: 240, verdict: "unknown" },
    loadMs: 100,
    load: { doneBytes: 1, totalBytes: 2 },
    runs: 2,
    restarts: 1,
    restartsByCause: { crashed: 1 },
    startedAt: "2026-01-01T00:00:00.000Z",
    lastExit: { ...cause, time: "2026-01-01T00:00:00.000Z" },
    waitingFor: { ...cause, fix: "wait" },
    retryInMs: null,
    build: "b1",
    command: { file: "/bin/server", args: ["--port", "8080"] },
    profile: "/p.yaml",
    dependsOn: [],
    hash: "0",
    log: "/p/server.log",
    warnings: ["a warning"],
    ...more,
  };
}

export function makeEvent(more: Partial<StatusEvent> = {}): StatusEvent {
  return {
    time: "2026-01-01T00:00:00.000Z",
    elapsedMs: 1,
    message: "ready",
    cause: null,
    status: makeStatus(),
    ...more,
  };
}
