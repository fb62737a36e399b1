import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { llamaServerProtocol } from "../../../../src/llama/server/server-protocol.ts";
import { ServerLog } from "../../../../src/supervisor/log/server-log.ts";
import { ServerWatch } from "../../../../src/supervisor/child/server-watch.ts";
import { makeLaunch } from "../../../support/make-launch.ts";

let folder: string;
let log: ServerLog;
/** A process that does nothing. */
let idle: ChildProcess;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "llmctl-watch-"));
  log = new ServerLog(join(folder, "server.log"), { maxBytes: 1 << 20, keep: 1 });
  idle = spawn("sleep", ["1000"]);
  await once(idle, "spawn");
});
afterEach(async () => {
  idle.kill();
  await once(idle, "exit");
  log.close();
  rmSync(folder, { recursive: true });
});

test("a load that logs only llmctl's health checks counts as silent, and triggers no further checks", async () => {
  const launch = makeLaunch({ port: 8001 });
  let questions = 0;
  let watch: ServerWatch | undefined;
  await new Promise<void>((resolve) => {
    watch = new ServerWatch({
      launch: { ...launch, health: { ...launch.health, stallTimeoutMs: 1000 } },
      protocol: {
        ...llamaServerProtocol,
        checkHealth: async () => {
          questions += 1;
          appendFileSync(log.path, "srv  log_server_r: request: GET /health 127.0.0.1 503\n");
          return "loading";
        },
      },
      pid: idle.pid as number,
      endpoint: undefined,
      log,
      onEndpoint: () => undefined,
      onHealth: () => undefined,
      onLoad: () => undefined,
      onTraffic: () => undefined,
      onSilence: resolve,
      onLost: () => undefined,
      onLogMoved: () => undefined,
      onResume: () => undefined,
      onWarning: () => undefined,
    });
  });
  watch?.stop();
  expect(questions).toBeGreaterThan(1);
  expect(questions).toBeLessThan(100);
});
