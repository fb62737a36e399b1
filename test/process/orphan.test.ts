import { closeSync, openSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findLockHolder, holdsLock } from "../../src/supervisor/state/proc-locks.ts";
import { findOrphan } from "../../src/supervisor/state/orphan.ts";
import { identifyProcess } from "../../src/supervisor/state/process-identity.ts";

let folder: string;
let lockPath: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-orphan-"));
  await mkdir(join(folder, "p"), { mode: 0o700 });
  lockPath = join(folder, "p", "server.lock");
  await writeFile(lockPath, "");
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(folder, { recursive: true });
});

/** A process that has the lock file open, locked or not. */
async function startHolder(how: "locked" | "open"): Promise<number> {
  const fd = openSync(lockPath, "r+");
  const lock = how === "locked" ? "flock -n 3; " : "";
  const child = spawn("sh", ["-c", `${lock}echo ready; exec sleep 600`], { stdio: ["ignore", "pipe", "inherit", fd] });
  closeSync(fd);
  children.push(child);
  if (child.stdout === null || child.pid === undefined) throw new Error("sh could not be started");
  await once(child.stdout, "data");
  return child.pid;
}

async function note(pid: number): Promise<void> {
  const identity = identifyProcess(pid);
  const holder = { ...identity, pid: 4_000_000 };
  await writeFile(
    lockPath,
    JSON.stringify({ holder, profile: "p", server: { identity, hash: "", stopTimeoutMs: 100 } }),
  );
}

const find = () => findOrphan({ runtime: folder, state: folder }, "p");

test("a process that is in the record and holds the lock is the server", async () => {
  const pid = await startHolder("locked");
  await note(pid);
  expect(await find()).toMatchObject({ identity: { pid }, isDisputed: false });
});

test("a process whose lock file was removed and created again is still the server", async () => {
  const pid = await startHolder("locked");
  await rm(lockPath);
  await note(pid);
  expect(holdsLock(pid, lockPath)).toBe(true);
  expect(await find()).toMatchObject({ identity: { pid } });
});

test("a process that only has the file open, an unrelated process and process 1 are not the server", async () => {
  for (const pid of [await startHolder("open"), process.pid, 1]) {
    await note(pid);
    expect(holdsLock(pid, lockPath)).toBe(false);
    expect(await find()).toBeUndefined();
  }
});

test("a server that no file names is the process that holds the lock, and not one that reads the file", async () => {
  await startHolder("open");
  expect(await find()).toBeUndefined();
  const pid = await startHolder("locked");
  expect(findLockHolder(lockPath)).toEqual(identifyProcess(pid));
  expect(await find()).toMatchObject({ identity: { pid }, hash: undefined });
});
