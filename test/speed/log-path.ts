import { spawn } from "node:child_process";
import { once } from "node:events";
import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { findPaths } from "../../src/base/files/paths.ts";
import { llamaServerProtocol } from "../../src/llama/server/server-protocol.ts";
import type { ServerProtocol } from "../../src/supervisor/launch.ts";
import { supervise } from "../../src/supervisor/supervise.ts";
import { makeLaunch } from "../support/make-launch.ts";
import { TempHome } from "../support/temp-home.ts";
import { describe, judge, median } from "./measure.ts";

const runs = 5;
/** Two gigabytes in writes as long as a log line. */
const writer = ["if=/dev/zero", "bs=128", `count=${2 ** 24}`];
/** Ready at once, so that its log is rotated like that of a ready server. */
const protocol: ServerProtocol = {
  ...llamaServerProtocol,
  checkHealth: async () => "ready",
  askMainLoop: async () => undefined,
};

/**
 * A child that writes as fast as it can under supervision, its log rotated at 64 MiB, compared with the same child
 * with `> file`.
 */
export async function benchLogPath(): Promise<boolean> {
  await using home = await TempHome.create();
  const bare: number[] = [];
  const supervised: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    bare.push(await timeBare(home.join("bare.log")));
    supervised.push(await timeSupervised(home));
  }
  console.log(`a child that writes 2 GiB as fast as it can, 128 bytes at a time, ${runs} runs of each in turns:`);
  console.log(`  with > file: ${describe(bare)}; under supervision: ${describe(supervised)}`);
  return judge({
    what: "time under supervision by time with > file",
    value: median(supervised) / median(bare),
    limit: 1.1,
    unit: "",
  });
}

async function timeBare(path: string): Promise<number> {
  const file = await open(path, "a");
  const startMs = performance.now();
  await once(spawn("dd", writer, { stdio: ["ignore", file.fd, file.fd] }), "exit");
  const endMs = performance.now();
  await file.close();
  await rm(path);
  return endMs - startMs;
}

/** Supervised in this process; the time is measured from the start to the exit in its event log. */
async function timeSupervised(home: TempHome): Promise<number> {
  const launch = makeLaunch({
    name: "dd",
    file: "/bin/dd",
    args: writer,
    port: 9,
    proof: { wanted: false, reason: "there is no model" },
    log: { maxBytes: 64 << 20, keep: 1 },
    health: { ...makeLaunch().health, intervalMs: 1000 },
    restart: { ...makeLaunch().restart, policy: "never" },
  });
  const paths = findPaths({ LLMCTL_HOME: home.path });
  const { finished } = await supervise({ launch, protocol, paths, onEvent: () => undefined });
  await finished;
  const logPath = join(paths.state, "dd", "supervisor.log");
  const events = (await readFile(logPath, "utf8")).split("\n");
  await rm(join(paths.state, "dd"), { recursive: true });
  const [startMs, endMs] = ["starting", "failed"].map((state) =>
    Date.parse(events.find((line) => line.split(" ")[2] === state)?.split(" ", 1)[0] ?? ""),
  ) as [number, number];
  return endMs - startMs;
}
