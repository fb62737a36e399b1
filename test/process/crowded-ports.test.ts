import { readFile, rm, stat } from "node:fs/promises";
import type { NetConnectOpts } from "node:net";
import { execa } from "execa";
import getPort from "get-port";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Crowd } from "../support/crowd.ts";
import { llmctl } from "../support/llmctl.ts";
import { readStatus, untilGone, untilStatus, upDetached } from "../support/processes.ts";
import { scrape } from "../support/read-metrics.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

let home: TempHome;
let port: number;

beforeEach(async () => {
  home = await TempHome.create();
  port = await getPort({ host: "127.0.0.1" });
  await home.writeFakeProfile(
    "p",
    { spam: { bytesPerSecond: 20_000 } },
    {
      server: { metrics_port: port },
      restart: { backoff: "1ms", max_failures: 100 },
      health: { interval: "50ms" },
      log: { max_size: "20KB", keep: 2 },
    },
  );
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

const socketPath = () => home.join("run", "p.sock");
const onPort = (): NetConnectOpts => ({ host: "127.0.0.1", port });
const onSocket = (): NetConnectOpts => ({ path: socketPath() });

/** The supervisor's own work goes on. */
async function expectAtWork(): Promise<void> {
  const before = await readStatus(home, "p");
  expect(before).toMatchObject({ presence: "live", state: "ready" });
  process.kill(before.pid ?? 0, "SIGKILL");
  await untilStatus(
    home,
    "p",
    "ready again",
    ({ state, restarts }) => state === "ready" && restarts === before.restarts + 1,
  );
  const folder = home.join("state", "p");
  await rm(`${folder}/lock`);
  await rm(`${folder}/state.json`);
  await rm(socketPath());
  await rm(`${folder}/server.log.1`, { force: true });
  for (const path of [`${folder}/lock`, `${folder}/state.json`, socketPath(), `${folder}/server.log.1`]) {
    await until(`${path} is here again`, async () => (await stat(path).catch(() => undefined)) !== undefined);
  }
  expect(await readStatus(home, "p")).toMatchObject({ presence: "live", state: "ready" });
  expect(await readFile(`${folder}/supervisor.log`, "utf8")).not.toMatch(/EMFILE/);
}

describe("400 idle connections to a supervisor with 256 descriptors", () => {
  test.each([
    ["on the metrics port, that say nothing,", [onPort], ""],
    ["on the control socket, that say nothing,", [onSocket], ""],
    ["on both, that say nothing,", [onPort, onSocket], ""],
    ["on both, that have said half a request,", [onPort, onSocket], "GET /metrics HTTP/1.1\r\nhost:"],
    [
      "on both, that ask for what happens and do not read,",
      [onPort, onSocket],
      "GET /events HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
    [
      "on both, that upload half a body,",
      [onPort, onSocket],
      "POST /stop HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
    ],
  ])("%s do not disturb it", async (_, places, words) => {
    await upDetached(home, "p", { via: ["prlimit", "--nofile=256"] });
    const crowds = await Promise.all(places.map((to) => Crowd.gather(to(), 400, words)));
    await expectAtWork();
    expect((await scrape(port)).value("llmctl_state", { state: "ready" })).toBe(1);
    for (const crowd of crowds) crowd[Symbol.dispose]();
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
  });
});

test("a supervisor that ran out of descriptors recovers, and its server is restarted", async () => {
  const { pid, supervisorPid } = await upDetached(home, "p");
  const limit = (count: string) => execa("prlimit", ["--pid", String(supervisorPid), `--nofile=${count}:`]);
  const [, before = ""] =
    /^Max open files\s+(\d+)/m.exec(await readFile(`/proc/${supervisorPid}/limits`, "utf8")) ?? [];
  await limit("4");
  using crowd = await Crowd.gather(onPort(), 50);
  for (const socket of crowd.sockets) socket.resume();
  await until("no connection finds a descriptor", () => crowd.sockets.every(({ destroyed }) => destroyed));
  process.kill(pid, "SIGKILL");
  await untilGone(pid);
  await limit(before);
  await untilStatus(home, "p", "ready again", ({ state, restarts }) => state === "ready" && restarts > 0);
  const samples = await until("the port is back", () => scrape(port).catch(() => undefined));
  expect(samples.value("llmctl_state", { state: "ready" })).toBe(1);
  expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
});
