import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import {
  isLocked,
  isLockHeld,
  recordInheritedLock,
  runFlock,
  stateUnwritable,
  takeLock,
  takeSharedLock,
} from "../../../../src/supervisor/state/file-lock.ts";
import { type LockRecord, makeLockRecord, readLockRecord } from "../../../../src/supervisor/state/lock-record.ts";
import { FakeFlock } from "../../../support/fake-flock.ts";
import { gone, otherNamespace, parent, reusedPid } from "../../../support/identities.ts";
import { thrownBy } from "../../../support/thrown-by.ts";

let folder: string;
let path: string;
let locks: FakeFlock;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-lock-"));
  path = join(folder, "p", "lock");
  locks = new FakeFlock();
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const record = makeLockRecord("p");
const take = (flock = locks.flock) => takeLock(path, record, flock);
const remove = (one: string) => rmSync(one);

/** Descriptors of this process for a file below the folder, removed ones included. */
function countOpen(): number {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // the one that has read the folder
    }
  });
  return links.filter((link) => link.startsWith(folder)).length;
}

function put(text: string): void {
  mkdirSync(join(folder, "p"), { mode: 0o700 });
  writeFileSync(path, text);
}

describe("a lock", () => {
  test("is taken with a new file and folder that are its user's alone, and names its holder", () => {
    const lock = take();
    expect(lock).toMatchObject({ path });
    expect(lock?.isInPlace()).toBe(true);
    expect(readLockRecord(path)).toEqual(record);
    expect([statSync(join(folder, "p")).mode & 0o777, statSync(path).mode & 0o777]).toEqual([0o700, 0o600]);
    lock?.release();
  });

  test("is refused to a second taker, which keeps no descriptor and leaves the record alone", () => {
    const lock = take();
    expect(takeLock(path, makeLockRecord("other"), locks.flock)).toBeUndefined();
    expect(readLockRecord(path)).toEqual(record);
    expect(countOpen()).toBe(1);
    lock?.release();
  });

  test("that is released can be taken, has no open file, and its file says that it is released", () => {
    const lock = take();
    lock?.release();
    expect(readLockRecord(path)).toBe("released");
    expect(countOpen()).toBe(0);
    const next = take();
    expect(readLockRecord(path)).toEqual(record);
    next?.release();
  });

  test("of a dead holder can be taken although the file still names it", () => {
    put(JSON.stringify({ holder: gone, profile: "p" }));
    const lock = take();
    expect(readLockRecord(path)).toEqual(record);
    lock?.release();
  });

  test("is not in its place after its file was removed, or replaced", () => {
    const lock = take();
    renameSync(path, `${path}~`);
    expect(lock?.isInPlace()).toBe(false);
    writeFileSync(path, readFileSync(`${path}~`));
    expect(lock?.isInPlace()).toBe(false);
    renameSync(`${path}~`, path);
    expect(lock?.isInPlace()).toBe(true);
    lock?.release();
  });

  test("writes a new record over the old one, and none that the file has already", () => {
    const lock = take();
    utimesSync(path, 1, 1);
    lock?.record(record);
    expect(statSync(path).mtimeMs).toBe(1000);
    lock?.record(makeLockRecord("p", { socket: "/run/p.sock" }));
    expect(readLockRecord(path)).toEqual({ ...record, socket: "/run/p.sock" });
    lock?.release();
  });
});

describe("between the opening of a lock file and its lock", () => {
  test("somebody removes the file: the lock is taken on a new one", () => {
    locks.before.push(remove, remove);
    const lock = take();
    expect(lock?.isInPlace()).toBe(true);
    expect(readLockRecord(path)).toEqual(record);
    expect([locks.calls, countOpen()]).toEqual([3, 1]);
    lock?.release();
  });

  test("somebody removes the file and locks a new one: the lock is refused", () => {
    let end = () => {};
    locks.before.push((one) => {
      rmSync(one);
      end = locks.hold(one);
    });
    expect(take()).toBeUndefined();
    expect(countOpen()).toBe(1);
    end();
  });

  test("somebody puts a link in its place: it is not followed", () => {
    const target = join(folder, "target");
    locks.before.push((one) => {
      renameSync(one, target);
      symlinkSync(target, one);
    });
    expect(thrownBy(take)).toMatchObject({ code: "state-unwritable", exit: "permission" });
    expect([readFileSync(target, "utf8"), countOpen()]).toEqual(["", 0]);
  });

  test("somebody removes the file each time: it is given up after ten tries", () => {
    locks.before.push(...Array.from({ length: 20 }, () => remove));
    expect(thrownBy(take)).toEqual(
      new LlmctlError("lock-failed", "the lock file is removed again and again", { exit: "io", at: path }),
    );
    expect([locks.calls, countOpen()]).toEqual([10, 0]);
  });
});

