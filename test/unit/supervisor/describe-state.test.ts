import { describe, expect, test } from "vitest";
import type { DraftingStatus } from "../../../src/control/messages.ts";
import { describeState } from "../../../src/supervisor/describe-state.ts";
import type { State } from "../../../src/supervisor/machine-types.ts";
import type { ProofTexts } from "../../../src/supervisor/launch.ts";
import { crashed } from "../../support/make-launch.ts";
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
  findFault: () => undefined,
};

describe("a state in one line", () => {
  test.each<[State, string]>([
    [{ name: "preflight" }, "preflight"],
    [{ name: "loading" }, "loading"],
    [{ name: "proving" }, "server is up on http://127.0.0.1:8080 after 1.1 s, asking it to prove it"],
    [{ name: "ready", failedChecks: 0 }, "ready on http://127.0.0.1:8080 in 1.2 s · proof on"],
    [{ name: "backoff", delayMs: 2000 }, "the server was killed (SIGKILL); next start in 2.0 s"],
    [{ name: "backoff", delayMs: 2000, waitingFor: crashed }, "it crashed; next start in 2.0 s"],
    [{ name: "failed", cause: crashed }, "failed: it crashed"],
    [{ name: "stopping", next: "stop", terminations: 1 }, "stopping"],
    [{ name: "stopping", next: "stop", terminations: 1, cause: crashed }, "stopping: it crashed"],
    [{ name: "killing", next: "stop" }, "killing the server"],
    [{ name: "killing", next: "back off", cause: crashed }, "killing the server: it crashed"],
    [{ name: "stopped" }, "stopped"],
  ])("%j: %s", (state, line) => {
    expect(describeState(state, { status, sinceSpawnMs: 1200, askedBy: undefined, proofTexts })).toBe(line);
  });

  test("a stuck process is named", () => {
    expect(
      describeState({ name: "stuck", next: "stop" }, { status, sinceSpawnMs: 0, askedBy: undefined, proofTexts }),
    ).toContain("pid 7 is still there after SIGKILL");
  });

  test("an unhealthy server is said not to be killed", () => {
    expect(describeState({ name: "unhealthy" }, { status, sinceSpawnMs: 0, askedBy: undefined, proofTexts })).toMatch(
      /no longer answers.*not killed/,
    );
  });
});
