import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findComingLog, findLogEnd, followLog, type LogEnd } from "../../../../src/supervisor/log/follow-log.ts";
import { formatRunMarker, ServerLog } from "../../../../src/supervisor/log/server-log.ts";

let dir: string;
let path: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "llmctl-follow-"));
  path = join(dir, "server.log");
});
afterEach(() => rmSync(dir, { recursive: true }));

/** Starts to follow. @returns the lines up to the line "end". */
async function follow(): Promise<Followed> {
  const end = await findLogEnd(path);
  if (end === undefined) throw new Error("no log");
  const seen: string[] = [];
  return { lines: collect(end, seen), seen };
}

interface Followed {
  readonly lines: Promise<readonly string[]>;
  /** The lines so far. */
  readonly seen: readonly string[];
}

async function collect(end: LogEnd, lines: string[] = []): Promise<readonly string[]> {
  const controller = new AbortController();
  for await (const line of followLog(path, end, controller.signal)) {
    lines.push(line);
    if (line === "end") controller.abort();
  }
  return lines;
}

// Between two steps of the reader the writer may write, rotate, and then write more than there was before.
test.each([
  ["more lines than the one before", (round: number) => 40 + 6 * round],
  ["fewer lines than the one before", (round: number) => 200 - 6 * round],
  ["as many lines as the one before", () => 100],
])("gives each line once and in order when each rotated file has %s", async (_, countLines) => {
  const log = new ServerLog(path, { maxBytes: 1, keep: 200 });
  const expected: string[] = [];
  const write = async (line: string) => {
    expected.push(line);
    writeSync(log.fd, `${line}\n`);
    if (expected.length % 7 === 0) await nextTurn();
  };
  const followed = await follow();
  for (let round = 0; round < 25; round += 1) {
    for (let n = 0; n < countLines(round); n += 1) await write(`line ${expected.length}`);
    if (round % 3 > 0) await nextTurn();
    log.rotateIfLarge();
  }
  await write("end");
  expect(await followed.lines).toEqual(expected);
  log.close();
});

test("a reader can follow a log with an old interrupted rotation", async () => {
  const log = new ServerLog(path, { maxBytes: 1, keep: 2 });
  writeFileSync(`${path}.rotating`, "line 0\n");
  utimesSync(`${path}.rotating`, new Date(0), new Date(0));
  const followed = await follow();
  writeSync(log.fd, "line 1\nend\n");
  expect(await followed.lines).toEqual(["line 1", "end"]);
  log.close();
});

test("a missing log has no end", async () => expect(await findLogEnd(path)).toBeUndefined());

describe("a log that is lost", () => {
  /** A log with one line that was read, and a reader that waits for more. */
  async function start(): Promise<Followed & { readonly log: ServerLog }> {
    const log = new ServerLog(path, { maxBytes: 1e6, keep: 2 });
    log.markRun(formatRunMarker(1, "server"));
    writeSync(log.fd, "old\n");
    log.look();
    return { log, ...(await follow()) };
  }

  const said = (lines: readonly string[]) => lines.filter((line) => !line.startsWith("---"));

  test.each([
    ["moved", () => renameSync(path, join(dir, "moved"))],
    ["moved to the name of a rotated one", () => renameSync(path, `${path}.1`)],
    ["deleted", () => rmSync(path)],
  ])("because it was %s is read to its end, then the new one without repeated lines", async (_, lose) => {
    const { log, lines } = await start();
    writeSync(log.fd, "one\n");
    await nextTurn();
    lose();
    writeSync(log.fd, "two\n");
    await nextTurn();
    log.look();
    writeSync(log.fd, "three\n");
    log.look();
    await nextTurn();
    log.endRun();
    writeSync(log.fd, "end\n");
    expect(said(await lines)).toEqual(["one", "two", "three", "end"]);
    log.close();
  });

  test("at each step gives each line once and in order", async () => {
    const { log, lines, seen } = await start();
    const expected: string[] = [];
    let copied = 0;
    for (let n = 0; n < 300; n += 1) {
      // A log that is lost a second time before its reader has found the first cannot be found.
      if (n % 50 === 19) while (said(seen).length < copied) await nextTurn();
      expected.push(`line ${n}`);
      writeSync(log.fd, `line ${n}\n`);
      if (n % 50 === 20) renameSync(path, join(dir, `moved-${n}`));
      if (n % 50 === 40) {
        log.look();
        copied = expected.length;
      }
      if (n % 3 === 0) await nextTurn();
    }
    log.endRun();
    writeSync(log.fd, "end\n");
    expect(said(await lines)).toEqual([...expected, "end"]);
    log.close();
  });

  test("is read to its end even without a copy of the end", async () => {
    writeFileSync(path, "");
    const { lines } = await follow();
    const old = openSync(path, "a");
    renameSync(path, join(dir, "moved"));
    writeFileSync(path, "");
    writeSync(old, "one\n");
    closeSync(old);
    writeFileSync(path, "two\nend\n");
    expect(await lines).toEqual(["one", "two", "end"]);
  });

  test("does not stop a reader when its rotated files are lost, too", async () => {
    writeFileSync(`${path}.1`, "older\n");
    writeFileSync(path, "");
    const { lines } = await follow();
    rmSync(`${path}.1`);
    rmSync(path);
    writeFileSync(path, "end\n");
    expect(await lines).toEqual(["end"]);
  });

  test("before its reader comes is waited for", async () => {
    const lines = collect(await findComingLog(path));
    writeFileSync(path, "one\nend\n");
    expect(await lines).toEqual(["one", "end"]);
  });
});

test("a folder has no log end", async () => {
  mkdirSync(path);
  expect(await findLogEnd(path)).toBeUndefined();
});
