import { afterEach, beforeEach, expect, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { MemoryCgroup } from "../support/memory-cgroup.ts";
import { readStatus } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

// Skipped when this user may not limit memory, but never in CI.
const isLeftOut = process.env["CI"] === undefined && !(await MemoryCgroup.isPossible());

test.skipIf(isLeftOut)(
  "an out-of-memory kill has another cause than a person's kill, and the server is started again",
  async () => {
    await using box = await MemoryCgroup.create(400 << 20);
    await home.writeFakeProfile(
      "p",
      { stateFile: home.join("starts"), times: 1, hog: true },
      { restart: { backoff: "1ms" } },
    );
    const { exitCode, stdout } = await llmctl(["up", "-d", "p"], { home, via: box.via });
    expect(stdout).toContain("the kernel killed the server because the memory ran out; next start in");
    expect(exitCode).toBe(0);
    expect(await readStatus(home, "p")).toMatchObject({
      state: "ready",
      restarts: 1,
      lastExit: { kind: "host-out-of-memory" },
    });
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
  },
);
