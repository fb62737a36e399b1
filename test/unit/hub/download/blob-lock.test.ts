import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { withBlobLock } from "../../../../src/hub/download/blob-lock.ts";

let folder: string;
let path: string;
let events: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-lock-"));
  path = join(folder, "locks", "blob.lock");
  events = [];
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

function withLock<T>(action: () => Promise<T>, { name = "first", signal = new AbortController().signal } = {}) {
  return withBlobLock(path, { signal, onWait: () => void events.push(`${name} waits`) }, action);
}

/** An action that has the lock until `release`. */
function hold(name: string): { action: () => Promise<string>; release: () => void; hasLock: Promise<void> } {
  let release: () => void = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  let enter: () => void = () => {};
  const hasLock = new Promise<void>((resolve) => (enter = resolve));
  const action = async () => {
    events.push(`${name} begins`);
    enter();
    await released;
    events.push(`${name} ends`);
    return name;
  };
  return { action, release, hasLock };
}

/** Puts a program of this name before all others. */
async function stubFlock(script: string): Promise<void> {
  await writeFile(join(folder, "flock"), `#!/bin/sh\n${script}\n`);
  await chmod(join(folder, "flock"), 0o755);
  vi.stubEnv("PATH", `${folder}:${process.env["PATH"]}`);
}

describe("the lock of a blob", () => {
  test("makes its folder, and stays as an empty file that the umask alone restricts", async () => {
    expect(await withLock(async () => "done")).toBe("done");
    expect(await readFile(path, "utf8")).toBe("");
    expect((await stat(path)).mode & 0o777).toBe(0o666 & ~process.umask());
    expect(events).toEqual([]);
  });

  test("lets one in, and the next one after it, which is told that it waits", async () => {
    const first = hold("first");
    const second = hold("second");
    const firstDone = withLock(first.action);
    await first.hasLock;
    const secondDone = withLock(second.action, { name: "second" });
    await vi.waitFor(() => expect(events).toContain("second waits"), { interval: 1, timeout: 30_000 });
    await nextTurn();
    first.release();
    expect(await firstDone).toBe("first");
    await second.hasLock;
    second.release();
    expect(await secondDone).toBe("second");
    expect(events).toEqual(["first begins", "second waits", "first ends", "second begins", "second ends"]);
  });

  test("is free again after an action that fails, whose error is told", async () => {
    await expect(withLock(() => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    expect(await withLock(async () => "done")).toBe("done");
    expect(events).toEqual([]);
  });

  test("is no longer waited for after an interruption", async () => {
    const first = hold("first");
    const firstDone = withLock(first.action);
    await first.hasLock;
    const stop = new AbortController();
    const reason = new Error("Ctrl-C");
    const waiting = withBlobLock(path, { signal: stop.signal, onWait: () => stop.abort(reason) }, async () => "never");
    await expect(waiting).rejects.toBe(reason);
    first.release();
    await firstDone;
    expect(events).toEqual(["first begins", "first ends"]);
  });

  test("is not asked for when there is an interruption already", async () => {
    const reason = new Error("Ctrl-C");
    await expect(withLock(async () => "never", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test("is refused where somebody has put a link, whose target is unchanged", async () => {
    await withLock(async () => {});
    await rm(path);
    await writeFile(join(folder, "victim"), "precious");
    await symlink(join(folder, "victim"), path);
    await expect(withLock(async () => "never")).rejects.toMatchObject({ code: "not-a-file", at: path });
    expect(await readFile(join(folder, "victim"), "utf8")).toBe("precious");
  });
});

describe("the tool flock", () => {
  test("that is missing is an error that says how to install it", async () => {
    vi.stubEnv("PATH", folder);
    await expect(withLock(async () => "never")).rejects.toMatchObject({
      code: "no-flock",
      message: 'the program "flock" is missing',
      exit: "failed",
      fix: "install util-linux (on macOS: brew install flock)",
    });
  });

  test("that cannot be started is the system's error", async () => {
    await stubFlock("exit 0");
    await chmod(join(folder, "flock"), 0o644);
    vi.stubEnv("PATH", folder);
    await expect(withLock(async () => "never")).rejects.toMatchObject({ code: "EACCES" });
  });

  test.each([
    ["exit 1", "flock ended with status 1"],
    ["kill -9 $$", "flock ended with SIGKILL"],
  ])("that fails (%s) is an error about the file system", async (script, message) => {
    await stubFlock(script);
    await expect(withLock(async () => "never")).rejects.toMatchObject({
      code: "lock-failed",
      message,
      exit: "io",
      fix: "check that the file system of the Hugging Face cache supports locks",
    });
  });

  test("is asked for a lock that may be held at first, and then waits for it", async () => {
    await stubFlock(`printf '%s\\n' "$*" >> ${folder}/asked; [ "$1" = -n ] && exit 75; exit 0`);
    expect(await withLock(async () => "done")).toBe("done");
    expect(events).toEqual(["first waits"]);
    expect(await readFile(join(folder, "asked"), "utf8")).toBe("-n -E 75 3\n-E 75 3\n");
  });
});
