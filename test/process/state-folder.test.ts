import { chmod, chown, copyFile, mkdir, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { joinPatterns } from "../support/join-patterns.ts";
import { llmctl, startLlmctl } from "../support/llmctl.ts";
import { withFullDisk, withoutPrivileges, withReadOnly, withSmallDisk } from "../support/namespaces.ts";
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

  test("with a folder in the place of the state file leaves no supervisor behind", async () => {
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

describe("a special file in the place of a state or lock file blocks no command", () => {
  const pipe = (path: string) => execa("mkfifo", [path]);
  const huge = (path: string) => writeFile(path, "").then(() => truncate(path, 3e9));
  const folder = (path: string) => mkdir(path);

  async function put(name: string, make: (path: string) => Promise<unknown>): Promise<void> {
    await mkdir(home.join("state", "p"), { recursive: true, mode: 0o700 });
    await make(home.join("state", "p", name));
  }

  test.each([
    ["state.json", "a pipe", pipe],
    ["state.json", "a huge file", huge],
    ["lock", "a huge file", huge],
    ["server.lock", "a huge file", huge],
  ])("%s: %s counts as missing", async (name, _, make) => {
    await put(name, make);
    expect((await llmctl(["ps"], { home })).stdout).toBe("nothing is running");
    await upDetached(home, "p");
    expect(await llmctl(["down", "p"], { home })).toMatchObject({ exitCode: 0, stdout: 'stopped "p"' });
  });

  test.each([
    ["lock", "a pipe", pipe, "the path is not a regular file"],
    ["server.lock", "a pipe", pipe, "the path is not a regular file"],
    ["lock", "a folder", folder, "a folder is in the place of a file"],
    // This one is found after the control socket was opened.
    ["state.json", "a folder", folder, "a folder is in the place of a file"],
  ])("%s: with %s a start is refused and leaves no process", async (name, _, make, said) => {
    await put(name, make);
    await expectRefused(74, new RegExp(said));
    expect((await llmctl(["ps"], { home })).stdout).toBe("nothing is running");
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(3);
  });
});

// Only root can give a folder to another user.
describe.skipIf(process.getuid?.() !== 0 && process.env["CI"] === undefined)(
  "a profile's folder of another user",
  () => {
    beforeEach(async () => {
      await upDetached(home, "p");
      await mkdir(home.join("state", "other"), { mode: 0o700 });
      await chown(home.join("state", "other"), 65_534, 65_534);
    });
    afterEach(() => llmctl(["down", "p"], { home }));

    test("does not hide the other profiles", async () => {
      const { exitCode, stdout, stderr } = await llmctl(["ps"], { home });
      expect(stdout).toMatch(/^other +unknown +- .*\np +ready /m);
      expect(stderr).toMatch(/the folder \S+\/other belongs to "nobody" \(uid 65534\)/);
      expect(exitCode).toBe(77);
      const json = await llmctl(["ps", "--json"], { home });
      expect(JSON.parse(json.stdout)).toMatchObject([
        { name: "other", presence: "unknown", warnings: [expect.stringContaining("belongs to")] },
        { name: "p", presence: "live" },
      ]);
      expect(json).toMatchObject({ exitCode: 77, stderr: "" });
    });

    test("does not keep other profiles from being restarted", async () => {
      const before = await findServers(home);
      const { exitCode, stderr } = await llmctl(["restart", "--all"], { home });
      expect(stderr).toContain("belongs to");
      expect(exitCode).toBe(77);
      const after = await findServers(home);
      expect(after).toHaveLength(1);
      expect(after).not.toEqual(before);
    });

    test("is reported as well when it is the empty folder of all states", async () => {
      await llmctl(["down", "p"], { home });
      await rm(home.join("state"), { recursive: true });
      await mkdir(home.join("state"), { mode: 0o700 });
      await chown(home.join("state"), 65_534, 65_534);
      const { exitCode, stderr } = await llmctl(["ps"], { home });
      expect(stderr).toMatch(/the folder \S+\/state belongs to "nobody"/);
      expect(exitCode).toBe(77);
    });
  },
);

// Only root can give a file to another user.
test.skipIf(process.getuid?.() !== 0 && process.env["CI"] === undefined)(
  "a lock of another user is left alone, and the user is named",
  async () => {
    await mkdir(home.join("state", "p"), { recursive: true });
    await writeFile(home.join("state", "p", "lock"), "");
    await chown(home.join("state", "p", "lock"), 65_534, 65_534);
    await expectRefused(77, /the lock file belongs to another user: "nobody" \(uid 65534\)/);
  },
);

describe("without a usable runtime folder the socket is beside the state", () => {
  async function expectStarts(via: readonly string[] = []): Promise<void> {
    const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home, via });
    expect(stderr).toBe("");
    expect(exitCode).toBe(0);
    expect(await readStatus(home, "p")).toMatchObject({ presence: "live", state: "ready" });
    expect((await llmctl(["down", "p"], { home, via })).exitCode).toBe(0);
  }

  test("when the folder is not writable", async () => {
    await mkdir(home.join("run"));
    await chmod(home.join("run"), 0o555);
    await expectStarts(withoutPrivileges());
  });

  test("when the folder is read-only", async () => {
    await mkdir(home.join("run"));
    await expectStarts(withReadOnly(home.join("run")));
  });

  test("when the folder is a file", async () => {
    await writeFile(home.join("run"), "mine");
    await expectStarts();
  });
});

test("a home whose path is too long for a socket is refused, and ps lists nothing", async () => {
  const LLMCTL_HOME = home.join("x".repeat(120));
  await mkdir(join(LLMCTL_HOME, "config", "profiles"), { recursive: true });
  await copyFile(home.join("config", "profiles", "p.yaml"), join(LLMCTL_HOME, "config", "profiles", "p.yaml"));
  const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home, env: { LLMCTL_HOME } });
  expect(stderr).toMatch(
    joinPatterns(
      /the control socket's path has \d+ bytes, at most 103 are possible\n {2}at: .*\n/,
      / {2}fix: set XDG_RUNTIME_DIR or LLMCTL_HOME to a shorter path/,
    ),
  );
  expect(exitCode).toBe(78);
  expect(await readdir(home.path)).not.toContain("starts");
  expect((await llmctl(["ps"], { home, env: { LLMCTL_HOME } })).stdout).toContain("nothing is running");
});

