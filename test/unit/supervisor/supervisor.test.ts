import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { StatusEvent } from "../../../src/control/messages.ts";
import { llamaServerProtocol } from "../../../src/llama/server/server-protocol.ts";
import { Supervisor } from "../../../src/supervisor/supervisor.ts";
import { crashed, makeLaunch } from "../../support/make-launch.ts";

let folder: string;
let lock: number;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-supervisor-"));
  lock = openSync(join(folder, "lock"), "a+");
});
afterEach(() => {
  closeSync(lock);
  rmSync(folder, { recursive: true });
});

const backoffMs = 20;

/**
 * A server that ends at once.
 * @param explain How its end is explained.
 * @returns the messages until the server was started `runs` times.
 */
async function watchCrashes(runs: number, explain: () => void): Promise<readonly StatusEvent[]> {
  const events: StatusEvent[] = [];
  const base = makeLaunch();
  const supervisor = new Supervisor({
    launch: {
      ...base,
      file: "/bin/sh",
      args: ["-c", "exit 1"],
      restart: { ...base.restart, backoffMs, maxFailures: runs },
    },
    protocol: {
      ...llamaServerProtocol,
      explainExit: () => {
        explain();
        return crashed;
      },
    },
    folder,
    orphan: undefined,
    lockServer: async () => lock,
    recordServer: () => undefined,
    preflight: async () => undefined,
    onEvent: (event) => events.push(event),
  });
  supervisor.up();
  await supervisor.finished;
  return events;
}

test("a backoff counts from the server's exit: the work after it does not delay the next start", async () => {
  const longerThanBackoffMs = 2 * backoffMs;
  const events = await watchCrashes(2, () => {
    for (const untilMs = performance.now() + longerThanBackoffMs; performance.now() < untilMs;);
  });
  const [backoff] = events.filter(({ status }) => status.state === "backoff");
  expect(backoff?.message).toMatch(/; next start in \d+ ms$/);
  expect(backoff?.status.retryInMs).toBe(0);
  expect(events.map(({ status }) => status.state)).toContain("failed");
});
