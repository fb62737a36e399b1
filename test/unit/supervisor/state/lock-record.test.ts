import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  markReleased,
  isHolderRunning,
  makeLockRecord,
  readLockRecord,
  holdsLockRecord,
  thisProcess,
  writeLockRecord,
} from "../../../../src/supervisor/state/lock-record.ts";

let folder: string;
let path: string;
let fd: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-lock-record-"));
  path = join(folder, "lock");
  fd = openSync(path, "w+");
});
afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

const server = { identity: { ...thisProcess, pid: 7 }, hash: "abc", stopTimeoutMs: 1000 };

test("a record is read as it was written, and a later one replaces it without growing the file", () => {
  writeLockRecord(fd, makeLockRecord("p", { socket: `/run/${"x".repeat(90)}.sock`, server }));
  expect(readLockRecord(path)).toEqual({
    holder: thisProcess,
    profile: "p",
    socket: `/run/${"x".repeat(90)}.sock`,
    server,
  });
  const { size } = statSync(path);
  writeLockRecord(fd, makeLockRecord("q"));
  expect(readLockRecord(path)).toEqual({ holder: thisProcess, profile: "q" });
  expect(statSync(path).size).toBe(size);
  markReleased(fd);
  expect(readLockRecord(path)).toBe("released");
});

test("a check shows whether the file has the record already", () => {
  writeLockRecord(fd, makeLockRecord("p"));
  expect(holdsLockRecord(fd, makeLockRecord("p"))).toBe(true);
  expect(holdsLockRecord(fd, makeLockRecord("q"))).toBe(false);
  writeFileSync(path, readFileSync(path).subarray(0, 10));
  expect(holdsLockRecord(fd, makeLockRecord("p"))).toBe(false);
});

test.each([
  "",
  "{",
  "null",
  "[]",
  "{}",
  '"x"',
  '{"pid":1}',
  '{"holder":{"pid":"1"},"profile":"p"}',
  '{"holder":{"pid":0,"startTime":"1","bootId":""},"profile":"p"}',
  "\u0000\u0001",
])("%j is no record: the kernel is asked", (text) => {
  writeFileSync(path, text);
  expect(readLockRecord(path)).toBeUndefined();
  expect(isHolderRunning(readLockRecord(path))).toBe("unknown");
});

test.each([
  null,
  1,
  {},
  { identity: { pid: 7 }, hash: "x", stopTimeoutMs: 1 },
  { ...server, hash: 1 },
  { ...server, stopTimeoutMs: "1" },
])("a server recorded as %j is never signalled", (odd) => {
  writeFileSync(path, JSON.stringify({ holder: thisProcess, profile: "p", server: odd }));
  expect(readLockRecord(path)).toEqual({ holder: thisProcess, profile: "p" });
});

test("a pipe in its place has no record and does not block", () => {
  execFileSync("mkfifo", [`${path}.pipe`]);
  expect(readLockRecord(`${path}.pipe`)).toBeUndefined();
});

test("a check shows whether the holder runs", () => {
  expect(isHolderRunning(makeLockRecord("p"))).toBe(true);
  expect(isHolderRunning({ ...makeLockRecord("p"), holder: { ...thisProcess, startTime: "1" } })).toBe(false);
  expect(isHolderRunning({ ...makeLockRecord("p"), holder: { ...thisProcess, pidNamespace: "pid:[1]" } })).toBe(
    "unknown",
  );
  expect(isHolderRunning("released")).toBe(false);
});