test("a lock whose record cannot be written is not kept", () => {
  const error = Object.assign(new Error("ENOSPC: no space left on device, write"), {
    code: "ENOSPC",
    syscall: "write",
  });
  const unwritable = {
    get holder(): never {
      throw error;
    },
  } as unknown as LockRecord;
  expect(thrownBy(() => takeLock(path, unwritable, locks.flock))).toEqual(stateUnwritable(path, error));
  expect(countOpen()).toBe(0);
  take()?.release();
});

test.each([
  ["exclusive", () => take(runFlock)],
  ["shared", () => takeSharedLock(path, runFlock)],
  ["look at a", () => isLocked(path, runFlock)],
])("without the tool, a %s lock is an error that says what to install, and no file stays open", (_, call) => {
  put("");
  vi.stubEnv("PATH", folder);
  expect(thrownBy(call)).toEqual(
    new LlmctlError("tool-missing", 'the tool "flock" is not installed', {
      exit: "missingFile",
      fix: "install util-linux",
    }),
  );
  expect(countOpen()).toBe(0);
});

test("a tool that fails is an error with the tool's own words", () => {
  put("");
  writeFileSync(join(folder, "flock"), "#!/bin/sh\necho ' flock: 3: No locks available' >&2\nexit 71\n");
  chmodSync(join(folder, "flock"), 0o755);
  vi.stubEnv("PATH", `${folder}:/bin:/usr/bin`);
  expect(thrownBy(() => take(runFlock))).toEqual(
    new LlmctlError("lock-failed", "cannot lock: flock: 3: No locks available", { exit: "io", at: path }),
  );
  expect(countOpen()).toBe(0);
});

describe("the kernel", () => {
  test.each([
    ["exclusive", "exclusive", false],
    ["exclusive", "shared", false],
    ["shared", "exclusive", false],
    ["shared", "shared", true],
  ] as const)("after a lock that is %s, grants one that is %s: %s", (first, second, isGranted) => {
    const takeOne = { exclusive: () => take(runFlock), shared: () => takeSharedLock(path, runFlock) };
    const held = takeOne[first]();
    const other = takeOne[second]();
    expect(other !== undefined).toBe(isGranted);
    other?.release();
    held?.release();
    expect(isLocked(path, runFlock)).toBe(false);
  });
});

test("a shared lock leaves no record, and its release lets an exclusive taker in", () => {
  const [one, two] = [takeSharedLock(path, locks.flock), takeSharedLock(path, locks.flock)];
  one?.release();
  expect(take()).toBeUndefined();
  two?.release();
  expect([readFileSync(path, "utf8"), countOpen()]).toEqual(["", 0]);
  take()?.release();
});

