import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { forgetProfile } from "../../../../src/supervisor/state/forget-profile.ts";
import { takeLock } from "../../../../src/supervisor/state/file-lock.ts";
import { makeLockRecord, readLockRecord } from "../../../../src/supervisor/state/lock-record.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { FakeFlock } from "../../../support/fake-flock.ts";
import { parent } from "../../../support/identities.ts";
import { makeStatus } from "../../../support/make-status.ts";

let state: string;
let clock: FakeClock;
let locks: FakeFlock;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "llmctl-forget-"));
  mkdirSync(join(state, "p", "more"), { recursive: true, mode: 0o700 });
  for (const name of ["state.json", "server.log", "more/file"]) writeFileSync(join(state, "p", name), "text");
  clock = new FakeClock();
  locks = new FakeFlock();
});
afterEach(() => rmSync(state, { recursive: true }));

const path = (...parts: string[]) => join(state, "p", ...parts);
const ask = async () => undefined;
/** The folders are removed with real file operations, so no fake clock carries this through. */
const forget = (more = {}) =>
  forgetProfile({ runtime: join(state, ".run"), state }, "p", { clock, flock: locks.flock, ask, ...more });

const running = new LlmctlError("still-running", '"p" is running', {
  exit: "busy",
  fix: { before: "stop it first:", run: ["down", "p"] },
});

test("a profile that does not run loses its whole folder, and no lock stays", async () => {
  expect(await forget()).toBe(true);
  expect(readdirSync(state)).toEqual([]);
  // A start that has waited for the lock makes the folder anew.
  const lock = takeLock(path("lock"), makeLockRecord("p"), locks.flock);
  expect(lock?.isInPlace()).toBe(true);
  lock?.release();
});

test("a profile without a folder has nothing to forget, and gets no folder", async () => {
  rmSync(path(), { recursive: true });
  expect(await forget()).toBe(false);
  expect(readdirSync(state)).toEqual([]);
});

describe("nothing is removed", () => {
  const before = ["more", "server.log", "state.json"];
  const left = () => readdirSync(path()).filter((name) => !name.endsWith("lock"));

  test("while a supervisor answers", async () => {
    await expect(forget({ ask: async () => makeStatus() })).rejects.toEqual(running);
    expect([left(), locks.calls]).toEqual([before, 0]);
  });

  test.each(["lock", "server.lock"])(
    "while somebody holds the file %s, and the other lock is given back",
    async (name) => {
      const end = locks.hold(path(name));
      writeFileSync(path(name), JSON.stringify({ holder: { ...parent, startTime: "1" }, profile: "p" }));
      await expect(forget()).rejects.toEqual(running);
      expect(left()).toEqual(before);
      end();
      for (const one of ["lock", "server.lock"]) locks.hold(path(one))();
    },
  );

  test("when the server's lock cannot be taken, and the supervisor's is given back", async () => {
    mkdirSync(path("server.lock"));
    await expect(forget()).rejects.toMatchObject({
      code: "state-unwritable",
      message: `cannot write ${path("server.lock")}: a folder is in the place of a file`,
    });
    expect([left(), readLockRecord(path("lock"))]).toEqual([before, "released"]);
    locks.hold(path("lock"))();
  });

  test("when a start takes the lock after the look and before ours", async () => {
    let end = () => {};
    locks.before.push(() => {
      end = locks.hold(path("lock"));
    });
    await expect(forget()).rejects.toEqual(running);
    expect(left()).toEqual(before);
    end();
  });
});

test("a folder that cannot be moved is an error, stays as it is, and its locks are given back", async () => {
  // The name under which it is put aside is too long for a file system.
  const name = "x".repeat(240);
  const folder = join(state, name);
  renameSync(path(), folder);
  await expect(
    forgetProfile({ runtime: join(state, ".run"), state }, name, { clock, flock: locks.flock, ask }),
  ).rejects.toMatchObject({ code: "state-unwritable", exit: "io", at: state, cause: { code: "ENAMETOOLONG" } });
  expect(readFileSync(join(folder, "state.json"), "utf8")).toBe("text");
  for (const one of ["lock", "server.lock"]) {
    expect(readLockRecord(join(folder, one))).toBe("released");
    locks.hold(join(folder, one))();
  }
});
