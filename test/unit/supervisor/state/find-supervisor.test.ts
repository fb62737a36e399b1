import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import type { Status } from "../../../../src/control/messages.ts";
import {
  findAnswering,
  findSupervisor,
  findSupervisorWithoutLock,
  isAnyLockHeld,
  serverLockPath,
  supervisorLockPath,
} from "../../../../src/supervisor/state/find-supervisor.ts";
import { writeState } from "../../../../src/supervisor/state/state-file.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { FakeFlock } from "../../../support/fake-flock.ts";
import { gone, otherNamespace, parent, reusedPid } from "../../../support/identities.ts";
import { makeStatus } from "../../../support/make-status.ts";

let folder: string;
let folders: { runtime: string; state: string };
let clock: FakeClock;
let locks: FakeFlock;
/** What answers on which socket. */
let answers: Map<string, Status | LlmctlError | TypeError>;
/** The sockets that were asked, in order. */
let asked: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-find-"));
  folders = { runtime: join(folder, "run"), state: join(folder, "state") };
  mkdirSync(join(folders.state, "p"), { recursive: true, mode: 0o700 });
  chmodSync(folders.state, 0o700);
  clock = new FakeClock();
  locks = new FakeFlock();
  answers = new Map();
  asked = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

async function ask(socketPath: string): Promise<Status | undefined> {
  asked.push(socketPath);
  const answer = answers.get(socketPath);
  if (answer instanceof Error) throw answer;
  return answer;
}

const lookup = () => ({ clock, flock: locks.flock, ask });
const find = (waitMs = 300) => clock.until(findSupervisor(folders, "p", { ...lookup(), waitMs }));

const lockPath = () => supervisorLockPath(folders.state, "p");
const note = (path: string, record: unknown) => writeFileSync(path, JSON.stringify(record));
const noteHolder = (holder: object, more = {}) => note(lockPath(), { holder, profile: "p", ...more });

const usual = () => [join(folders.runtime, "p.sock"), join(folders.state, ".run", "p.sock")] as const;
const silent = new LlmctlError("unresponsive", "it does not answer", { exit: "failed" });
const foreign = new LlmctlError("foreign-socket", "it belongs to another user", { exit: "permission" });

describe("a supervisor that answers", () => {
  test("on a usual socket is found without a lock, without waiting", async () => {
    const [first] = usual();
    answers.set(first, makeStatus());
    expect(await find()).toEqual({ answers: true, socketPath: first, status: makeStatus() });
    expect([locks.calls, clock.pending]).toEqual([0, 0]);
  });

  test("is asked at its lock's socket first, then its state's, then the usual ones, at each once", async () => {
    noteHolder(gone, { socket: "/lock.sock" });
    await writeState(folders.state, { status: makeStatus(), supervisor: gone, server: null, socket: "/state.sock" });
    expect(await find()).toBeUndefined();
    expect(asked).toEqual(["/lock.sock", "/state.sock", ...usual()]);
    const [, second] = usual();
    noteHolder(gone, { socket: second });
    await writeState(folders.state, { status: makeStatus(), supervisor: gone, server: null, socket: second });
    asked.length = 0;
    await find();
    expect(asked).toEqual([second, usual()[0]]);
  });

  test("of another profile is not the wanted one", async () => {
    const [first, second] = usual();
    answers.set(first, makeStatus({ name: "other" })).set(second, makeStatus());
    expect(await find()).toMatchObject({ answers: true, socketPath: second });
  });

  test("is found behind a socket that is refused", async () => {
    const [first, second] = usual();
    answers.set(first, foreign).set(second, makeStatus());
    expect(await find()).toMatchObject({ answers: true, socketPath: second });
  });
});

test("nothing runs: no wait, and nothing is created", async () => {
  expect(await find()).toBeUndefined();
  expect([clock.pending, isAnyLockHeld(folders.state, "p")]).toEqual([0, false]);
});

test("a profile that has never run has no supervisor", async () => {
  rmSync(folders.state, { recursive: true });
  expect(await find()).toBeUndefined();
});

describe("a supervisor that holds its lock and has no socket", () => {
  const noSocket = (who: string) =>
    new LlmctlError("no-socket", `the supervisor${who} holds its lock, but its control socket is missing`, {
      exit: "failed",
      at: lockPath(),
      fix: "it recreates its socket within one health interval: try again; if it runs in a container, run llmctl there",
    });

  test("is waited for, and told with its pid", async () => {
    noteHolder(parent);
    const startMs = clock.nowMs();
    expect(await find()).toEqual({ answers: false, pid: parent.pid, reason: noSocket(` (pid ${parent.pid})`) });
    expect(clock.nowMs() - startMs).toBe(300);
  });

  test("is not waited for on request", async () => {
    noteHolder(parent);
    const startMs = clock.nowMs();
    expect(await find(0)).toMatchObject({ answers: false });
    expect(clock.nowMs() - startMs).toBe(0);
  });

  test("is found once its socket is there", async () => {
    noteHolder(parent);
    const [first] = usual();
    clock.setTimer(120, () => answers.set(first, makeStatus()));
    const startMs = clock.nowMs();
    expect(await find()).toMatchObject({ answers: true });
    expect(clock.nowMs() - startMs).toBe(150);
  });

  test("is gone once it has ended", async () => {
    noteHolder(parent);
    clock.setTimer(120, () => note(lockPath(), { released: true }));
    expect(await find()).toBeUndefined();
  });

  test.each([
    ["without a record", undefined, ""],
    ["in another pid namespace", { holder: otherNamespace, profile: "p" }, ` (pid ${parent.pid})`],
  ])("%s is told by the kernel", async (_, record, who) => {
    writeFileSync(lockPath(), record === undefined ? "" : JSON.stringify(record));
    const end = locks.hold(lockPath());
    expect(await find()).toEqual({ answers: false, pid: record?.holder.pid, reason: noSocket(who) });
    end();
    expect(await find()).toBeUndefined();
  });

  test.each([
    ["has ended", gone],
    ["has ended, and whose pid another process has", reusedPid],
  ])("and %s is none", async (_, holder) => {
    noteHolder(holder);
    expect(await find()).toBeUndefined();
  });
});

