import { execFileSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { EventLog, eventLogPath } from "../../../../src/supervisor/log/event-log.ts";
import { openLogForAppending } from "../../../../src/supervisor/log/open-log-for-appending.ts";
import { ServerLog } from "../../../../src/supervisor/log/server-log.ts";
import { PortLock } from "../../../../src/supervisor/port/port-lock.ts";
import {
  isLocked,
  recordInheritedLock,
  stateUnwritable,
  takeLock,
  takeSharedLock,
} from "../../../../src/supervisor/state/file-lock.ts";
import { serverLockPath, supervisorLockPath } from "../../../../src/supervisor/state/find-supervisor.ts";
import { makeLockRecord } from "../../../../src/supervisor/state/lock-record.ts";
import { readState, stateFilePath, writeFirstState, writeState } from "../../../../src/supervisor/state/state-file.ts";
import { FakeFlock } from "../../../support/fake-flock.ts";
import { parent } from "../../../support/identities.ts";
import { makeEvent, makeStatus } from "../../../support/make-status.ts";

let state: string;
let target: string;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "llmctl-planted-"));
  for (const name of ["p", ".ports"]) mkdirSync(join(state, name), { mode: 0o700 });
  target = join(state, "target");
  writeFileSync(target, "somebody's");
});
afterEach(() => rmSync(state, { recursive: true }));

const { flock } = new FakeFlock();
const record = makeLockRecord("p");
const stateRecord = { status: makeStatus(), supervisor: parent, server: null };
/** A use of the file that reports a refusal in place of throwing it. */
const failing = (use: (fail: (text: string) => void) => void) => {
  use((text) => {
    throw new LlmctlError("reported", text, { exit: "io" });
  });
};
const reserve = async (host: string) => {
  const cause = await new PortLock(state, flock).take({ name: "p", host, port: 8111 });
  if (cause !== undefined) throw new LlmctlError(cause.kind, cause.message, { exit: cause.exit });
};

/** Everything that is opened for writing in a folder that somebody else may have had: its file, and its use. */
const writers: readonly (readonly [what: string, path: () => string, use: (path: string) => unknown])[] = [
  ["the supervisor's lock", () => supervisorLockPath(state, "p"), (path) => takeLock(path, record, flock)],
  ["the server's lock", () => serverLockPath(state, "p"), (path) => takeLock(path, record, flock)],
  ["the lock of an adopted server", () => serverLockPath(state, "p"), (path) => recordInheritedLock(path, record)],
  ["the end of such a lock", () => serverLockPath(state, "p"), (path) => recordInheritedLock(path, undefined)],
  ["a shared lock", () => join(state, ".ports", "8111.lock"), (path) => takeSharedLock(path, flock)],
  ["the lock of a port", () => join(state, ".ports", "8111.lock"), () => reserve("0.0.0.0")],
  ["the lock of a port of one address", () => join(state, ".ports", "8111.lock"), () => reserve("127.0.0.1")],
  ["the lock of an address", () => join(state, ".ports", "8111@127.0.0.1.lock"), () => reserve("127.0.0.1")],
  ["a log", () => join(state, "p", "any.log"), (path) => closeSync(openLogForAppending(path))],
  ["the server's log", () => join(state, "p", "server.log"), (path) => new ServerLog(path, { maxBytes: 9, keep: 1 })],
  [
    "the event log",
    () => eventLogPath(state, "p"),
    (path) => failing((fail) => new EventLog(path, fail).append(makeEvent())),
  ],
];

const plants: readonly (readonly [what: string, said: string, make: (path: string) => unknown])[] = [
  ["a link", "a link is in the place of the file", (path) => symlinkSync(target, path)],
  ["a link to nothing", "a link is in the place of the file", (path) => symlinkSync(join(state, "nothing"), path)],
  ["a second hard link", "has a second hard link", (path) => linkSync(target, path)],
  ["a pipe", "the path is not a regular file", (path) => execFileSync("mkfifo", [path])],
  ["a folder", "a folder is in the place of a file", (path) => mkdirSync(path)],
];

/** A use that puts an error of the system into words, as the supervisor does. */
async function explained(path: string, use: (path: string) => unknown): Promise<void> {
  try {
    await use(path);
  } catch (error) {
    throw stateUnwritable(path, error);
  }
}

describe.each(writers)("%s", (_, pathOf, use) => {
  test.each(plants)("where %s is, is refused: %s; and nothing is written through it", async (__, said, plant) => {
    const path = pathOf();
    plant(path);
    await expect(explained(path, use)).rejects.toThrow(said);
    expect(readFileSync(target, "utf8")).toBe("somebody's");
    expect(existsSync(join(state, "nothing"))).toBe(false);
  });
});

describe("the state", () => {
  test.each(plants.slice(0, 4))("takes the place of %s, and nothing is written through it", async (_, __, plant) => {
    plant(stateFilePath(state, "p"));
    await writeState(state, stateRecord);
    expect(await readState(state, "p")).toEqual(stateRecord);
    expect(lstatSync(stateFilePath(state, "p")).isFile()).toBe(true);
    expect(readFileSync(target, "utf8")).toBe("somebody's");
    expect(existsSync(join(state, "nothing"))).toBe(false);
  });

  test("of a killed writer is removed, also where a link has its name", async () => {
    symlinkSync(target, `${stateFilePath(state, "p")}.1-00000000.tmp`);
    await writeFirstState(state, stateRecord);
    expect(lstatSync(`${stateFilePath(state, "p")}.1-00000000.tmp`, { throwIfNoEntry: false })).toBeUndefined();
    expect(readFileSync(target, "utf8")).toBe("somebody's");
  });
});

test("a link in the place of a lock is not locked by a look", () => {
  symlinkSync(target, supervisorLockPath(state, "p"));
  const locks = new FakeFlock();
  expect([isLocked(supervisorLockPath(state, "p"), locks.flock), locks.calls]).toEqual([false, 0]);
});

describe("a folder in whose place another user could have put a link", () => {
  test.each(writers)("is refused for %s", async (_, pathOf, use) => {
    const path = pathOf();
    const elsewhere = join(state, "elsewhere");
    mkdirSync(elsewhere, { mode: 0o700 });
    rmSync(join(path, ".."), { recursive: true });
    symlinkSync(elsewhere, join(path, ".."));
    await expect(explained(path, use)).rejects.toThrow("is a link");
  });
});
