import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { recordFailedStart } from "../../../src/supervisor/failed-start.ts";
import { parseEventLine } from "../../../src/supervisor/log/event-log.ts";
import type { Lock } from "../../../src/supervisor/state/file-lock.ts";
import { makeLockRecord, thisProcess } from "../../../src/supervisor/state/lock-record.ts";
import { takeServerLock, takeSupervisorLock } from "../../../src/supervisor/state/profile-locks.ts";
import { identifyProcess } from "../../../src/supervisor/state/process-identity.ts";
import { readState, writeState } from "../../../src/supervisor/state/state-file.ts";
import { notThere } from "../../support/make-launch.ts";
import { makeStatus } from "../../support/make-status.ts";

/** A process that had our pid once. */
const dead = { ...thisProcess, startTime: "1" };
let folders: { readonly runtime: string; readonly state: string };
let root: string;
const warnings: string[] = [];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "llmctl-failed-start-"));
  folders = { runtime: join(root, "run"), state: join(root, "state") };
  warnings.length = 0;
});
afterEach(() => rm(root, { recursive: true }));

const cause = { ...notThere, fix: { before: "fetch it:", run: ["pull", "p"] } } as const;

function record(): Promise<void> {
  return recordFailedStart(folders, { name: "p", profilePath: "/profiles/p.yaml", cause }, (text) =>
    warnings.push(text),
  );
}

async function readEvent() {
  return parseEventLine((await readFile(join(folders.state, "p/supervisor.log"), "utf8")).trimEnd());
}

const event = {
  state: "failed",
  cause: "model-missing",
  message: "not started: no model; fetch it: llmctl pull p",
};

test("a start that failed before there was a supervisor is told by `events` and `status`", async () => {
  await record();
  expect(await readEvent()).toMatchObject(event);
  const state = await readState(folders.state, "p");
  expect(state).toMatchObject({ supervisor: thisProcess, server: null });
  expect(state?.status).toMatchObject({
    name: "p",
    state: "failed",
    profile: "/profiles/p.yaml",
    lastExit: { kind: "model-missing", message: "no model", fix: cause.fix },
    drafting: { state: "off", reason: "nothing was started" },
    pid: null,
    url: null,
    traffic: null,
    log: join(folders.state, "p/server.log"),
  });
  expect(warnings).toEqual([]);
});

test("the next start can take the locks", async () => {
  await record();
  const lock = await takeSupervisorLock(folders, "p");
  expect(lock).toBeDefined();
  lock?.release();
});

/** The parent of this process stands for a supervisor: a lock with our own pid is taken for a dying server's. */
async function takeLockOfAnother(): Promise<Lock | undefined> {
  const lock = await takeSupervisorLock(folders, "p");
  lock?.record({ ...makeLockRecord("p"), holder: identifyProcess(process.ppid) ?? thisProcess });
  return lock;
}

/** This process stands for a server that has outlived its supervisor: it holds the server's lock. */
async function takeLockOfServer(): Promise<Lock> {
  const lock = await takeServerLock(folders.state, "p");
  const server = { identity: thisProcess, hash: "0", stopTimeoutMs: 7000 };
  lock.record({ ...makeLockRecord("p", { server }), holder: dead });
  return lock;
}

test.each([
  ["a supervisor runs", takeLockOfAnother, null],
  ["a server runs without one", takeLockOfServer, thisProcess],
])("while %s, the state that identifies it stays as it is", async (_, take, server) => {
  const before = { status: makeStatus(), supervisor: dead, server };
  await writeState(folders.state, before);
  const lock = await take();
  try {
    await record();
  } finally {
    lock?.release();
  }
  expect(await readEvent()).toMatchObject(event);
  expect(await readState(folders.state, "p")).toEqual(before);
});
