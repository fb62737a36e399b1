import { appendFile, mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Status, StatusEvent } from "../../../../src/control/messages.ts";
import { EventLog, eventLogPath, parseEventLine } from "../../../../src/supervisor/log/event-log.ts";

describe("the event log", () => {
  let folder: string;
  let path: string;
  let failures: string[];
  let log: EventLog;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "llmctl-events-"));
    path = join(folder, "supervisor.log");
    failures = [];
    log = new EventLog(path, (text) => failures.push(text));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const lines = async () => (await readFile(path, "utf8")).trimEnd().split("\n");

  test("is read as it was written, with the cause", async () => {
    log.append(event("backoff", "it was killed; next start in 1.1 s", "killed"));
    log.append(event("ready", "ready on http://127.0.0.1:1", null));
    expect((await lines()).map(parseEventLine)).toEqual([
      { time, elapsedMs: 24_500, state: "backoff", cause: "killed", message: "it was killed; next start in 1.1 s" },
      { time, elapsedMs: 24_500, state: "ready", cause: null, message: "ready on http://127.0.0.1:1" },
    ]);
  });

  test("is read with a cause that has a number in its name", async () => {
    log.append(event("failed", "it has another digest", "bad-sha256"));
    expect((await lines()).map((line) => parseEventLine(line)?.cause)).toEqual(["bad-sha256"]);
  });

  test("has one line for each event, whatever the message contains", async () => {
    log.append(event("failed", "first\nsecond\r\nthird", "exited"));
    expect((await lines()).map((line) => parseEventLine(line)?.message)).toEqual(["first second third"]);
  });

  test.each(["", "    at Supervisor.#dispatch (file:///x.js:1:2)", "2026-11-24T10:18:58.321Z +1.0"])(
    "no event: %j",
    (line) => {
      expect(parseEventLine(line)).toBeUndefined();
    },
  );

  test("is emptied when it has a mebibyte", async () => {
    await appendFile(path, "x".repeat((1 << 20) + 1));
    log.append(event("ready", "ready", null));
    expect(await lines()).toHaveLength(1);
  });

  test("that cannot be written is reported, and stops nothing", async () => {
    await mkdir(path);
    log.append(event("ready", "ready", null));
    expect(failures).toEqual([expect.stringContaining("a folder is in the place of a file")]);
  });

  test("that was moved or deleted, even with its folder, is recreated", async () => {
    log.append(event("ready", "one", null));
    await rename(path, join(folder, "moved"));
    log.append(event("ready", "two", null));
    expect((await lines()).map((line) => parseEventLine(line)?.message)).toEqual(["two"]);
    await rm(folder, { recursive: true });
    log.append(event("ready", "three", null));
    expect((await lines()).map((line) => parseEventLine(line)?.message)).toEqual(["three"]);
    expect(failures).toEqual([]);
  });

  test("lies beside the server's log", () => expect(eventLogPath("/s", "p")).toBe("/s/p/supervisor.log"));
});

const time = "2026-11-24T10:18:58.321Z";

function event(state: Status["state"], message: string, cause: string | null): StatusEvent {
  return { time, elapsedMs: 24_500, message, cause, status: { state } as Status };
}

test("a line with a malformed number is not an event", () => {
  const line = (seconds: string) => `2026-01-01T00:00:00.000Z +${seconds} ready - it is`;
  expect(parseEventLine(line("1.500"))?.elapsedMs).toBe(1500);
  expect(parseEventLine(line(`${"9".repeat(400)}.000`))).toBeUndefined();
});