describe("whether a lock is held", () => {
  test.each<[string, string, boolean]>([
    ["by a process that runs", JSON.stringify({ holder: parent, profile: "p" }), true],
    ["by one that has ended", JSON.stringify({ holder: gone, profile: "p" }), false],
    ["by one whose pid another process has now", JSON.stringify({ holder: reusedPid, profile: "p" }), false],
    ["by nobody since its release", JSON.stringify({ released: true }), false],
  ])("the record tells: %s", (_, text, isHeld) => {
    put(text);
    expect([isLockHeld(path, locks.flock), locks.calls]).toEqual([isHeld, 0]);
  });

  test.each([
    ["no record", ""],
    ["half a record", '{"holder":{"pid":1,'],
    ["a holder in another pid namespace", JSON.stringify({ holder: otherNamespace, profile: "p" })],
  ])("the kernel tells, where the file has %s", (_, text) => {
    put(text);
    expect(isLockHeld(path, locks.flock)).toBe(false);
    for (const kind of ["exclusive", "shared"] as const) {
      const end = locks.hold(path, kind);
      expect([isLockHeld(path, locks.flock), countOpen()]).toEqual([kind === "exclusive", 1]);
      end();
    }
  });

  test("a missing file and a link are held by nobody, and are not created or followed", () => {
    expect(isLocked(path, locks.flock)).toBe(false);
    put("");
    rmSync(path);
    symlinkSync(join(folder, "target"), path);
    writeFileSync(join(folder, "target"), "");
    const end = locks.hold(join(folder, "target"));
    expect(isLocked(path, locks.flock)).toBe(false);
    end();
  });

  // Only root can give a file to another user.
  test.skipIf(process.getuid?.() !== 0)("another user's file is refused before its lock is tried", () => {
    put("");
    chownSync(path, 65_534, 65_534);
    expect(thrownBy(() => isLocked(path, locks.flock))).toMatchObject({
      code: "foreign-file",
      message: expect.stringContaining("the lock file belongs to another user"),
    });
    expect([locks.calls, countOpen()]).toEqual([0, 0]);
  });
});

describe("the record of a lock that a server has inherited", () => {
  test("is written into a file that was removed, and only where it is missing", () => {
    recordInheritedLock(path, record);
    expect(readLockRecord(path)).toEqual(record);
    utimesSync(path, 1, 1);
    recordInheritedLock(path, record);
    expect(statSync(path).mtimeMs).toBe(1000);
    expect(countOpen()).toBe(0);
  });

  test("becomes that of a released lock", () => {
    recordInheritedLock(path, record);
    recordInheritedLock(path, undefined);
    expect([readLockRecord(path), countOpen()]).toEqual(["released", 0]);
  });
});

test("a file in the place of the folder is an error, and stays", () => {
  writeFileSync(join(folder, "p"), "mine");
  expect(thrownBy(take)).toMatchObject({
    code: "state-unwritable",
    message: expect.stringContaining("a file is in the place of a folder"),
  });
  expect(existsSync(join(folder, "p"))).toBe(true);
});

test.each([
  ["ENOSPC", "no space left on the disk", "io", "free some space"],
  ["EDQUOT", "no space left on the disk", "io", "free some space"],
  [
    "EACCES",
    "no permission to write there",
    "permission",
    "check who owns the folder, or set LLMCTL_HOME to one that you can write",
  ],
  [
    "EPERM",
    "no permission to write there",
    "permission",
    "check who owns the folder, or set LLMCTL_HOME to one that you can write",
  ],
  ["EROFS", "the file system is read-only", "io", "set LLMCTL_HOME to a folder that can be written"],
  [
    "ENOENT",
    "its folder cannot be created, the file system may be read-only",
    "io",
    "set LLMCTL_HOME to a folder that can be written",
  ],
  [
    "ENOTDIR",
    "a file is in the place of a folder",
    "io",
    "remove that file, or set LLMCTL_HOME to a folder that can be written",
  ],
  [
    "EEXIST",
    "a file is in the place of a folder",
    "io",
    "remove that file, or set LLMCTL_HOME to a folder that can be written",
  ],
  ["EISDIR", "a folder is in the place of a file", "io", "remove that folder"],
  [
    "ELOOP",
    "a link is in the place of the file",
    "permission",
    "remove that link, or set LLMCTL_HOME to a folder that can be written",
  ],
  ["EIO", "EIO: input/output error", "io", "set LLMCTL_HOME to a folder that can be written"],
] as const)("%s is described as: %s", (code, why, exit, fix) => {
  const cause = Object.assign(new Error("EIO: input/output error, write '/a/b/f.1-2.tmp'"), { code });
  expect(stateUnwritable("/a/b/f", cause)).toEqual(
    new LlmctlError("state-unwritable", `cannot write /a/b/f: ${why}`, { exit, at: "/a/b", fix, cause }),
  );
});

test("an error that says already what is wrong is kept", () => {
  const error = new LlmctlError("not-a-file", "the path is not a regular file", { exit: "io" });
  expect(stateUnwritable("/a/b/f", error)).toBe(error);
  expect(stateUnwritable("/a/b/f", "odd").message).toBe("cannot write /a/b/f: odd");
});
