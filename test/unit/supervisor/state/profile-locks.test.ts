import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import type { Status } from "../../../../src/control/messages.ts";
import { makeLockRecord, readLockRecord, thisProcess } from "../../../../src/supervisor/state/lock-record.ts";
import { takeServerLock, takeSupervisorLock } from "../../../../src/supervisor/state/profile-locks.ts";
import { writeState } from "../../../../src/supervisor/state/state-file.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { FakeFlock } from "../../../support/fake-flock.ts";
import { gone, otherNamespace, parent } from "../../../support/identities.ts";
import { makeStatus } from "../../../support/make-status.ts";

let folder: string;
let state: string;
let path: string;
let clock: FakeClock;
let locks: FakeFlock;
let answer: () => Status | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-locks-"));
  state = join(folder, "state");
  mkdirSync(join(state, "p"), { recursive: true, mode: 0o700 });
  path = join(state, "p", "lock");
  clock = new FakeClock();
  locks = new FakeFlock();
  answer = () => undefined;
});
afterEach(() => rmSync(folder, { recursive: true }));

const lookup = () => ({ clock, flock: locks.flock, ask: async () => answer() });
const takeSupervisor = () => clock.until(takeSupervisorLock({ runtime: join(folder, "run"), state }, "p", lookup()));
const takeServer = () => clock.until(takeServerLock(state, "p", lookup()));

const note = (record: unknown, name = "lock") => writeFileSync(join(state, "p", name), JSON.stringify(record));
const isFree = () => {
  const end = locks.hold(path);
  end();
  return true;
};
const unknownHolder = (at: string) =>
  new LlmctlError("lock-held", "an unknown process holds the profile's lock", {
    exit: "busy",
    at,
    fix: `find it with "fuser ${at}" and stop it`,
  });

/** How long a call takes. */
async function timeOf(call: () => Promise<unknown>): Promise<number> {
  const startMs = clock.nowMs();
  await call();
  return clock.nowMs() - startMs;
}

