import {
  appendFileSync,
  existsSync,
  fstatSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ServerLogReader } from "../../../../src/supervisor/log/server-log-reader.ts";
import { findContinuation } from "../../../../src/supervisor/log/log-continuation.ts";
import { formatRunMarker, ServerLog } from "../../../../src/supervisor/log/server-log.ts";

let folder: string;
let path: string;
let log: ServerLog;
let marker: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-mirror-"));
  path = join(folder, "p", "server.log");
  log = new ServerLog(path, { maxBytes: 1000, keep: 2 });
  marker = formatRunMarker(1, "/bin/server");
  log.markRun(marker);
});
afterEach(async () => {
  log.close();
  await rm(folder, { recursive: true });
});

/** As the server writes, which keeps its descriptor. */
function say(text: string): void {
  appendFileSync(log.fd, text);
}

const content = () => readFileSync(path, "utf8");

test("a log in its place is left unchanged", () => {
  say("one\n");
  expect(log.look()).toBe(false);
  expect(content()).toBe(`${marker}\none\n`);
});

test.each([
  ["moved", () => renameSync(path, join(folder, "moved"))],
  ["deleted", () => rmSync(path)],
  ["deleted with its folder", () => rmSync(join(folder, "p"), { recursive: true })],
])("a log that is %s continues in a new file, with the text since the last check", (_, lose) => {
  say("seen\n");
  log.look();
  say("not seen\n");
  lose();
  say("after\n");
  expect(log.look()).toBe(true);
  expect(log.look()).toBe(false);
  say("later\n");
  log.look();
  const before = { inode: fstatSync(log.fd).ino, byte: `${marker}\nseen\n`.length };
  expect(content().startsWith(`${marker}\n--- llmctl: goes on from byte `)).toBe(true);
  expect(findContinuation(content())?.places).toEqual([before]);
  expect(content().slice(findContinuation(content())?.end)).toBe("not seen\nafter\nlater\n");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, "p")).mode & 0o777).toBe(0o700);
  expect(log.readRunTail(3)).toEqual(["not seen", "after", "later"]);
});

test("the next run is written only to the new file", () => {
  const moved = join(folder, "moved");
  renameSync(path, moved);
  say("last words\n");
  log.endRun();
  log.markRun("--- run 2");
  say("of run 2\n");
  expect(content()).toMatch(/\nlast words\n--- run 2\nof run 2\n$/);
  expect(readFileSync(moved, "utf8")).toBe(`${marker}\nlast words\n`);
  expect(log.readRunTail(9)).toEqual(["of run 2"]);
});

test("a log that is lost again continues at the end of the last file", () => {
  rmSync(path);
  say("one\n");
  log.look();
  const { size, ino } = statSync(path);
  renameSync(path, join(folder, "moved"));
  say("two\n");
  expect(log.look()).toBe(true);
  const own = { inode: fstatSync(log.fd).ino, byte: `${marker}\none\n`.length };
  expect(findContinuation(content())?.places).toEqual([own, { inode: ino, byte: size }]);
  expect(content().slice(findContinuation(content())?.end)).toBe("two\n");
});

test("a file that is moved back is the log again", () => {
  renameSync(path, join(folder, "moved"));
  log.look();
  renameSync(join(folder, "moved"), path);
  expect(log.look()).toBe(false);
  say("back\n");
  expect(content()).toBe(`${marker}\nback\n`);
});

test("no text is lost while another file is in its place", () => {
  rmSync(path);
  mkdirSync(path);
  say("one\n");
  expect(() => log.look()).toThrow("EISDIR");
  rmdirSync(path);
  execFileSync("mkfifo", [path]);
  expect(() => log.look()).toThrow("not a regular file");
  rmSync(path);
  expect(log.look()).toBe(true);
  expect(content()).toMatch(/\none\n$/);
});

test("a run begins even while another file is in the log's place", () => {
  rmSync(path);
  mkdirSync(path);
  expect(() => log.markRun("--- run 2")).toThrow("EISDIR");
  say("of run 2\n");
  expect(log.readRunTail(9)).toEqual(["of run 2"]);
});

test("a moved file is truncated to its content at the move, and the new file is rotated", () => {
  const moved = join(folder, "moved");
  say("kept\n");
  renameSync(path, moved);
  log.look();
  const follower = new ServerLogReader(log);
  say(`${"x".repeat(1500)}\n`);
  expect([...follower.read(1 << 20)].at(-1)).toHaveLength(1500);
  log.look();
  expect(log.rotateIfLarge()).toBe(true);
  follower.startAnew();
  expect(readFileSync(moved, "utf8")).toBe(`${marker}\nkept\n`);
  expect(readFileSync(`${path}.1`, "utf8")).toContain("x".repeat(1500));
  say("next\n");
  expect([...follower.read(1 << 20)]).toEqual(["next"]);
  log.look();
  expect(content()).toBe("next\n");
});

test("a deleted file is emptied, a moved one is not", () => {
  linkSync(path, join(folder, "other"));
  rmSync(path);
  log.look();
  say("x".repeat(1500));
  log.look();
  expect(log.rotateIfLarge()).toBe(true);
  expect(log.sizeBytes).toBe(`${marker}\n`.length);
  rmSync(join(folder, "other"));
  say("x".repeat(1500));
  log.look();
  expect(log.rotateIfLarge()).toBe(true);
  expect(log.sizeBytes).toBe(0);
  expect(log.runStart).toBe(0);
});

test("the server's file is truncated even while another file is in the log's place", () => {
  rmSync(path);
  writeFileSync(join(folder, "link"), "");
  mkdirSync(path);
  expect(() => log.look()).toThrow("EISDIR");
  say("x".repeat(1500));
  expect(log.rotateIfLarge()).toBe(true);
  expect(log.sizeBytes).toBe(0);
});

test("the free space is known even for a deleted file", () => {
  rmSync(join(folder, "p"), { recursive: true });
  expect(log.isDiskFull).toBe(false);
  expect(existsSync(path)).toBe(false);
});
