import { mkdtempSync, rmSync, utimesSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findLogEnd, followLog, type LogEnd } from "../../../src/cli/follow-log.ts";
import { ServerLog } from "../../../src/supervisor/server-log.ts";

let dir: string;
let path: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "llmctl-follow-"));
  path = join(dir, "server.log");
});
afterEach(() => rmSync(dir, { recursive: true }));

/** Starts to follow; the lines until one says "end". */
async function follow(): Promise<{ readonly lines: Promise<readonly string[]> }> {
  const end = await findLogEnd(path);
  if (end === undefined) throw new Error("no log");
  return { lines: collect(end) };
}

async function collect(end: LogEnd): Promise<readonly string[]> {
  const controller = new AbortController();
  const lines: string[] = [];
  for await (const line of followLog(path, end, controller.signal)) {
    lines.push(line);
    if (line === "end") controller.abort();
  }
  return lines;
}

// Between any two steps of the reader the writer may have written, rotated, and written more than there was before.
test.each([
  ["more lines than the one before", (round: number) => 40 + 3 * round],
  ["fewer lines than the one before", (round: number) => 400 - 3 * round],
  ["as many lines as the one before", () => 100],
])("gives each line once and in order where each rotated file has %s", async (_, countLines) => {
  const log = new ServerLog(path, { maxBytes: 1, keep: 200 });
  const expected: string[] = [];
  const write = async (line: string) => {
    expected.push(line);
    writeSync(log.fd, `${line}\n`);
    if (expected.length % 7 === 0) await nextTurn();
  };
  const followed = await follow();
  for (let round = 0; round < 50; round += 1) {
    for (let n = 0; n < countLines(round); n += 1) await write(`line ${expected.length}`);
    if (round % 3 > 0) await nextTurn();
    log.rotateIfLarge();
  }
  await write("end");
  expect(await followed.lines).toEqual(expected);
  log.close();
});

test("a rotation that was cut short long ago keeps nobody from reading on", async () => {
  const log = new ServerLog(path, { maxBytes: 1, keep: 2 });
  writeFileSync(`${path}.rotating`, "line 0\n");
  utimesSync(`${path}.rotating`, new Date(0), new Date(0));
  const followed = await follow();
  writeSync(log.fd, "line 1\nend\n");
  expect(await followed.lines).toEqual(["line 1", "end"]);
  log.close();
});

test("there is no end of a log that is not there", async () => expect(await findLogEnd(path)).toBeUndefined());
