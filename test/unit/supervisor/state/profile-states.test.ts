import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import type { Paths } from "../../../../src/base/files/paths.ts";
import {
  isSinceKnown,
  listProfileStates,
  listRunningDependencies,
  listStateNames,
  lostStatus,
  readProfileState,
  readUnanswered,
  refusedState,
} from "../../../../src/supervisor/state/profile-states.ts";
import { writeState } from "../../../../src/supervisor/state/state-file.ts";
import { gone, parent } from "../../../support/identities.ts";
import { makeStatus } from "../../../support/make-status.ts";

let folder: string;
let paths: Paths;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-states-"));
  paths = { state: join(folder, "state"), runtime: join(folder, "run") } as Paths;
  mkdirSync(paths.state, { mode: 0o700 });
});
afterEach(() => rmSync(folder, { recursive: true }));

const note = (name: string, file: string, record: unknown) => {
  mkdirSync(join(paths.state, name), { recursive: true, mode: 0o700 });
  writeFileSync(join(paths.state, name, file), JSON.stringify(record));
};
const keepState = (name: string, more = {}) =>
  writeState(paths.state, { status: makeStatus({ name, ...more }), supervisor: gone, server: null });
const silent = new LlmctlError("unresponsive", "it does not answer", { exit: "failed" });

describe("the names of the profiles that have a state", () => {
  test("are those of folders that a profile could have, in order", async () => {
    for (const name of ["b", "a", ".ports", "with space"]) mkdirSync(join(paths.state, name), { mode: 0o700 });
    writeFileSync(join(paths.state, "file"), "");
    expect(await listStateNames(paths)).toEqual(["a", "b"]);
  });

  test("are none where nothing has ever run", async () => {
    rmSync(paths.state, { recursive: true });
    expect(await listStateNames(paths)).toEqual([]);
  });

  test("cannot be told where a file has the folder's place", async () => {
    rmSync(paths.state, { recursive: true });
    writeFileSync(paths.state, "mine");
    await expect(listStateNames(paths)).rejects.toMatchObject({
      code: "state-unreadable",
      message: "cannot read the folder of the states: ENOTDIR",
      exit: "io",
      at: paths.state,
      fix: "check who owns it, or set LLMCTL_HOME to another folder",
    });
  });

  test("are not told from a folder that others could have filled, unless it is empty", async () => {
    chmodSync(paths.state, 0o777);
    expect(await listStateNames(paths)).toEqual([]);
    mkdirSync(join(paths.state, "a"), { mode: 0o700 });
    await expect(listStateNames(paths)).rejects.toMatchObject({ code: "foreign-folder" });
  });
});

describe("the state of a profile without a supervisor", () => {
  test("is its last status", async () => {
    await keepState("p");
    expect(await readProfileState(paths, "p")).toEqual({ name: "p", presence: "gone", status: makeStatus() });
  });

  test("is none where it has never run", async () => {
    expect(await readProfileState(paths, "p")).toBeUndefined();
    mkdirSync(join(paths.state, "p"), { mode: 0o700 });
    expect(await listProfileStates(paths)).toEqual([]);
  });
});

describe("the state of a profile whose supervisor does not answer", () => {
  const found = { answers: false, pid: 7, reason: silent } as const;

  test("is its last status with the reason as a warning", async () => {
    await keepState("p");
    expect(await readUnanswered(paths, "p", found)).toEqual({
      name: "p",
      presence: "unresponsive",
      status: makeStatus({ warnings: ["a warning", "it does not answer"] }),
      error: silent,
    });
  });

  test.each([
    [7, 7],
    [undefined, 0],
  ])("is an empty status where the file is lost, with the supervisor's pid %s", async (pid, supervisorPid) => {
    const state = await readUnanswered(paths, "p", { ...found, pid });
    expect(state).toEqual({
      name: "p",
      presence: "unresponsive",
      status: lostStatus("p", {
        supervisorPid,
        warnings: ["its state file is lost or cannot be read", "it does not answer"],
      }),
      error: silent,
    });
    expect(state !== undefined && isSinceKnown(state.status)).toBe(false);
  });
});

test("a status that is kept has a known time", () => {
  expect(isSinceKnown(makeStatus())).toBe(true);
});

test("a profile that is refused hides no other one, and says why", async () => {
  await keepState("p");
  mkdirSync(join(paths.state, "open"), { mode: 0o700 });
  chmodSync(join(paths.state, "open"), 0o777);
  const [open, p] = await listProfileStates(paths);
  expect(p).toEqual({ name: "p", presence: "gone", status: makeStatus() });
  expect(open).toEqual({
    name: "open",
    presence: "unknown",
    status: lostStatus("open", { warnings: [open?.error?.message ?? ""] }),
    error: expect.objectContaining({ code: "foreign-folder" }) as unknown,
  });
});

test("a bug is no refusal", () => {
  const bug = new TypeError("a bug");
  expect(() => refusedState("p", bug)).toThrow(bug);
});

describe("what the running profiles depend on", () => {
  test("is told by their last status, of those that hold a lock", async () => {
    for (const [name, file, holder] of [
      ["chat", "lock", parent],
      ["embed", "server.lock", parent],
      ["old", "lock", gone],
    ] as const) {
      await keepState(name, { dependsOn: [`of-${name}`] });
      note(name, file, { holder, profile: name });
    }
    expect([...(await listRunningDependencies(paths))]).toEqual([
      ["chat", ["of-chat"]],
      ["embed", ["of-embed"]],
    ]);
  });
});
