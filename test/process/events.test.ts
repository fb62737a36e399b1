import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, startLlmctl } from "../support/llmctl.ts";
import { untilStatus, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

describe("events", () => {
  test("lists each change with its cause, while the profile runs and afterwards", async () => {
    await home.writeFakeProfile("p", {}, { restart: { backoff: "1ms" } });
    const { pid } = await upDetached(home, "p");
    await using follower = startLlmctl(["events", "p", "-f"], { home });
    await follower.waitForLine(/ ready +ready on http/);
    process.kill(pid, "SIGKILL");
    await follower.waitForLine(/ backoff +the server was killed \(SIGKILL\); next start in .* \[killed\]$/);
    await untilStatus(home, "p", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
    await llmctl(["down", "p"], { home });
    await follower.waitForLine(/ stopped +stopped, asked for by "llmctl down" \(pid \d+\)$/);
    expect((await follower.stop("SIGINT")).exitCode).toBe(0);

    const { stdout } = await llmctl(["events", "p", "--json"], { home });
    const events = stdout
      .split("\n")
      .map((line) => JSON.parse(line) as { state: string; cause: string | null; elapsedMs: number });
    const states = events.map(({ state }) => state);
    const start = ["preflight", "starting", "loading", "proving", "ready"];
    expect(states.filter((state, i) => state !== states[i - 1])).toEqual([
      ...start,
      "backoff",
      ...start,
      "stopping",
      "stopped",
    ]);
    expect(events.flatMap(({ cause }) => cause ?? [])).toEqual(["killed"]);
    expect(events.map(({ elapsedMs }) => elapsedMs)).toEqual(
      events.map(({ elapsedMs }) => elapsedMs).toSorted((a, b) => a - b),
    );
  });

  test("has no events of a profile that never ran", async () => {
    const { exitCode, stderr } = await llmctl(["events", "p"], { home });
    expect(stderr).toContain('"p" has no events');
    expect(exitCode).toBe(66);
  });
});
