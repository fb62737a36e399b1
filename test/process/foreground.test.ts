import { execFileSync, spawn } from "node:child_process";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, llmctlCommand, startLlmctl } from "../support/llmctl.ts";
import { count, isAlive, readServerLog, readStatus, untilGone, untilStatus } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";
import { Terminal } from "../support/terminal.ts";
import { until } from "../support/until.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

async function serverPid(): Promise<number> {
  const { pid } = await readStatus(home, "p");
  if (pid === null) throw new Error("the profile has no server");
  return pid;
}

/** A full pipe. */
function openFullPipe(path: string): number {
  execFileSync("mkfifo", [path]);
  const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  for (const size of [4096, 1]) {
    expect(() => {
      for (;;) writeSync(pipe, Buffer.alloc(size));
    }).toThrow("EAGAIN");
  }
  return pipe;
}

describe("up in the foreground", () => {
  test("is the supervisor, goes on showing events, and ends with the server", async () => {
    await home.writeFakeProfile("p", {}, { restart: { backoff: "50ms" } });
    const running = startLlmctl(["up", "p"], { home });
    await running.waitForLine(/ready on http/);
    const { pid, supervisorPid } = await readStatus(home, "p");
    expect(supervisorPid).toBe(running.pid);
    process.kill(pid ?? 0, "SIGKILL");
    await running.waitForLine(/the server was killed \(SIGKILL\); next start in/);
    await untilStatus(home, "p", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
    const { exitCode, stdout } = await running.ended;
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(
      /stopping, asked for by "llmctl down" .*\n.*stopped, asked for by "llmctl down" \(pid \d+\)$/,
    );
  });

  test.each(["SIGTERM", "SIGINT"] as const)("stops gracefully on %s", async (signal) => {
    await home.writeFakeProfile("p", { exitDelayMs: 300 });
    const running = startLlmctl(["up", "p"], { home });
    await running.waitForLine(/ready on http/);
    const pid = await serverPid();
    const { exitCode } = await running.stop(signal);
    expect(exitCode).toBe(0);
    expect(isAlive(pid)).toBe(false);
    expect(await readServerLog(home, "p")).toMatch(/cleaning up before exit\S*\n$/);
  });

  test("fails with the cause when the server gives up after it was ready", async () => {
    await home.writeFakeProfile("p", {}, { restart: { policy: "never" } });
    const running = startLlmctl(["up", "p"], { home });
    const [, url = ""] = await running.waitForLine(/ready on (http\S+)/);
    await fetch(`${url}/fault`, { method: "POST", body: JSON.stringify({ crashOnRequest: true, crash: { code: 5 } }) });
    await expect(fetch(`${url}/completion`, { method: "POST" })).rejects.toThrow("fetch failed");
    const { exitCode, stderr } = await running.ended;
    expect(exitCode).toBe(1);
    expect(stderr).toContain('"p" failed: the server exited with code 5');
  });
});

describe("on a pipe without a reader", () => {
  test("a supervisor goes on, and unwritten output does not keep it from ending", async () => {
    await home.writeFakeProfile("p", {}, { restart: { backoff: "50ms" } });
    const pipe = openFullPipe(home.join("pipe"));
    const [file, ...words] = llmctlCommand(["up", "p"]);
    const env = { PATH: process.env["PATH"], LLMCTL_HOME: home.path };
    const { pid: supervisorPid = 0 } = spawn(file, words, { stdio: ["ignore", pipe, pipe], env });
    await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
    process.kill(await serverPid(), "SIGKILL");
    await untilStatus(home, "p", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
    await untilGone(supervisorPid);
    closeSync(pipe);
  });
});

describe("on a terminal", () => {
  test("that is paused with Ctrl-S the server is supervised as before, and the supervisor ends with it", async () => {
    await home.writeFakeProfile("p", {}, { restart: { backoff: "50ms" } });
    await using terminal = new Terminal(llmctlCommand(["up", "p"]), home);
    await terminal.waitFor("ready on http");
    terminal.type("\u0013");
    const { pid, supervisorPid } = await readStatus(home, "p");
    process.kill(pid ?? 0, "SIGKILL");
    await untilStatus(home, "p", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
    await untilGone(supervisorPid);
  });

  test("SIGHUP stops gracefully, and a second one, as a closing terminal sends it, does not hurry", async () => {
    await home.writeFakeProfile("p", { exitDelayMs: 300 });
    await using terminal = new Terminal(llmctlCommand(["up", "p"]), home);
    await terminal.waitFor("ready on http");
    const { supervisorPid } = await readStatus(home, "p");
    process.kill(supervisorPid, "SIGHUP");
    await terminal.waitFor("stopping, asked for by SIGHUP");
    process.kill(supervisorPid, "SIGHUP");
    const { output } = await terminal.ended;
    expect(output).toContain("stopped, asked for by SIGHUP");
    expect(output).not.toContain("killing");
  });

  test("one Ctrl-C stops gracefully: the server gets one signal", async () => {
    await home.writeFakeProfile("p", { exitDelayMs: 500 });
    await using terminal = new Terminal(llmctlCommand(["up", "p"]), home);
    await terminal.waitFor("ready on http");
    const pid = await serverPid();
    terminal.pressCtrlC();
    const { output } = await terminal.ended;
    expect(output).toContain("press Ctrl-C again to stop at once");
    expect(isAlive(pid)).toBe(false);
    const log = await readServerLog(home, "p");
    expect(count(log, "cleaning up before exit")).toBe(1);
    expect(log).not.toContain("second interrupt");
  });

  test("a second Ctrl-C stops at once, and a third does no harm", async () => {
    await home.writeFakeProfile("p", { ignoreTerm: true }, { stop: { timeout: "10m" } });
    await using terminal = new Terminal(llmctlCommand(["up", "p"]), home);
    await terminal.waitFor("ready on http");
    const pid = await serverPid();
    terminal.pressCtrlC();
    await terminal.waitFor("press Ctrl-C again");
    await until("the server has been asked to stop", async () =>
      (await readServerLog(home, "p")).includes("ignored SIGTERM"),
    );
    let isOver = false;
    void terminal.ended.then(() => (isOver = true)); // never rejects
    // Ctrl-C once more after a pause: a signal right after the first one counts as its repetition.
    await until("the command has ended", () => {
      if (!isOver) terminal.pressCtrlC();
      return isOver;
    });
    expect(isAlive(pid)).toBe(false);
    expect(count(await readServerLog(home, "p"), "ignored SIGTERM")).toBe(1);
  });

  test("that is closed the server stops gracefully", async () => {
    await home.writeFakeProfile("p", { exitDelayMs: 200 });
    await using terminal = new Terminal(llmctlCommand(["up", "p"]), home);
    await terminal.waitFor("ready on http");
    const { pid, supervisorPid } = await readStatus(home, "p");
    terminal.close();
    await untilGone(supervisorPid);
    expect(isAlive(pid ?? 0)).toBe(false);
    expect(await readServerLog(home, "p")).toContain("cleaning up before exit");
    expect(await readStatus(home, "p")).toMatchObject({ presence: "gone", state: "stopped", lastExit: null });
  });

  test("that is closed a profile in the background runs on", async () => {
    await home.writeFakeProfile("p");
    await using terminal = new Terminal(
      ["sh", "-c", `${llmctlCommand(["up", "-d", "p"]).join(" ")}; echo up; exec cat`],
      home,
    );
    await terminal.waitFor("up\n");
    const { pid } = await readStatus(home, "p");
    terminal.close();
    await terminal.ended;
    expect(await readStatus(home, "p")).toMatchObject({ presence: "live", state: "ready", pid });
    await llmctl(["down", "p"], { home });
  });
});
