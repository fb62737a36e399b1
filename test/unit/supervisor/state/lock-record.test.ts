import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  clearNote,
  isHolderRunning,
  makeNote,
  readNote,
  saysNote,
  self,
  writeNote,
} from "../../../../src/supervisor/state/lock-record.ts";

let folder: string;
let path: string;
let fd: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-note-"));
  path = join(folder, "lock");
  fd = openSync(path, "w+");
});
afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

const server = { identity: { ...self, pid: 7 }, hash: "abc", stopTimeoutMs: 1000 };

test("a note is read as it was written, and a later one takes its whole place and no more room", () => {
  writeNote(fd, makeNote("p", { socket: `/run/${"x".repeat(90)}.sock`, server }));
  expect(readNote(path)).toEqual({ holder: self, profile: "p", socket: `/run/${"x".repeat(90)}.sock`, server });
  const { size } = statSync(path);
  writeNote(fd, makeNote("q"));
  expect(readNote(path)).toEqual({ holder: self, profile: "q" });
  expect(statSync(path).size).toBe(size);
  clearNote(fd);
  expect(readNote(path)).toBe("released");
});

test("it is known whether the file says so already", () => {
  writeNote(fd, makeNote("p"));
  expect(saysNote(fd, makeNote("p"))).toBe(true);
  expect(saysNote(fd, makeNote("q"))).toBe(false);
  writeFileSync(path, readFileSync(path).subarray(0, 10));
  expect(saysNote(fd, makeNote("p"))).toBe(false);
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
])("%j says nothing: the kernel is asked", (text) => {
  writeFileSync(path, text);
  expect(readNote(path)).toBeUndefined();
  expect(isHolderRunning(readNote(path))).toBe("unknown");
});

test.each([
  null,
  1,
  {},
  { identity: { pid: 7 }, hash: "x", stopTimeoutMs: 1 },
  { ...server, hash: 1 },
  { ...server, stopTimeoutMs: "1" },
])("a server told as %j is no server that may be signalled", (odd) => {
  writeFileSync(path, JSON.stringify({ holder: self, profile: "p", server: odd }));
  expect(readNote(path)).toEqual({ holder: self, profile: "p" });
});

test("a pipe in its place says nothing, and keeps nobody waiting", () => {
  execFileSync("mkfifo", [`${path}.pipe`]);
  expect(readNote(`${path}.pipe`)).toBeUndefined();
});

test("whether its holder runs", () => {
  expect(isHolderRunning(makeNote("p"))).toBe(true);
  expect(isHolderRunning({ ...makeNote("p"), holder: { ...self, startTime: "1" } })).toBe(false);
  expect(isHolderRunning({ ...makeNote("p"), holder: { ...self, pidNamespace: "pid:[1]" } })).toBe("unknown");
  expect(isHolderRunning("released")).toBe(false);
});
