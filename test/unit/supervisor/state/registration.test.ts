import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Paths } from "../../../../src/base/files/paths.ts";
import type { ControlServer } from "../../../../src/control/server.ts";
import { takeLock, type Lock } from "../../../../src/supervisor/state/file-lock.ts";
import { makeLockRecord, readLockRecord, thisProcess } from "../../../../src/supervisor/state/lock-record.ts";
import { Registration } from "../../../../src/supervisor/state/registration.ts";
import type { StateSaver } from "../../../../src/supervisor/state/state-saver.ts";
import { FakeFlock } from "../../../support/fake-flock.ts";
import { gone, parent } from "../../../support/identities.ts";

let folder: string;
let locks: FakeFlock;
let lock: Lock;
let warnings: string[];
let registration: Registration;
let control: FakeControl;
let saver: FakeSaver;
beforeEach(() => {
  vi.useFakeTimers();
  folder = mkdtempSync(join(tmpdir(), "llmctl-registration-"));
  locks = new FakeFlock();
  lock = takeLock(path("lock"), makeLockRecord("p"), locks.flock) ?? fail();
  warnings = [];
  registration = new Registration({
    paths: paths(),
    name: "p",
    lock,
    warn: (text) => warnings.push(text),
    flock: locks.flock,
  });
  control = new FakeControl();
  saver = new FakeSaver();
});
afterEach(async () => {
  await registration.leave();
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

const path = (name: string) => join(folder, "state", "p", name);
const paths = () => ({ state: join(folder, "state"), runtime: join(folder, "run") }) as Paths;
const server = { identity: { ...parent }, hash: "h", stopTimeoutMs: 700 };

function fail(): never {
  throw new Error("the lock is taken");
}

/** A socket that can be lost. */
class FakeControl {
  socketPath = "";
  isThere = true;
  failure: Error | undefined;

  async isInPlace(): Promise<boolean> {
    return this.isThere;
  }

  async listen(places: readonly string[]): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    [this.socketPath = ""] = places;
    this.isThere = true;
  }
}

/** A state file that can be lost. */
class FakeSaver {
  isThere = true;
  isCurrent = true;

  save(): void {
    this.isCurrent = true;
  }

  async restore(): Promise<void> {
    this.isThere = true;
  }
}

function keep(everyMs = 5000): void {
  registration.keep({
    control: control as unknown as ControlServer,
    saver: saver as unknown as StateSaver,
    everyMs: () => everyMs,
  });
}

const pass = (ms = 5000) => vi.advanceTimersByTimeAsync(ms);
/** Whether another process could become the supervisor, or start a server. */
const isFree = (name: string) => {
  try {
    locks.hold(path(name))();
    return true;
  } catch {
    return false;
  }
};
const systemError = () => Object.assign(new Error("EMFILE: too many open files"), { code: "EMFILE", syscall: "open" });

describe("a supervisor is found by others", () => {
  test("by the records in its locks: its socket, and its server with all that a successor needs", async () => {
    registration.recordSocket("/run/p.sock");
    const fd = await registration.lockServer();
    registration.recordServer(server);
    expect(readLockRecord(path("lock"))).toEqual({ holder: thisProcess, profile: "p", socket: "/run/p.sock" });
    expect(readLockRecord(path("server.lock"))).toEqual({ holder: thisProcess, profile: "p", server });
    expect(statSync(`/proc/self/fd/${fd}`).ino).toBe(statSync(path("server.lock")).ino);
    expect(await registration.lockServer()).toBe(fd); // each server inherits the same lock
    expect([isFree("lock"), isFree("server.lock")]).toEqual([false, false]);
  });

  test("until it is released: then both locks are free and say so", async () => {
    await registration.lockServer();
    registration.recordServer(server);
    registration.release();
    expect([readLockRecord(path("lock")), readLockRecord(path("server.lock"))]).toEqual(["released", "released"]);
    expect([isFree("lock"), isFree("server.lock")]).toEqual([true, true]);
  });

  test("with an adopted server, which holds its lock itself", () => {
    registration.adoptServer(server);
    expect(readLockRecord(path("server.lock"))).toEqual({ holder: thisProcess, profile: "p", server });
    expect(isFree("server.lock")).toBe(true);
  });
});

describe("at the end of a supervisor, the lock of an adopted server", () => {
  test("goes on naming a server that runs, for the next supervisor", () => {
    registration.adoptServer(server);
    registration.release();
    expect(readLockRecord(path("server.lock"))).toEqual({ holder: thisProcess, profile: "p", server });
    expect(readLockRecord(path("lock"))).toBe("released");
  });

  test("is marked as released when that server is gone", () => {
    registration.adoptServer({ ...server, identity: gone });
    registration.release();
    expect(readLockRecord(path("server.lock"))).toBe("released");
  });

  test("that cannot be written is a warning, and the supervisor's own lock is released all the same", () => {
    registration.adoptServer({ ...server, identity: gone });
    rmSync(path("server.lock"));
    mkdirSync(path("server.lock"));
    registration.release();
    expect(warnings).toEqual([
      `cannot release the server's lock: cannot write ${path("server.lock")}: a folder is in the place of a file`,
    ]);
    expect([readLockRecord(path("lock")), isFree("lock")]).toEqual(["released", true]);
  });

  test("is not made where no server was ever started", () => {
    registration.release();
    expect(existsSync(path("server.lock"))).toBe(false);
  });
});

describe("at each interval", () => {
  test("nothing is written while all is in its place", async () => {
    registration.recordSocket("/run/p.sock");
    await registration.lockServer();
    registration.recordServer(server);
    for (const name of ["lock", "server.lock"]) utimesSync(path(name), 1, 1);
    keep();
    await pass(20_000);
    for (const name of ["lock", "server.lock"]) expect(statSync(path(name)).mtimeMs).toBe(1000);
    expect(warnings).toEqual([]);
  });

  test("a removed lock file is made anew, locked and with its record, and the old one is given up", async () => {
    registration.recordSocket("/run/p.sock");
    renameSync(path("lock"), path("moved"));
    keep();
    await pass();
    expect(readLockRecord(path("lock"))).toEqual({ holder: thisProcess, profile: "p", socket: "/run/p.sock" });
    expect(readLockRecord(path("moved"))).toBe("released");
    expect([isFree("lock"), isFree("moved")]).toEqual([false, true]);
    registration.release();
    expect(isFree("lock")).toBe(true);
  });

  test("a whole folder that was removed is made anew", async () => {
    registration.recordSocket("/run/p.sock");
    await registration.lockServer();
    registration.recordServer(server);
    rmSync(join(folder, "state"), { recursive: true });
    keep();
    await pass();
    expect(readLockRecord(path("lock"))).toMatchObject({ socket: "/run/p.sock" });
    expect(readLockRecord(path("server.lock"))).toMatchObject({ server });
    expect([isFree("lock"), isFree("server.lock"), warnings]).toEqual([false, false, []]);
  });

  test("a lock file of another process is left to it, with a warning, and the own lock is kept", async () => {
    rmSync(path("lock"));
    const end = locks.hold(path("lock"));
    keep();
    await pass();
    expect(warnings).toEqual(["its lock file was removed, and another process holds the lock of the new file"]);
    end();
    await pass();
    expect(isFree("lock")).toBe(false);
  });

  test("a removed server lock is made anew for the next server, and the old one is given up", async () => {
    const first = await registration.lockServer();
    registration.recordServer(server);
    renameSync(path("server.lock"), path("moved"));
    keep();
    await pass();
    expect(readLockRecord(path("server.lock"))).toMatchObject({ server });
    expect([isFree("server.lock"), isFree("moved")]).toEqual([false, true]);
    expect(await registration.lockServer()).not.toBe(first);
  });

  test("emptied records are written again", async () => {
    registration.recordSocket("/run/p.sock");
    await registration.lockServer();
    registration.recordServer(server);
    for (const name of ["lock", "server.lock"]) writeFileSync(path(name), "");
    keep();
    await pass();
    expect(readLockRecord(path("lock"))).toMatchObject({ socket: "/run/p.sock" });
    expect(readLockRecord(path("server.lock"))).toMatchObject({ server });
  });

  test("the lost file of an adopted server's lock is made anew, unlocked as the server holds the old one", async () => {
    registration.adoptServer(server);
    rmSync(path("server.lock"));
    keep();
    await pass();
    expect(readLockRecord(path("server.lock"))).toMatchObject({ server });
  });

  test("a lost socket moves to the first place, which lock and state then name", async () => {
    registration.recordSocket("/elsewhere/p.sock");
    control.isThere = false;
    saver.isCurrent = false;
    keep();
    await pass();
    const first = join(folder, "run", "p.sock");
    expect([control.socketPath, readLockRecord(path("lock"))]).toEqual([
      first,
      { holder: thisProcess, profile: "p", socket: first },
    ]);
    expect(saver.isCurrent).toBe(true);
  });

  test("a part that cannot be restored keeps no other from it, and is tried again", async () => {
    registration.recordSocket("/run/p.sock");
    rmSync(path("lock"));
    mkdirSync(path("lock"));
    control.isThere = false;
    control.failure = systemError();
    saver.isThere = false;
    keep();
    await pass();
    expect(warnings).toEqual([
      `cannot restore its lock: cannot write ${path("lock")}: a folder is in the place of a file`,
      "cannot restore its socket: EMFILE: too many open files",
    ]);
    expect(saver.isThere).toBe(true);
    control.failure = undefined;
    rmSync(path("lock"), { recursive: true });
    await pass();
    expect([control.isThere, isFree("lock"), warnings.length]).toEqual([true, false, 2]);
  });

  test("a bug is told, and the next interval comes all the same", async () => {
    control.isThere = false;
    control.failure = new TypeError("a bug");
    keep();
    await pass();
    expect(warnings).toEqual(["cannot restore its lock, socket and state: TypeError: a bug"]);
    control.failure = undefined;
    await pass();
    expect(control.isThere).toBe(true);
  });
});

describe("the interval", () => {
  const expectRestoredAfter = async (ms: number) => {
    saver.isThere = false;
    await pass(ms - 1);
    expect(saver.isThere).toBe(false);
    await pass(1);
    expect(saver.isThere).toBe(true);
  };

  test.each([
    ["the given one", 5000, 5000],
    ["200 ms at least", 10, 200],
  ])("is %s, each time", async (_, everyMs, ms) => {
    keep(everyMs);
    await expectRestoredAfter(ms);
    await expectRestoredAfter(ms);
  });

  test("ends when the supervisor leaves", async () => {
    keep();
    await registration.leave();
    saver.isThere = false;
    await pass(60_000);
    expect([saver.isThere, vi.getTimerCount()]).toEqual([false, 0]);
  });

  test("ends during a check, which is waited for and opens no socket again", async () => {
    let goOn = () => {};
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    control.isInPlace = async () => {
      await waiting;
      return false;
    };
    keep();
    await pass();
    let hasLeft = false;
    const leaving = registration.leave().then(() => (hasLeft = true));
    await pass(0);
    expect(hasLeft).toBe(false);
    goOn();
    await leaving;
    expect([control.socketPath, vi.getTimerCount()]).toEqual(["", 0]);
  });
});
