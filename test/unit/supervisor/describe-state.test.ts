import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { DraftingStatus, Status } from "../../../src/control/messages.ts";
import { describeLoad, describeState, makeEvent } from "../../../src/supervisor/describe-state.ts";
import { initialMachine, next } from "../../../src/supervisor/machine.ts";
import type { State } from "../../../src/supervisor/machine-types.ts";
import type { ProofTexts } from "../../../src/supervisor/launch.ts";
import { crashed, makeLaunch } from "../../support/make-launch.ts";
import {
  again,
  backOff,
  backoff,
  down,
  failed,
  killing,
  loading,
  ready,
  stopFor,
  stopped,
  stopping,
  waiting,
} from "../../support/machine-states.ts";
import { makeStatus } from "../../support/make-status.ts";

const on: DraftingStatus = { state: "on", draftTokens: 92, acceptedTokens: 71 };
const status = makeStatus({
  pid: 7,
  drafting: on,
  loadMs: 1150,
  lastExit: { kind: "killed", message: "the server was killed (SIGKILL)", fix: null, time: "2026-01-01T00:00:00.000Z" },
  load: null,
});

const proofTexts: ProofTexts = {
  asking: "asking it to prove it",
  describe: ({ state }) => `proof ${state}`,
  explainFailure: () => crashed,
  fallbackAsker: "the profile",
  explainFallback: (loss) => loss,
};

/** @param more What else the status says. */
function describeNow(state: State, askedBy?: string, more: Partial<Status> = {}): string {
  return describeState(state, { status: { ...status, ...more }, sinceSpawnMs: 1200, askedBy, proofTexts });
}

describe("a state in one line", () => {
  test.each<[State, string]>([
    [{ name: "preflight" }, "preflight"],
    [{ name: "starting" }, "starting"],
    [loading, "loading"],
    [{ name: "proving" }, "server is up on http://127.0.0.1:8080 after 1.1 s, asking it to prove it"],
    [ready, "ready on http://127.0.0.1:8080 in 1.2 s · proof on"],
    [{ name: "unhealthy" }, "unhealthy: the server no longer answers; it is not killed while it shows signs of life"],
    [{ name: "backoff", delayMs: 2000 }, "the server was killed (SIGKILL); next start in 2.0 s"],
    [{ name: "backoff", delayMs: 2000, waitingFor: crashed }, "it crashed; next start in 2.0 s"],
    [{ name: "failed", cause: crashed }, "failed: it crashed"],
    [stopping(1), "stopping"],
    [stopping(0, again), "stopping for a restart"],
    [stopping(1, { next: "stop", cause: crashed }), "stopping: it crashed"],
    [killing(), "killing the server"],
    [killing(backOff), "killing the server: it crashed"],
    [{ name: "stuck", next: "stop" }, "stuck: pid 7 is still there after SIGKILL; nothing is started until it is gone"],
    [stopped, "stopped"],
  ])("%j: %s", (state, line) => {
    expect(describeNow(state)).toBe(line);
  });

  test.each<[State, string]>([
    [stopping(1), "stopping, asked for by llmctl down"],
    [stopping(0, again), "stopping for a restart, asked for by llmctl down"],
    [killing(), "killing the server, asked for by llmctl down"],
    [stopped, "stopped, asked for by llmctl down"],
    [stopping(1, stopFor), "stopping: a bad flag"],
    [killing(stopFor), "killing the server: a bad flag"],
    [loading, "loading"],
  ])("%j names who asked for it, unless we decided it ourselves: %s", (state, line) => {
    expect(describeNow(state, "llmctl down")).toBe(line);
  });

  test("what is not known yet has words of its own", () => {
    expect(describeNow(backoff, undefined, { lastExit: null })).toBe("the server is gone; next start in 5 ms");
    expect(describeNow({ name: "proving" }, undefined, { loadMs: null })).toMatch(/ after 0 ms, /);
  });
});

test.each([
  [0, 3, "0 %"],
  [2, 3, "66 %"],
  [999, 1000, "99 %"],
  [3, 3, "100 %"],
])("a load of %i of %i bytes is %s: only a whole one is 100 %", (doneBytes, totalBytes, text) => {
  expect(describeLoad({ doneBytes, totalBytes })).toBe(text);
});

describe("an event", () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: Date.parse("2026-01-01T00:00:00.000Z") });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const eventOf = (state: State, lastExit: Status["lastExit"] = status.lastExit) =>
    makeEvent("text", {
      machine: { ...initialMachine, state },
      status: { ...status, lastExit },
      elapsedMs: 12.6,
    });

  test("has its time, a message, and the status after it", () => {
    expect(eventOf(ready)).toStrictEqual({
      time: "2026-01-01T00:00:00.000Z",
      elapsedMs: 13,
      message: "text",
      cause: null,
      status,
    });
  });

  test.each<[State, string | null]>([
    [backoff, "killed"],
    [waiting, "model-missing"],
    [failed, "bad-flag"],
    [killing(backOff), "crashed"],
    [stopping(1, stopFor), "bad-flag"],
    [killing(), null],
    [ready, null],
  ])("of %j has the cause %s", (state, cause) => {
    expect(eventOf(state).cause).toBe(cause);
  });

  test("of a backoff without any exit before it has no cause", () => {
    expect(eventOf(backoff, null).cause).toBeNull();
  });

  test("of a failure is the end, with its exit code", () => {
    expect(eventOf(failed).end).toEqual({ exit: "config", code: 78 });
  });

  test("of a wanted stop is the end, even before the first start, and what comes before that is none", () => {
    const end = (machine: typeof initialMachine) => makeEvent("text", { machine, status, elapsedMs: 0 }).end;
    expect(end(initialMachine)).toBeUndefined();
    expect(end(next(initialMachine, down, makeLaunch()).machine)).toEqual({ exit: "done", code: 0 });
    expect(end({ ...initialMachine, state: loading })).toBeUndefined();
  });
});
