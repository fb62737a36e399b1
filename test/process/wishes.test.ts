import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { execaSync } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { launchVersion } from "../../src/supervisor/launch.ts";
import { joinPatterns } from "../support/join-patterns.ts";
import { llmctl, llmctlCommand, startLlmctl } from "../support/llmctl.ts";
import { findServers, readStatus, untilGone, untilStatus, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

const readEvents = async () => (await llmctl(["events", "p"], { home })).stdout;

describe("no command reports a success that did not happen", () => {
  test("an up whose server is stopped before it is ready names who stopped it", async () => {
    await home.writeFakeProfile("p", { neverReady: true });
    const up = startLlmctl(["up", "-d", "p"], { home });
    await up.waitForLine(/loading/);
    const second = startLlmctl(["up", "-d", "p"], { home });
    await second.waitForLine(/"p" is already running/);
    await home.writeFakeProfile("q", { neverReady: true });
    const foreground = startLlmctl(["up", "q"], { home });
    await foreground.waitForLine(/loading/);
    expect((await llmctl(["down", "p", "q"], { home })).exitCode).toBe(0);
    expect((await foreground.ended).exitCode).toBe(3);
    expect(foreground.lines.at(-1)).toMatch(/stopped, asked for by "llmctl down" \(pid \d+\)$/);
    for (const { exitCode, stderr } of [await up.ended, await second.ended]) {
      expect(stderr).toMatch(
        joinPatterns(
          /"p" is not running: it was stopped, asked for by "llmctl down" \(pid \d+\)\n/,
          / {2}fix: start it again: llmctl up p/,
        ),
      );
      expect(exitCode).toBe(3);
    }
  });

  test("an up during a stop starts the server again", async () => {
    await home.writeFakeProfile("p", { ignoreTerm: true }, { stop: { timeout: "10m" } });
    const { pid } = await upDetached(home, "p");
    const down = llmctl(["down", "p"], { home });
    await untilStatus(home, "p", "stopping", ({ state }) => state === "stopping");
    const up = startLlmctl(["up", "-d", "p"], { home });
    await up.waitForLine(/"p" is being stopped; waiting for its end/);
    process.kill(pid, "SIGKILL");
    expect((await up.ended).exitCode).toBe(0);
    expect((await down).exitCode).toBe(0);
    const after = await readStatus(home, "p");
    expect(after).toMatchObject({ presence: "live", state: "ready" });
    expect(after.pid).not.toBe(pid);
    await llmctl(["down", "p", "--now"], { home });
  });

  test("of two restarts with different configurations, the one that lost fails", async () => {
    await home.writeFakeProfile("p", { ignoreTerm: true }, { stop: { timeout: "10m" } });
    const { pid } = await upDetached(home, "p");
    await home.writeFakeProfile("p", { ignoreTerm: true }, { stop: { timeout: "10m" }, ctx_size: 256 });
    const first = startLlmctl(["restart", "p"], { home });
    await first.waitForLine(/stopping for a restart/);
    await home.writeFakeProfile("p", { ignoreTerm: true }, { stop: { timeout: "10m" }, ctx_size: 128 });
    const second = startLlmctl(["restart", "p"], { home });
    await second.waitForLine(/asked for a restart, which comes after this/);
    process.kill(pid, "SIGKILL");
    expect((await second.ended).exitCode).toBe(0);
    const { exitCode, stderr } = await first.ended;
    expect(stderr).toContain('"p" is ready, but with another configuration, which somebody asked for meanwhile');
    expect(exitCode).toBe(75);
    expect((await readStatus(home, "p")).command?.args).toContain("128");
    await llmctl(["down", "p", "--now"], { home });
  });

  test("a restart while a start waits for its worker uses the edited profile", async () => {
    const worker = { rpc: { workers: ["127.0.0.1:1"] } };
    await home.writeFakeProfile("p", {}, { ...worker, restart: { backoff: "50ms", backoff_max: "50ms" } });
    await llmctl(["up", "-d", "p", "--timeout", "1ms"], { home });
    await untilStatus(home, "p", "waiting", ({ waitingFor }) => waitingFor != null);
    await home.writeFakeProfile("p", {}, { ctx_size: 256 });
    // It alternates between backoff and preflight: the restart may arrive in either.
    expect((await llmctl(["restart", "p"], { home })).exitCode).toBe(0);
    expect((await readStatus(home, "p")).command?.args).toContain("256");
    await llmctl(["down", "p"], { home });
  });
});

describe("events name the source of a stop request", () => {
  test("a command, with its pid", async () => {
    await home.writeFakeProfile("p");
    await upDetached(home, "p");
    await llmctl(["restart", "p"], { home });
    await llmctl(["down", "p"], { home });
    const events = await readEvents();
    expect(events).toMatch(/stopping for a restart, asked for by "llmctl restart" \(pid \d+\)/);
    expect(events).toMatch(/stopping, asked for by "llmctl down" \(pid \d+\)/);
    expect(events).toMatch(/stopped, asked for by "llmctl down" \(pid \d+\)$/m);
  });

  test.each(["SIGTERM", "SIGINT"] as const)("the signal %s", async (signal) => {
    await home.writeFakeProfile("p");
    const { supervisorPid } = await upDetached(home, "p");
    process.kill(supervisorPid, signal);
    await untilGone(supervisorPid);
    expect(await readEvents()).toMatch(new RegExp(`stopping, asked for by ${signal}$`, "m"));
  });

  test("a force", async () => {
    await home.writeFakeProfile("p", { ignoreTerm: true }, { stop: { timeout: "10m" } });
    await upDetached(home, "p");
    await llmctl(["down", "p", "--now"], { home });
    expect(await readEvents()).toMatch(/killing the server, asked for by "llmctl down" \(pid \d+\)/);
  });
});

describe("a terminal that closes", () => {
  /** As with `nohup llmctl … &`: no terminal, and SIGHUP to every process that was started from it. */
  async function startInBackground(): Promise<number> {
    const [file, ...args] = llmctlCommand(["up", "p"]);
    const shell = spawn("sh", ["-c", 'nohup "$@" </dev/null >/dev/null 2>&1 & echo $!', "sh", file, ...args], {
      env: { PATH: process.env["PATH"], HOME: home.path, LLMCTL_HOME: home.path },
    });
    const [text] = (await once(shell.stdout.setEncoding("utf8"), "data")) as [string];
    return Number(text);
  }

  test("does not stop a server that was started without a terminal", async () => {
    await home.writeFakeProfile("p");
    const pid = await startInBackground();
    const before = await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
    expect(before.supervisorPid).toBe(pid);
    process.kill(pid, "SIGHUP");
    process.kill(pid, "SIGHUP");
    expect((await llmctl(["restart", "p"], { home })).exitCode).toBe(0); // it has seen the signals by then
    expect(await readStatus(home, "p")).toMatchObject({ presence: "live", state: "ready", supervisorPid: pid });
    await llmctl(["down", "p"], { home });
  });

  test("does not stop a server that is still loading", async () => {
    await home.writeFakeProfile("p", { loadMs: 1000 });
    const pid = await startInBackground();
    await untilStatus(home, "p", "loading", ({ state }) => state === "loading");
    process.kill(pid, "SIGHUP");
    const ready = await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
    expect(ready).toMatchObject({ supervisorPid: pid, restarts: 0 });
    await llmctl(["down", "p"], { home });
  });

  test("does not stop a supervisor in the background", async () => {
    await home.writeFakeProfile("p");
    const { supervisorPid, pid } = await upDetached(home, "p");
    process.kill(supervisorPid, "SIGHUP");
    expect(await readStatus(home, "p")).toMatchObject({ state: "ready", pid });
    await llmctl(["down", "p"], { home });
  });
});

test("the first process of a container obeys SIGTERM before there is a server", async () => {
  await home.writeFakeProfile("p");
  // It waits for a lock whose holder is unknown.
  await mkdir(home.join("state", "p"), { recursive: true });
  const holder = spawn("flock", [home.join("state", "p", "lock"), "sleep", "60"]);
  const [file, ...args] = llmctlCommand(["up", "p"]);
  const up = spawn("unshare", ["--pid", "--fork", "--mount-proc", "--kill-child", file, ...args], {
    env: { PATH: process.env["PATH"], HOME: home.path, LLMCTL_HOME: home.path },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const inner = await until("it has started", async () => {
    const children = await readFile(`/proc/${up.pid}/task/${up.pid}/children`, "utf8").catch(() => "");
    return children.trim() !== "" && Number(children.trim().split(" ")[0]);
  });
  const handles = async () => {
    const status = await readFile(`/proc/${inner}/status`, "utf8").catch(() => "");
    const caught = BigInt(`0x${/^SigCgt:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
    return (caught & 1n) !== 0n;
  };
  // Node itself handles SIGTERM from the start, to die of it; the handler of SIGHUP is installed with llmctl's.
  await until("it handles signals", handles);
  const ended = once(up, "exit");
  process.kill(inner, "SIGTERM");
  expect(await ended).toEqual([143, null]);
  execaSync("pkill", ["-P", String(holder.pid)]);
  await once(holder, "exit");
});

test("an up that is paused while it waits delays no other command, and then goes on", async () => {
  // Each health check of this load is an event without a reader.
  await home.writeFakeProfile("p", { loadMs: 3000, readBytes: 4096 });
  const up = startLlmctl(["up", "-d", "p"], { home });
  await up.waitForLine(/loading/);
  process.kill(up.pid, "SIGSTOP");
  const { pid } = await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
  for (let times = 0; times < 3; times += 1) expect((await llmctl(["restart", "p"], { home })).exitCode).toBe(0);
  expect((await readStatus(home, "p")).pid).not.toBe(pid);
  process.kill(up.pid, "SIGCONT");
  expect((await up.ended).exitCode).toBe(0);
  await llmctl(["down", "p"], { home });
});

test("an up that is paused before it watches does not keep the server from being started", async () => {
  await home.writeFakeProfile("p", { loadMs: 3000 });
  const up = startLlmctl(["up", "-d", "p"], { home });
  await until("its supervisor listens", () => existsSync(home.join("run", "p.sock")));
  process.kill(up.pid, "SIGSTOP");
  await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
  process.kill(up.pid, "SIGCONT");
  expect((await up.ended).exitCode).toBe(0);
  await llmctl(["down", "p"], { home });
});

test("a supervisor that the system cannot start is an error of one sentence", async () => {
  await home.writeFakeProfile("p");
  const env = { NODE_OPTIONS: "--import=data:text/javascript,process.execPath='/nowhere/node'" };
  const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home, env });
  expect(stderr).toMatch(
    /^llmctl: error: the supervisor cannot be started: ENOENT\n {2}at: {2}\/nowhere\/node\n {2}fix: /,
  );
  expect(exitCode).toBe(69);
});

describe("a launch from another version", () => {
  async function postRestart(body: object): Promise<{ status: number; answer: { code?: string; message: string } }> {
    const { request } = await import("node:http");
    const outgoing = request({ socketPath: home.join("run", "p.sock"), method: "POST", path: "/restart" });
    outgoing.end(JSON.stringify(body));
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    const chunks = await response.toArray();
    return {
      status: response.statusCode ?? 0,
      answer: JSON.parse(Buffer.concat(chunks as Buffer[]).toString()) as { message: string },
    };
  }

  async function readLaunch(): Promise<Record<string, unknown>> {
    const { stdout } = await llmctl(["plan", "p", "--json"], { home });
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  test("is refused for its version or an unknown value; the running server goes on", async () => {
    await home.writeFakeProfile("p");
    const { pid } = await upDetached(home, "p");
    await readLaunch();
    for (const [launch, code] of [
      [{ version: 99, name: "p", file: "/bin/true", args: [] }, "launch-version"],
      [{ name: "p", file: "/bin/true", args: [] }, "launch-version"],
      [{ version: 1, name: "p", file: "/bin/true", args: [], protocol: "llama-server" }, "launch-version"],
      [{ version: launchVersion, name: "p", file: "/bin/true", args: [], protocol: "llama-server" }, "launch-refused"],
      ["p", "launch-refused"],
      [null, "launch-refused"],
    ] as const) {
      const { status, answer } = await postRestart({ launch, by: "test", llmctl: "9.9.9" });
      expect({ status, code: answer.code }).toEqual({ status: 409, code });
      expect(answer.message).toContain("it runs on as it is");
    }
    expect(await readStatus(home, "p")).toMatchObject({ state: "ready", pid });
    await llmctl(["down", "p"], { home });
  });

  test("is not sent to a supervisor that is too old to check it", async () => {
    await home.writeFakeProfile("p");
    await upDetached(home, "p");
    const status = await readStatus(home, "p");
    await llmctl(["down", "p"], { home });
    const asked: string[] = [];
    const old = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      const { llmctl: _llmctl, launchVersion: _launchVersion, presence: _presence, ...before } = status;
      response.end(JSON.stringify(before));
    });
    old.listen(home.join("run", "p.sock"));
    await once(old, "listening");
    try {
      const { exitCode, stderr } = await llmctl(["restart", "p"], { home });
      expect(stderr).toMatch(
        joinPatterns(
          /"p" was started by llmctl of an earlier version, which cannot take a new configuration /,
          /from llmctl \d+\.\d+\.\d+; it runs on as it is\n/,
          / {2}fix: restart it with "llmctl down p", then "llmctl up -d p"/,
        ),
      );
      expect(exitCode).toBe(75);
      expect(asked).not.toContain("POST /restart");
      // No command starts a second supervisor, either.
      expect((await llmctl(["up", "-d", "p", "--timeout", "1ms"], { home })).exitCode).toBe(11);
      expect(await findServers(home)).toEqual([]);
    } finally {
      old.close();
      old.closeAllConnections();
    }
  });
});

test("commands find a supervisor that answers, even when the machine and they themselves are busy", async () => {
  await home.writeFakeProfile("p");
  await home.writeFakeProfile("q");
  const { pid } = await upDetached(home, "p");
  const { supervisorPid } = await upDetached(home, "q");
  process.kill(supervisorPid, "SIGSTOP"); // one that does not answer, beside it
  const busy = Array.from({ length: 3 }, () => spawn(process.execPath, ["-e", "for (;;);"]));
  // Each command is paused in the middle of its request, for longer than any time limit.
  const preload = home.join("busy.mjs");
  await writeFile(
    preload,
    `import http from "node:http";
import { syncBuiltinESMExports } from "node:module";
const { request } = http;
http.request = (...args) => {
  const outgoing = request(...args);
  setImmediate(() => { for (const untilMs = Date.now() + 4000; Date.now() < untilMs; ); });
  return outgoing;
};
syncBuiltinESMExports();`,
  );
  const env = { NODE_OPTIONS: `--import=${preload}` };
  try {
    expect((await llmctl(["status", "p"], { home, env })).stdout).toMatch(/^state +ready$/m);
    const { stdout } = await llmctl(["ps"], { home });
    expect(stdout).toMatch(/^p +ready/m);
    expect(stdout).toMatch(/^q +unresponsive/m);
    const check = await llmctl(["check", "p", "q"], { home });
    expect(check.stdout).toMatch(/the supervisor does not answer/);
    expect(check.exitCode).toBe(0);
    expect((await llmctl(["up", "-d", "p"], { home, env })).stdout).toContain('"p" is already running');
    expect(await findServers(home)).toContain(pid);
  } finally {
    for (const child of busy) child.kill("SIGKILL");
    process.kill(supervisorPid, "SIGCONT");
  }
  expect((await llmctl(["down", "p", "q"], { home })).exitCode).toBe(0);
});
