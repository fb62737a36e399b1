import { chmod, chown, mkdir, rename } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findPaths } from "../../src/base/files/paths.ts";
import type { FleetChange } from "../../src/fleet/newest-states.ts";
import { watchFleet } from "../../src/fleet/watch-fleet.ts";
import type { ProfileState } from "../../src/supervisor/state/profile-states.ts";
import { llmctl } from "../support/llmctl.ts";
import { upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

/** Longer than any change here may take to be seen, so that no test passes by polling. */
const never = 600_000;

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

const isRoot = process.getuid?.() === 0;

/** Root can read every folder, but refuses the folder of another user. */
function close(folder: string): Promise<void> {
  return isRoot ? chown(folder, 12_345, 12_345) : chmod(folder, 0);
}

function reopen(folder: string): Promise<void> {
  return isRoot ? chown(folder, 0, 0) : chmod(folder, 0o700);
}

/** Reads the stream as a live view would, and records it. */
class Reader implements AsyncDisposable {
  readonly changes: FleetChange[] = [];
  readonly states = new Map<string, ProfileState>();
  readonly #controller = new AbortController();
  readonly #ended: Promise<void>;

  constructor({ fallbackMs = never } = {}) {
    const stream = watchFleet(findPaths({ LLMCTL_HOME: home.path }), { fallbackMs, signal: this.#controller.signal });
    this.#ended = this.#read(stream);
  }

  async #read(stream: AsyncIterable<FleetChange>): Promise<void> {
    for await (const change of stream) {
      this.changes.push(change);
      for (const state of change.states) this.states.set(state.name, state);
      for (const name of change.forgotten) this.states.delete(name);
    }
  }

  /** Presence and state of a profile, such as `live ready`; undefined for an unknown profile. */
  read(name: string): string | undefined {
    const state = this.states.get(name);
    return state && `${state.presence} ${state.status.state}`;
  }

  untilFirst(): Promise<FleetChange> {
    return until("the first states are read", () => this.changes[0]);
  }

  untilIs(name: string, wanted: string | undefined): Promise<unknown> {
    return until(`"${name}" is ${wanted ?? "forgotten"}`, () => this.read(name) === wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort();
    await this.#ended;
  }
}

describe("the stream of all profiles", () => {
  test("begins without a state folder, and sees a profile start, restart, stop and be forgotten", async () => {
    await using reader = new Reader();
    expect(await reader.untilFirst()).toEqual({ states: [], forgotten: [] });
    await home.writeFakeProfile("p");
    const { pid } = await upDetached(home, "p");
    await reader.untilIs("p", "live ready");
    expect(reader.states.get("p")?.status.pid).toBe(pid);
    await llmctl(["restart", "p"], { home });
    await until("the new server is ready", () => {
      const status = reader.states.get("p")?.status;
      return status?.state === "ready" && status.pid !== pid;
    });
    await llmctl(["down", "p"], { home });
    await reader.untilIs("p", "gone stopped");
    await llmctl(["forget", "p"], { home });
    await reader.untilIs("p", undefined);
    await upDetached(home, "p");
    await reader.untilIs("p", "live ready");
    await llmctl(["down", "p"], { home });
    await reader.untilIs("p", "gone stopped");
  });

  test("begins with the profiles that run or have run; a second profile appears later", async () => {
    for (const name of ["a", "b", "c"]) await home.writeFakeProfile(name);
    await upDetached(home, "a");
    await upDetached(home, "b");
    await llmctl(["down", "b"], { home });
    await using reader = new Reader();
    const { states } = await reader.untilFirst();
    expect(states.map(({ name, presence }) => [name, presence])).toEqual([
      ["a", "live"],
      ["b", "gone"],
    ]);
    await upDetached(home, "c");
    await reader.untilIs("c", "live ready");
    await llmctl(["down", "--all"], { home });
    await reader.untilIs("a", "gone stopped");
    await reader.untilIs("c", "gone stopped");
  });

  test("sees a supervisor that is killed, and the one that takes its place", async () => {
    await home.writeFakeProfile("p");
    const { supervisorPid } = await upDetached(home, "p");
    await using reader = new Reader({ fallbackMs: 2000 }); // no file tells of the end of a killed server
    await reader.untilIs("p", "live ready");
    process.kill(supervisorPid, "SIGKILL");
    await reader.untilIs("p", "gone ready");
    const second = await upDetached(home, "p");
    expect(second.supervisorPid).not.toBe(supervisorPid);
    await until("the new supervisor is read", () => {
      const state = reader.states.get("p");
      return state?.presence === "live" && state.status.supervisorPid === second.supervisorPid;
    });
    await llmctl(["down", "p"], { home });
  });

  test("says that a supervisor does not answer, and that it does again; the others go on", async () => {
    for (const name of ["p", "q"]) await home.writeFakeProfile(name);
    const { supervisorPid } = await upDetached(home, "p");
    await using reader = new Reader({ fallbackMs: 500 });
    await reader.untilIs("p", "live ready");
    process.kill(supervisorPid, "SIGSTOP");
    await reader.untilIs("p", "unresponsive ready");
    expect(reader.states.get("p")?.error?.code).toBe("unresponsive");
    await upDetached(home, "q");
    await reader.untilIs("q", "live ready");
    process.kill(supervisorPid, "SIGCONT");
    await reader.untilIs("p", "live ready");
    await llmctl(["down", "p", "q"], { home });
  });

  test("says why a state folder cannot be read, and goes on when it can be read", async () => {
    for (const name of ["p", "q"]) await home.writeFakeProfile(name);
    await upDetached(home, "q");
    await mkdir(home.join("state", "p"), { mode: 0o700 });
    await close(home.join("state"));
    await using reader = new Reader({ fallbackMs: 500 });
    const first = await reader.untilFirst();
    expect(first.states).toEqual([]);
    expect(first.error?.exit).toBe("permission");
    await reopen(home.join("state"));
    await reader.untilIs("q", "live ready");
    expect(reader.changes.at(-1)?.error).toBeUndefined();
    if (isRoot) {
      await close(home.join("state", "p"));
      await reader.untilIs("p", "unknown stopped");
      expect(reader.states.get("p")?.error?.code).toBe("foreign-folder");
      await reopen(home.join("state", "p"));
    }
    await upDetached(home, "p");
    await reader.untilIs("p", "live ready");
    await llmctl(["down", "p", "q"], { home });
  });

  test("keeps a profile whose folder is removed while its supervisor runs", async () => {
    await home.writeFakeProfile("p", {}, { health: { interval: "200ms" } });
    await upDetached(home, "p");
    await using reader = new Reader();
    await reader.untilIs("p", "live ready");
    await rename(home.join("state"), home.join("moved"));
    await llmctl(["restart", "p"], { home });
    await reader.untilIs("p", "live ready");
    expect(reader.changes.flatMap(({ forgotten }) => forgotten)).toEqual([]);
    await llmctl(["down", "p"], { home });
  });

  test("a reader that stops early leaves nothing open", async () => {
    await home.writeFakeProfile("p");
    await upDetached(home, "p");
    const before = process.getActiveResourcesInfo().length;
    for await (const { states } of watchFleet(findPaths({ LLMCTL_HOME: home.path }))) {
      expect(states.map(({ name }) => name)).toEqual(["p"]);
      break;
    }
    await until("all is closed", () => process.getActiveResourcesInfo().length <= before);
    await llmctl(["down", "p"], { home });
  });
});
