import { chmod, chown, copyFile, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl } from "../support/llmctl.ts";
import { withFullDisk, withoutPrivileges, withReadOnly } from "../support/namespaces.ts";
import { findServers, readStatus, untilStatus, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
  await home.writeFakeProfile("p", { stateFile: home.join("starts") });
});
afterEach(() => home[Symbol.asyncDispose]());

/** A start in the foreground and one in the background are both refused, before any server is started. */
async function expectRefused(code: number, said: RegExp, via: readonly string[] = []): Promise<void> {
  for (const args of [
    ["up", "-d", "p"],
    ["up", "p"],
  ]) {
    const { exitCode, stderr } = await llmctl(args, { home, via });
    expect(stderr).toMatch(said);
    expect(stderr).toMatch(/ {2}at: {2}\S*\/(run|state)\S*\n {2}fix: /);
    expect(exitCode).toBe(code);
  }
  expect(await readdir(home.path)).not.toContain("starts");
}

describe("the folder of the state", () => {
  const name = "state";

  test("that may not be written", async () => {
    await mkdir(home.join(name));
    await chmod(home.join(name), 0o555);
    await expectRefused(77, /cannot write \S+: no permission to write there/, withoutPrivileges());
  });

  test("that is read-only", async () => {
    await mkdir(home.join(name));
    await expectRefused(74, /cannot write \S+: .*the file system (is|may be) read-only/, withReadOnly(home.join(name)));
  });

  test("on a full disk", async () => {
    await mkdir(home.join(name));
    await expectRefused(74, /cannot write \S+: no space left on the disk/, withFullDisk(home.join(name)));
  });

  test("in which a folder is in the place of the state leaves no supervisor behind", async () => {
    await mkdir(home.join(name, "p", "state.json"), { recursive: true, mode: 0o700 });
    await expectRefused(74, /cannot write \S+: a folder is in the place of a file/);
    expect((await llmctl(["ps"], { home })).stdout).toBe("nothing is running");
  });

  test("that is a file", async () => {
    await writeFile(home.join(name), "mine");
    await expectRefused(74, /cannot write \S+: a file is in the place of a folder/);
    for (const args of [["ps"], ["down", "p"], ["logs", "p"], ["status", "p"]]) {
      const { stderr } = await llmctl(args, { home });
      expect(stderr).not.toContain("internal error");
    }
  });
});

// To give a file away takes root.
test.skipIf(process.getuid?.() !== 0 && process.env["CI"] === undefined)(
  "a lock of another user's is left alone, and the user named",
  async () => {
    await mkdir(home.join("state", "p"), { recursive: true });
    await writeFile(home.join("state", "p", "lock"), "");
    await chown(home.join("state", "p", "lock"), 65_534, 65_534);
    await expectRefused(77, /the lock file belongs to another user: "nobody" \(uid 65534\)/);
  },
);

describe("a runtime folder in which there can be no socket: it is beside the state", () => {
  async function expectStarts(via: readonly string[] = []): Promise<void> {
    const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home, via });
    expect(stderr).toBe("");
    expect(exitCode).toBe(0);
    expect(await readStatus(home, "p")).toMatchObject({ presence: "live", state: "ready" });
    expect((await llmctl(["down", "p"], { home, via })).exitCode).toBe(0);
  }

  test("since it may not be written", async () => {
    await mkdir(home.join("run"));
    await chmod(home.join("run"), 0o555);
    await expectStarts(withoutPrivileges());
  });

  test("since it is read-only", async () => {
    await mkdir(home.join("run"));
    await expectStarts(withReadOnly(home.join("run")));
  });

  test("since it is a file", async () => {
    await writeFile(home.join("run"), "mine");
    await expectStarts();
  });
});

test("a folder whose path is too long for a socket is refused, and ps finds nothing there", async () => {
  const LLMCTL_HOME = home.join("x".repeat(120));
  await mkdir(join(LLMCTL_HOME, "config", "profiles"), { recursive: true });
  await copyFile(home.join("config", "profiles", "p.yaml"), join(LLMCTL_HOME, "config", "profiles", "p.yaml"));
  const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home, env: { LLMCTL_HOME } });
  expect(stderr).toMatch(
    /the control socket's path has \d+ bytes, at most 103 are possible\n {2}at: .*\n {2}fix: set XDG_RUNTIME_DIR or LLMCTL_HOME to a shorter path/,
  );
  expect(exitCode).toBe(78);
  expect(await readdir(home.path)).not.toContain("starts");
  expect((await llmctl(["ps"], { home, env: { LLMCTL_HOME } })).stdout).toContain("nothing is running");
});

test("a state that can no longer be written stops nothing, and status says so", async () => {
  const { pid } = await upDetached(home, "p");
  await rm(home.join("state", "p", "state.json"));
  await mkdir(home.join("state", "p", "state.json"));
  process.kill(pid, "SIGKILL");
  await llmctl(["restart", "p"], { home });
  const warnings = await findWarnings();
  expect(warnings).toContainEqual(expect.stringContaining(join("p", "state.json")));
  expect(await findServers(home)).toHaveLength(1);
  await rm(home.join("state", "p", "state.json"), { recursive: true });
  expect((await llmctl(["restart", "p"], { home })).exitCode).toBe(0);
  await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
  expect((await readStatus(home, "p")).presence).toBe("live");
  await llmctl(["down", "p"], { home });
});

/** From the supervisor itself: the state file cannot be read meanwhile. */
async function findWarnings(): Promise<readonly string[]> {
  const { fetchStatus } = await import("../../src/control/client.ts");
  const status = await fetchStatus(home.join("run", "p.sock"));
  return status?.warnings ?? [];
}
