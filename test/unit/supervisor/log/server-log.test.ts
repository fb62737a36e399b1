import { appendFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { link, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { formatRunMarker, parseRunMarker, ServerLog } from "../../../../src/supervisor/log/server-log.ts";

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "llmctl-log-"));
  path = join(folder, "p", "server.log");
});
afterEach(() => rm(folder, { recursive: true }));

function lines(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, i) => `line ${from + i}\n`).join("");
}

describe("rotation", () => {
  test("loses no line and keeps the right number of newest files", () => {
    const log = new ServerLog(path, { maxBytes: 100, keep: 2 });
    for (let round = 0; round < 4; round += 1) {
      appendFileSync(path, lines(round * 20, (round + 1) * 20));
      expect(log.rotateIfLarge()).toBe(true);
    }
    appendFileSync(path, "now\n");
    expect(log.rotateIfLarge()).toBe(false);
    expect(readFileSync(path, "utf8")).toBe("now\n");
    expect(readFileSync(`${path}.1`, "utf8")).toBe(lines(60, 80));
    expect(readFileSync(`${path}.2`, "utf8")).toBe(lines(40, 60));
    expect(existsSync(`${path}.3`)).toBe(false);
    log.close();
  });

  test.each([
    ["a link", symlink],
    ["a hard link", link],
  ])("%s in the place of a rotated file is not followed", async (_, plant) => {
    const victim = join(folder, "victim");
    await writeFile(victim, "text");
    await mkdir(join(folder, "p"), { mode: 0o700 });
    for (const suffix of ["rotating", "1", "2"]) await plant(victim, `${path}.${suffix}`);
    const log = new ServerLog(path, { maxBytes: 10, keep: 2 });
    for (const suffix of ["rotating", "1"]) {
      rmSync(`${path}.${suffix}`, { force: true });
      await plant(victim, `${path}.${suffix}`);
    }
    appendFileSync(path, lines(0, 20));
    expect(log.rotateIfLarge()).toBe(true);
    expect(readFileSync(`${path}.1`, "utf8")).toBe(lines(0, 20));
    expect(readFileSync(victim, "utf8")).toBe("text");
    log.close();
  });

  test("keeps no file when the number to keep is 0", () => {
    const log = new ServerLog(path, { maxBytes: 10, keep: 0 });
    appendFileSync(path, lines(0, 20));
    expect(log.rotateIfLarge()).toBe(true);
    expect(statSync(path).size).toBe(0);
    expect(existsSync(`${path}.1`)).toBe(false);
    log.close();
  });

  test("the server's descriptor continues at the start of the emptied file, without a gap", () => {
    const log = new ServerLog(path, { maxBytes: 10, keep: 1 });
    appendFileSync(log.fd, lines(0, 20));
    log.rotateIfLarge();
    appendFileSync(log.fd, "after\n");
    expect(readFileSync(path, "utf8")).toBe("after\n");
    log.close();
  });

  test("keeps large files whole", () => {
    const log = new ServerLog(path, { maxBytes: 10, keep: 1 });
    const content = lines(0, 50_000);
    appendFileSync(path, content);
    log.rotateIfLarge();
    expect(readFileSync(`${path}.1`, "utf8")).toBe(content);
    log.close();
  });
});

describe("a run", () => {
  test("has its start time in its marker", () => {
    const before = Date.now();
    expect(Date.parse(parseRunMarker(formatRunMarker(3, "/bin/server --x")) ?? "")).toBeGreaterThanOrEqual(before);
    expect(parseRunMarker("--- llmctl: run away")).toBeUndefined();
    expect(parseRunMarker("line")).toBeUndefined();
  });

  test.each([0, 65_530, 65_540, 200_000])("of an earlier supervisor is found, %i bytes before the end", (length) => {
    const log = new ServerLog(path, { maxBytes: 1e6, keep: 1 });
    log.markRun(formatRunMarker(1, "old"));
    appendFileSync(path, lines(0, 10_000));
    const start = log.sizeBytes;
    log.markRun(formatRunMarker(2, "new"));
    appendFileSync(path, "x".repeat(length));
    const next = new ServerLog(path, { maxBytes: 1e6, keep: 1 });
    next.resumeRun("all");
    expect(next.runStart).toBe(start);
    next.resumeRun("what comes");
    expect(next.runStart).toBe(next.sizeBytes);
    log.close();
    next.close();
  });

  test("has a tail without lines of an earlier run", () => {
    const log = new ServerLog(path, { maxBytes: 1e6, keep: 1 });
    appendFileSync(path, lines(0, 5));
    log.markRun("--- run");
    expect(log.readRunTail(10)).toEqual([]);
    appendFileSync(path, `${lines(5, 8)}\n\nlast, without end`);
    expect(log.readRunTail(10)).toEqual(["line 5", "line 6", "line 7", "last, without end"]);
    expect(log.readRunTail(2)).toEqual(["line 7", "last, without end"]);
    expect(readFileSync(path, "utf8")).toContain("line 4\n--- run\nline 5\n");
    log.close();
  });

  test("has a tail of the last 64 KiB, even within a long line", () => {
    const log = new ServerLog(path, { maxBytes: 1e9, keep: 1 });
    log.markRun("--- run");
    appendFileSync(path, `${"x".repeat(1e6)}\nlast\n`);
    const tail = log.readRunTail(10);
    expect(tail.at(-1)).toBe("last");
    expect(tail.join("").length).toBeLessThanOrEqual(64 * 1024);
    log.close();
  });

  test("starts after the rotation of a large log", () => {
    const log = new ServerLog(path, { maxBytes: 10, keep: 1 });
    appendFileSync(path, lines(0, 20));
    log.markRun("--- run");
    expect(readFileSync(path, "utf8")).toBe("--- run\n");
    expect(log.runStart).toBe(8);
    log.close();
  });

  test("has a tail of the remaining bytes after a rotation or a foreign truncation", () => {
    const log = new ServerLog(path, { maxBytes: 100, keep: 1 });
    log.markRun("--- run");
    appendFileSync(path, lines(0, 30));
    log.rotateIfLarge();
    appendFileSync(path, "rotated\n");
    expect(log.readRunTail(10)).toEqual(["rotated"]);
    log.markRun("--- next");
    truncateSync(path, 0);
    appendFileSync(path, "x\n");
    expect(log.readRunTail(10)).toEqual(["x"]);
    log.close();
  });
});

test("only its user may read it, and a link in its place is not followed", async () => {
  const log = new ServerLog(path, { maxBytes: 10, keep: 1 });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, "p")).mode & 0o777).toBe(0o700);
  log.close();
  const link = join(folder, "link.log");
  await symlink("/etc/passwd", link);
  expect(() => new ServerLog(link, { maxBytes: 10, keep: 1 })).toThrow("ELOOP");
});

test.each(["2026-99-99T99:99:99Z", `2026-${"1".repeat(400)}Z`, "2026-Z", "never-Z"])(
  "a marker with an invalid time is no marker (case %#)",
  (time) => {
    expect(parseRunMarker(`--- llmctl: run 3, ${time}: /bin/server`)).toBeUndefined();
  },
);
