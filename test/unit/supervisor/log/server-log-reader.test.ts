import { appendFileSync, mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ServerLogReader } from "../../../../src/supervisor/log/server-log-reader.ts";
import { ServerLog } from "../../../../src/supervisor/log/server-log.ts";

const plenty = 1 << 20;

describe("a log follower", () => {
  let folder: string;
  let log: ServerLog;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "llmctl-follower-"));
    log = new ServerLog(join(folder, "server.log"), { maxBytes: 100, keep: 1 });
  });
  afterEach(() => {
    log.close();
    rmSync(folder, { recursive: true });
  });

  test("reads whole lines only, from the start of the run on", () => {
    appendFileSync(log.path, "of an earlier run\n");
    log.markRun("--- run 2");
    const follower = new ServerLogReader(log);
    appendFileSync(log.path, "one\ntw");
    expect([...follower.read(plenty)]).toEqual(["one"]);
    appendFileSync(log.path, "o\nthree\n");
    expect([...follower.read(plenty)]).toEqual(["two", "three"]);
    expect([...follower.read(plenty)]).toEqual([]);
  });

  test("cuts lines that are longer than any parsed line, complete or not", () => {
    const follower = new ServerLogReader(log);
    appendFileSync(log.path, `${"x".repeat(60_000)}\n${"y".repeat(60_000)}`);
    appendFileSync(log.path, `${"y".repeat(60_000)}\nshort\n`);
    const lines = [...follower.read(plenty)];
    expect(lines.map((line) => line.length)).toEqual([4096, 4096, 5]);
  });

  test("does not read the file when there are no new bytes: there may be a hundred calls a second", () => {
    const read = vi.spyOn(log, "read");
    const follower = new ServerLogReader(log);
    expect([...follower.read(plenty)]).toEqual([]);
    expect(read).not.toHaveBeenCalled();
    appendFileSync(log.path, "one\n");
    expect([...follower.read(plenty)]).toEqual(["one"]);
    expect(read).toHaveBeenCalledOnce();
  });

  test.each(["new", "new, and longer than all that stood there before ".repeat(9)])(
    "continues at the start of a rotated file",
    (line) => {
      const follower = new ServerLogReader(log);
      appendFileSync(log.path, `${"x".repeat(200)}\ncut by the rota`);
      expect([...follower.read(plenty)]).toHaveLength(1);
      expect(log.rotateIfLarge()).toBe(true);
      follower.startAnew();
      appendFileSync(log.path, `tion\n${line}\n`);
      expect([...follower.read(plenty)]).toEqual(["cut by the rotation", line]);
    },
  );

  test("continues at the start of a file that another process has truncated", () => {
    const follower = new ServerLogReader(log);
    appendFileSync(log.path, "one\ntwo\n");
    expect([...follower.read(plenty)]).toHaveLength(2);
    truncateSync(log.path);
    appendFileSync(log.path, "new\n");
    expect([...follower.read(plenty)]).toEqual(["new"]);
  });

  test("skips bytes beyond its limit", () => {
    const follower = new ServerLogReader(log);
    appendFileSync(log.path, `${"x".repeat(500)}\nlast but one\nlast\n`);
    expect([...follower.read(10)]).toEqual([" one", "last"]);
  });

  test("cuts an endless line", () => {
    const follower = new ServerLogReader(log);
    appendFileSync(log.path, "y".repeat(300_000));
    expect([...follower.read(plenty)]).toEqual([]);
    appendFileSync(log.path, "\nafter\n");
    const [long, after] = [...follower.read(plenty)];
    expect(long?.length).toBeLessThan(10_000);
    expect(after).toBe("after");
  });
});