describe("the supervisor's lock", () => {
  test("is taken at once where nobody has it, and names this process", async () => {
    rmSync(state, { recursive: true });
    expect(await timeOf(async () => (await takeSupervisor())?.release())).toBe(0);
    const lock = await takeSupervisor();
    expect(lock?.path).toBe(path);
    expect(readLockRecord(path)).toEqual(makeLockRecord("p"));
    lock?.release();
  });

  test("is taken from a holder that has ended", async () => {
    note({ holder: gone, profile: "p" });
    const lock = await takeSupervisor();
    expect(readLockRecord(path)).toEqual(makeLockRecord("p"));
    lock?.release();
  });

  test.each([
    ["runs", parent],
    ["runs in another pid namespace", otherNamespace],
  ])("is refused at once while a known holder %s", async (_, holder) => {
    note({ holder, profile: "p" });
    const end = locks.hold(path);
    expect(await timeOf(async () => expect(await takeSupervisor()).toBeUndefined())).toBe(0);
    end();
  });

  test("is refused once an unknown holder has written its record", async () => {
    const end = locks.hold(path);
    clock.setTimer(70, () => note({ holder: parent, profile: "p" }));
    expect(await timeOf(async () => expect(await takeSupervisor()).toBeUndefined())).toBe(80);
    end();
  });

  test("is refused to the later of two that have opened the file at the same instant", async () => {
    let end = () => {};
    locks.before.push(() => {
      end = locks.hold(path);
      clock.setTimer(10, () => note({ holder: parent, profile: "p" }));
    });
    expect(await timeOf(async () => expect(await takeSupervisor()).toBeUndefined())).toBe(20);
    end();
  });

  test.each<[string, unknown]>([
    ["whose record is missing", ""],
    ["whose record says that it is released", { released: true }],
    ["whose record names a process that has ended", { holder: gone, profile: "p" }],
    ["whose record names this process, as of an adopted server", { holder: thisProcess, profile: "p" }],
  ])("is waited for, while somebody holds it %s", async (_, record) => {
    note(record);
    const end = locks.hold(path);
    clock.setTimer(1000, end);
    expect(await timeOf(async () => (await takeSupervisor())?.release())).toBe(1000);
  });

  test("is given up after 5 s of an unknown holder", async () => {
    const end = locks.hold(path);
    expect(await timeOf(() => expect(takeSupervisor()).rejects.toEqual(unknownHolder(path)))).toBe(5020);
    end();
  });

  test("is not taken beside a supervisor without a lock file that its server's lock or its state names", async () => {
    note({ holder: parent, profile: "p" }, "server.lock");
    expect(await takeSupervisor()).toBeUndefined();
    rmSync(join(state, "p", "server.lock"));
    await writeState(state, { status: makeStatus(), supervisor: parent, server: null });
    expect(await takeSupervisor()).toBeUndefined();
    expect([existsSync(path), locks.calls]).toEqual([false, 0]);
  });

  test("is given back where a supervisor answers that has no lock, as one of an older version", async () => {
    answer = () => makeStatus();
    expect(await takeSupervisor()).toBeUndefined();
    expect(readLockRecord(path)).toBe("released");
    expect(isFree()).toBe(true);
  });

  test("is given back where a supervisor without a lock shows between the look and the lock", async () => {
    locks.before.push(() => note({ holder: parent, profile: "p" }, "server.lock"));
    expect(await takeSupervisor()).toBeUndefined();
    expect(readLockRecord(path)).toBe("released");
    expect(isFree()).toBe(true);
  });

  test("is given back where the folder is opened to others meanwhile", async () => {
    locks.before.push(() => chmodSync(join(state, "p"), 0o777));
    await expect(takeSupervisor()).rejects.toMatchObject({ code: "foreign-folder", at: join(state, "p") });
    chmodSync(join(state, "p"), 0o700);
    expect(readLockRecord(path)).toBe("released");
    expect(isFree()).toBe(true);
  });

  test("is refused by a supervisor that answers and holds it", async () => {
    answer = () => makeStatus();
    note({ holder: parent, profile: "p" });
    const end = locks.hold(path);
    expect(await takeSupervisor()).toBeUndefined();
    end();
  });

  test("is kept where its file is removed right after it was taken", async () => {
    answer = () => {
      rmSync(path, { force: true });
      return undefined;
    };
    const lock = await takeSupervisor();
    expect([lock?.path, lock?.isInPlace()]).toEqual([path, false]);
    lock?.release();
  });

  test("closes the folder of all states to others, and is not tried in one that others could have filled", async () => {
    chmodSync(state, 0o755);
    (await takeSupervisor())?.release();
    expect(statSync(state).mode & 0o777).toBe(0o700);
    const { calls } = locks;
    chmodSync(state, 0o777);
    await expect(takeSupervisor()).rejects.toMatchObject({ code: "foreign-folder", at: state });
    expect(locks.calls).toBe(calls);
  });

  test("is not waited for after it was taken: its own record is no other supervisor", async () => {
    expect(await timeOf(async () => (await takeSupervisor())?.release())).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test("needs a folder", async () => {
    rmSync(state, { recursive: true });
    writeFileSync(state, "mine");
    await expect(takeSupervisor()).rejects.toMatchObject({
      code: "state-unwritable",
      message: `cannot write ${path}: a file is in the place of a folder`,
    });
  });
});

describe("the server's lock", () => {
  const serverPath = () => join(state, "p", "server.lock");

  test("is waited for while a dying server holds it", async () => {
    note({ holder: gone, profile: "p" }, "server.lock");
    clock.setTimer(1000, locks.hold(serverPath()));
    const lock = await takeServer();
    expect(lock.path).toBe(serverPath());
    expect(readLockRecord(serverPath())).toEqual(makeLockRecord("p"));
    lock.release();
  });

  test("is not waited for while a server runs that is not ours", async () => {
    note({ holder: otherNamespace, profile: "p" }, "server.lock");
    const end = locks.hold(serverPath());
    const error = new LlmctlError(
      "lock-held",
      'another server of "p" still runs, which this supervisor did not start',
      { exit: "busy", at: serverPath(), fix: "it may run in a container or another pid namespace: stop it there" },
    );
    expect(await timeOf(() => expect(takeServer()).rejects.toEqual(error))).toBe(0);
    end();
  });

  test("is given up after 5 s", async () => {
    const end = locks.hold(serverPath());
    expect(await timeOf(() => expect(takeServer()).rejects.toEqual(unknownHolder(serverPath())))).toBe(5020);
    end();
  });
});
