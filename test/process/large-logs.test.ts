import { mkdir, readFile, stat } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fetchStatus } from "../../src/control/client.ts";
import { llmctl, startLlmctl } from "../support/llmctl.ts";
import { withSmallDisk } from "../support/namespaces.ts";
import { upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

let home: TempHome;
let log: string;

beforeEach(async () => {
  home = await TempHome.create();
  log = home.join("state", "p", "server.log");
});
afterEach(() => home[Symbol.asyncDispose]());

/** Peak memory of a process so far, in bytes. */
async function readPeakMemory(pid: number): Promise<number> {
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
}

/** Bytes that a process has written so far. */
async function readWritten(pid: number): Promise<number> {
  return Number(/^wchar: (\d+)$/m.exec(await readFile(`/proc/${pid}/io`, "utf8"))?.[1]);
}

const mostMemory = 150e6;

describe("a server that logs without end", () => {
  test("a gigabyte costs its supervisor no memory, is rotated, and does not stop the server", async () => {
    // The log is rotated often and discarded, so that little of it reaches the disk.
    const profile = { health: { interval: "50ms" }, log: { max_size: "1MiB", keep: 0 } };
    await home.writeFakeProfile("p", { spam: { bytesPerSecond: 400e6 } }, profile);
    const { pid, supervisorPid, url } = await upDetached(home, "p");
    await until("a gigabyte is written", async () => (await readWritten(pid)) > 1e9);
    expect((await fetch(`${url}/health`)).status).toBe(200);
    await until("it is rotated", async () => (await stat(log)).size < 500e6);
    expect(await readPeakMemory(supervisorPid)).toBeLessThan(mostMemory);
    await llmctl(["down", "p"], { home });
  });

  test("a line of 300 MB costs its supervisor no memory and a reader no time", async () => {
    await home.writeFakeProfile("p", { longLineBytes: 300e6 });
    const { supervisorPid } = await upDetached(home, "p");
    expect(await readPeakMemory(supervisorPid)).toBeLessThan(mostMemory);
    const cut = ["sh", "-c", '"$@" | tail -c 2000', "sh"];
    expect((await llmctl(["logs", "p"], { home, via: cut })).stdout).toContain("listening on");
    await llmctl(["down", "p"], { home });
  });
});

test("a full disk stops the log, not the server, and is reported", async () => {
  await mkdir(home.join("state"));
  await home.writeFakeProfile("p", { spam: { totalBytes: 3e6 } }, { health: { interval: "100ms" } });
  await using running = startLlmctl(["up", "p"], { home, via: withSmallDisk(home.join("state"), "1m") });
  const [, url = ""] = await running.waitForLine(/ready on (\S+)/);
  await running.waitForLine(/no space left on the disk of \S+server\.log: the server goes on/);
  const answer = await fetch(`${url}/v1/chat/completions`, { method: "POST", body: JSON.stringify({ messages: [] }) });
  expect(answer.status).toBe(200);
  expect((await running.stop("SIGINT")).exitCode).toBe(0);
});

test("the port of a server that starts on a full disk is found", async () => {
  await mkdir(home.join("state"));
  await home.writeFakeProfile(
    "p",
    { spam: { totalBytes: 3e6 } },
    { health: { interval: "100ms" }, restart: { backoff: "10ms" } },
  );
  await using running = startLlmctl(["up", "p"], { home, via: withSmallDisk(home.join("state"), "1m") });
  await running.waitForLine(/no space left on the disk of \S+server\.log: the server goes on/);
  // Its state is on a disk in a separate mount namespace.
  const status = () => fetchStatus(home.join("run", "p.sock"));
  process.kill((await status())?.pid ?? 0, "SIGKILL");
  const after = await until("it is ready again", async () => {
    const now = await status();
    return now?.state === "ready" && now.restarts === 1 && now;
  });
  expect((await fetch(`${after.url}/health`)).status).toBe(200);
  expect((await running.stop("SIGINT")).exitCode).toBe(0);
});