test("a state file that cannot be written fails a start, and no idle supervisor is left", async () => {
  await mkdir(home.join("state", "p", "state.json"), { recursive: true, mode: 0o700 });
  await expectRefused(74, /cannot write \S+state\.json: a folder is in the place of a file/);
  expect((await llmctl(["down", "p"], { home })).exitCode).toBe(3);
  await rm(home.join("state", "p", "state.json"), { recursive: true });
  await upDetached(home, "p");
  await llmctl(["down", "p"], { home });
});

test("locks that were emptied on a full disk do not keep the supervisor from ending", async () => {
  await mkdir(home.join("state"));
  await using up = startLlmctl(["up", "p"], { home, via: withSmallDisk(home.join("state"), "1m") });
  await up.waitForLine(/ready on /);
  const disk = join("/proc", String(up.pid), "root", home.join("state"));
  await expect(writeFile(join(disk, "fill"), Buffer.alloc(2 << 20))).rejects.toThrow("ENOSPC");
  for (const lock of ["lock", "server.lock"]) await truncate(join(disk, "p", lock));
  // Fill the freed space, too.
  await expect(writeFile(join(disk, "more"), Buffer.alloc(2 << 20))).rejects.toThrow("ENOSPC");
  const { exitCode, stderr } = await up.stop();
  expect(stderr).not.toContain("internal error");
  expect(exitCode).toBe(0);
  expect(await findServers(home)).toEqual([]);
});

test("a state file that becomes unwritable stops nothing, and is a warning", async () => {
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

/** The supervisor's own warnings: the state file cannot be read meanwhile. */
async function findWarnings(): Promise<readonly string[]> {
  const { fetchStatus } = await import("../../src/control/client.ts");
  const status = await fetchStatus(home.join("run", "p.sock"));
  return status?.warnings ?? [];
}

test("a folder in place of the state file is refused before a start, and leaves no process", async () => {
  await mkdir(home.join("state", "p", "state.json", "full"), { recursive: true });
  await expectRefused(74, /cannot write \S+state\.json: a folder is in the place of a file/);
});