test("a supervisor that does not answer is not waited for, and its own error is told", async () => {
  noteHolder(parent);
  answers.set(usual()[0], silent);
  expect(await find()).toEqual({ answers: false, pid: parent.pid, reason: silent });
  expect(clock.pending).toBe(0);
});

test("a socket of another user is an error where no supervisor of ours runs", async () => {
  answers.set(usual()[0], foreign);
  await expect(find()).rejects.toBe(foreign);
});

test("a bug in a look is not taken for a refusal", async () => {
  const bug = new TypeError("a bug");
  answers.set(usual()[0], bug);
  noteHolder(parent);
  await expect(find()).rejects.toBe(bug);
});

describe("a supervisor whose lock file was removed", () => {
  const noLock = () =>
    new LlmctlError(
      "no-socket",
      `the supervisor (pid ${parent.pid}) runs, but its lock and its control socket were removed`,
      { exit: "failed", at: lockPath(), fix: "it recreates them within one health interval: try again" },
    );
  const noteServer = (holder: object) => note(serverLockPath(folders.state, "p"), { holder, profile: "p" });
  const noteState = (supervisor: typeof parent) =>
    writeState(folders.state, { status: makeStatus(), supervisor, server: null });

  test.each<[string, () => unknown]>([
    ["its server's lock", () => noteServer(parent)],
    ["its state file", () => noteState(parent)],
  ])("is known by %s", async (_, make) => {
    await make();
    expect(await findSupervisorWithoutLock(folders, "p")).toBe(parent.pid);
    const startMs = clock.nowMs();
    expect(await find()).toEqual({ answers: false, pid: parent.pid, reason: noLock() });
    expect(clock.nowMs() - startMs).toBe(300);
  });

  test("is told with the refusal of its socket, where that is the reason", async () => {
    noteServer(parent);
    answers.set(usual()[0], silent);
    expect(await find()).toEqual({ answers: false, pid: parent.pid, reason: silent });
  });

  test.each<[string, () => unknown]>([
    ["has ended", () => noteState(gone)],
    ["has ended, and whose pid another process has", () => noteState(reusedPid)],
    ["is named by its server's lock only, and has ended", () => noteServer(gone)],
    ["is in another pid namespace", () => noteServer(otherNamespace)],
    ["has released its server's lock", () => note(serverLockPath(folders.state, "p"), { released: true })],
    ["has released its lock", async () => (await noteState(parent), note(lockPath(), { released: true }))],
    ["has a lock file with another holder", async () => (await noteState(parent), noteHolder(gone))],
  ])("and that %s is none", async (_, make) => {
    await make();
    expect(await findSupervisorWithoutLock(folders, "p")).toBeUndefined();
    expect(await find()).toBeUndefined();
  });
});

describe("a caller that needs an answer", () => {
  const answering = () => clock.until(findAnswering(folders, "p", lookup()));

  test("waits for the time in which a supervisor recreates its socket, then gets the reason", async () => {
    noteHolder(parent);
    const startMs = clock.nowMs();
    await expect(answering()).rejects.toMatchObject({ code: "no-socket" });
    expect(clock.nowMs() - startMs).toBe(6000);
  });

  test("gets the answer, or nothing where nobody runs", async () => {
    expect(await answering()).toBeUndefined();
    answers.set(usual()[0], makeStatus());
    expect(await answering()).toEqual({ answers: true, socketPath: usual()[0], status: makeStatus() });
  });
});

test.each([
  ["supervisor's", "lock"],
  ["server's", "server.lock"],
])("a profile runs while its %s lock is held", (_, name) => {
  note(join(folders.state, "p", name), { holder: parent, profile: "p" });
  expect(isAnyLockHeld(folders.state, "p")).toBe(true);
});

describe("a state that others could have written", () => {
  test.each<[string, () => void, RegExp]>([
    [
      "the profile's folder is open to others",
      () => chmodSync(join(folders.state, "p"), 0o777),
      /can be written by other/,
    ],
    ["the folder of all states is open to others", () => chmodSync(folders.state, 0o720), /can be written by other/],
    [
      "the profile's folder is a link",
      () => {
        rmSync(join(folders.state, "p"), { recursive: true });
        symlinkSync(folder, join(folders.state, "p"));
      },
      /is a link/,
    ],
  ])("is refused before anybody is asked: %s", async (_, make, said) => {
    answers.set(usual()[0], makeStatus());
    make();
    await expect(find()).rejects.toMatchObject({ code: "foreign-folder", message: expect.stringMatching(said) });
    expect(asked).toEqual([]);
  });

  test("is none where a file has the place of a folder", async () => {
    rmSync(join(folders.state, "p"), { recursive: true });
    writeFileSync(join(folders.state, "p"), "mine");
    expect(await find()).toBeUndefined();
  });
});
