import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findPaths } from "../../../../src/base/files/paths.ts";
import type { StatusEvent } from "../../../../src/control/messages.ts";
import type { StartEvent } from "../../../../src/fleet/start/start-event.ts";
import { readFailure, supervisorGone, waitForReady } from "../../../../src/fleet/start/wait-for-ready.ts";
import { makeEvent, makeStatus } from "../../../support/make-status.ts";

const paths = findPaths({ LLMCTL_HOME: "/nowhere" }, 1000);
const loading = makeEvent({ message: "loading", status: makeStatus({ state: "loading", hash: "h" }) });
const ready = makeEvent({ status: makeStatus({ hash: "h" }) });

async function wait(events: readonly StatusEvent[], { timeout, after }: { timeout?: AbortSignal; after?: Error } = {}) {
  const told: StartEvent[] = [];
  async function* all(): AsyncGenerator<StatusEvent> {
    yield* events;
    if (after !== undefined) throw after;
  }
  const onEvent = (event: StartEvent) => void told.push(event);
  const waiting = waitForReady({ name: "p", hash: "h" }, all(), { paths, timeout, onEvent });
  const [result] = await Promise.allSettled([waiting]);
  return result.status === "fulfilled"
    ? { told, code: result.value, error: undefined }
    : { told, code: undefined, error: result.reason as unknown };
}

const told = (...events: readonly StatusEvent[]) => events.map((event) => ({ kind: "status", event }));

describe("the wait for a server", () => {
  test("ends with 0 when it is ready, and what comes later is not read", async () => {
    const late = new Error("read on");
    expect(await wait([loading, ready], { after: late })).toEqual({
      code: 0,
      error: undefined,
      told: told(loading, ready),
    });
  });

  test("ends when somebody else gave it another configuration", async () => {
    const other = makeEvent({ status: makeStatus({ hash: "other" }) });
    const { error, told: events } = await wait([loading, other, ready]);
    expect(events).toEqual(told(loading, other));
    expect(error).toMatchObject({
      code: "other-configuration",
      exit: "busy",
      fix: { run: ["restart", "p"], after: "to take up the present one" },
    });
  });

  test("ends when somebody stops it", async () => {
    const end = makeEvent({
      message: "stopped by ada",
      end: { exit: "done", code: 0 },
      status: makeStatus({ state: "stopped" }),
    });
    expect((await wait([loading, end])).error).toMatchObject({
      code: "stopped-meanwhile",
      exit: "notRunning",
      message: '"p" is not running: it was stopped by ada',
      fix: { before: "start it again:", run: ["up", "p"] },
    });
  });

  test("ends with the code of a supervisor that has given up, also with a server that was ready", async () => {
    const end = makeEvent({ end: { exit: "crashLoop", code: 12 }, status: makeStatus({ runs: 0, log: "/nowhere" }) });
    expect(await wait([loading, end, ready])).toEqual({
      code: 12,
      error: undefined,
      told: [...told(loading, end), { kind: "failed", failure: { status: end.status, lastLines: [], exitCode: 12 } }],
    });
  });

  test("ends when the supervisor is gone without a word", async () => {
    expect((await wait([loading])).error).toMatchObject({
      code: "supervisor-gone",
      exit: "failed",
      message: 'the supervisor of "p" exited and wrote no error',
      fix: expect.stringContaining("/nowhere/state/p/") as string,
    });
    const lost = new Error("the connection is lost");
    expect((await wait([loading], { after: lost })).error).toBe(lost);
  });

  test.each([undefined, new Error("aborted")])(
    "ends at the time limit, while the server goes on loading",
    async (after) => {
      const timeout = AbortSignal.abort();
      expect((await wait([loading], { timeout, ...(after === undefined ? {} : { after }) })).error).toMatchObject({
        code: "not-ready-in-time",
        exit: "notReadyInTime",
        message: '"p" is not ready yet; it goes on loading',
        fix: { before: "see", run: ["status", "p"], or: "give a longer --timeout" },
      });
    },
  );
});

test.each([
  [undefined, "exited"],
  [{ code: 7 }, "exited with code 7"],
  [{ signal: "SIGKILL" } as const, "was ended by SIGKILL"],
])("a supervisor that ended with %j %s", (ending, words) => {
  expect(supervisorGone("p", paths, ending).message).toBe(`the supervisor of "p" ${words} and wrote no error`);
});

describe("a start that its supervisor has given up", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "llmctl-wait-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("has the end of the server's log, except where no server was started", async () => {
    const log = join(folder, "server.log");
    writeFileSync(log, Array.from({ length: 30 }, (_, line) => `line ${line}\n`).join(""));
    const event = (runs: number) =>
      makeEvent({ end: { exit: "diedBeforeReady", code: 10 }, status: makeStatus({ runs, log }) });
    const { lastLines, exitCode } = await readFailure(event(1));
    expect([lastLines.length, lastLines[0], lastLines.at(-1), exitCode]).toEqual([20, "line 10", "line 29", 10]);
    expect((await readFailure(event(0))).lastLines).toEqual([]);
  });

  test("has failed where the event names no code", async () => {
    expect((await readFailure(makeEvent({ status: makeStatus({ runs: 0 }) }))).exitCode).toBe(1);
  });
});
