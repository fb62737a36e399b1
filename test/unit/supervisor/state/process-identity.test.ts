import { readFileSync, writeFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import {
  findDescendants,
  hasArguments,
  identifyProcess,
  isOfHere,
  isOwnProcess,
  isRunning,
  readBytesTaken,
  readCpuTicks,
  readOwner,
} from "../../../../src/supervisor/state/process-identity.ts";

/** The name of this process, as other processes see it. */
const comm = "/proc/self/comm";
const name = readFileSync(comm, "utf8").trim();
afterEach(() => writeFileSync(comm, name));

test("a process is identified by pid, start time and boot", () => {
  const self = identifyProcess(process.pid);
  expect(self).toEqual({
    pid: process.pid,
    startTime: expect.stringMatching(/^\d+$/),
    bootId: expect.stringMatching(/^[\da-f-]{36}$/),
    pidNamespace: expect.stringMatching(/^pid:\[\d+\]$/),
  });
  expect(self !== undefined && isRunning(self)).toBe(true);
});

test("a pid of another pid namespace is nobody's here", () => {
  const self = identifyProcess(process.pid);
  const elsewhere = self && { ...self, pidNamespace: "pid:[1]" };
  expect(elsewhere && [isRunning(elsewhere), isOfHere(elsewhere)]).toEqual([false, false]);
  const { pidNamespace: _, ...older } = self ?? { pid: 0, startTime: "", bootId: "" };
  expect([isRunning(older), isOfHere(older)]).toEqual([true, true]);
});

test.each([") Z 1 9 9", "a b) (c", ")))", "S"])('a process name such as "%s" is parsed', (strange) => {
  const before = identifyProcess(process.pid);
  const ticks = readCpuTicks(process.pid) ?? 0;
  writeFileSync(comm, strange);
  expect(identifyProcess(process.pid)).toEqual(before);
  expect(readCpuTicks(process.pid)).toBeGreaterThanOrEqual(ticks);
  expect(readCpuTicks(process.pid)).toBeLessThan(ticks + 1000);
});

test("a process is recognised by its last arguments, whatever interpreter runs it", () => {
  const words = readFileSync("/proc/self/cmdline", "utf8").split("\0").slice(0, -1);
  expect(hasArguments(process.pid, words.slice(1))).toBe(true);
  expect(hasArguments(process.pid, [])).toBe(true);
  expect(hasArguments(process.pid, [...words.slice(1), "--more"])).toBe(false);
  expect(hasArguments(process.pid, ["--other"])).toBe(false);
  expect(hasArguments(999_999_999, [])).toBe(false);
});

test("the same pid at another time, or after another boot, is another process", () => {
  const self = identifyProcess(process.pid);
  if (self === undefined) throw new Error("this process is not there");
  expect(isRunning({ ...self, startTime: `${self.startTime}0` })).toBe(false);
  expect(isRunning({ ...self, bootId: "another" })).toBe(false);
});

test("an unused pid is no process", () => {
  const none = 2 ** 30;
  expect(identifyProcess(none)).toBeUndefined();
  expect(readCpuTicks(none)).toBeUndefined();
  expect(readBytesTaken(none)).toBeUndefined();
});

test("bytes that a process reads are counted", () => {
  const before = readBytesTaken(process.pid)?.read ?? 0;
  const { length } = readFileSync(process.execPath);
  expect(readBytesTaken(process.pid)?.read).toBeGreaterThanOrEqual(before + length);
});

test("the descendants of a process are found, without itself", () => {
  const found = findDescendants(process.ppid);
  expect([found.includes(process.pid), found.includes(process.ppid), new Set(found).size]).toEqual([
    true,
    false,
    found.length,
  ]);
  expect(findDescendants(2 ** 30)).toEqual([]);
});

test("a process belongs to the user that it runs as, and one that is gone to nobody", () => {
  expect([readOwner(process.pid), isOwnProcess(process.pid)]).toEqual([process.getuid?.(), true]);
  expect([readOwner(2 ** 30), isOwnProcess(2 ** 30)]).toEqual([undefined, false]);
});
