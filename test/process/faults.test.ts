import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, type RunResult } from "../support/llmctl.ts";
import { isAlive, readServerLog, readStatus, untilGone, untilStatus, upDetached } from "../support/processes.ts";
import { demoDraft, TempHome } from "../support/temp-home.ts";
import { until } from "../support/until.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

type Values = Readonly<Record<string, unknown>>;

/** Quick retries, so that a whole crash loop takes less than a second. */
const quick = { backoff: "50ms", backoff_max: "100ms" };

/** Starts a profile with these faults; `starts` counts how often the server was started. */
async function up(faults: Values, more: Values = {}): Promise<RunResult & { readonly starts: () => Promise<number> }> {
  const stateFile = home.join("starts");
  await home.writeFakeProfile("p", { stateFile, ...faults }, more);
  const starts = async () => (await readFile(stateFile, "utf8")).length;
  return { ...(await llmctl(["up", "-d", "p"], { home })), starts };
}

async function down(): Promise<void> {
  expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
}

/** Changes the faults of the running server. */
async function setFaults(faults: Values): Promise<void> {
  const { url } = await readStatus(home, "p");
  await fetch(`${url}/fault`, { method: "POST", body: JSON.stringify(faults) });
}

describe("a server that dies while loading", () => {
  test("without retries: the cause, the last 20 lines of its log and the fix are shown", async () => {
    const lines = Array.from({ length: 30 }, (_, i) => `line ${i} of the end`);
    const { exitCode, stdout, stderr, starts } = await up(
      { exitWhileLoading: { code: 7, lines } },
      { restart: { policy: "never" } },
    );
    expect(exitCode).toBe(10);
    expect(stdout).toContain("failed: the server exited with code 7");
    const shown = stderr.split("\n").filter((line) => line.startsWith("  | "));
    expect(shown).toHaveLength(20);
    expect(shown[0]).toContain("line 10 of the end");
    expect(shown[19]).toContain("line 29 of the end");
    expect(stderr).toMatch(
      /llmctl: error: "p" failed: the server exited with code 7\n {2}at: {2}full log: llmctl logs p\n {2}fix: /,
    );
    expect(await starts()).toBe(1);
    expect(await readStatus(home, "p")).toMatchObject({
      presence: "gone",
      state: "failed",
      lastExit: { kind: "exited" },
    });
    expect((await llmctl(["ps"], { home })).stdout).toMatch(/^p +failed/m);
  });

  test("is started again after a backoff, until it works", async () => {
    const { exitCode, stdout, starts } = await up({ times: 2, exitWhileLoading: { code: 1 } }, { restart: quick });
    expect(exitCode).toBe(0);
    expect(stdout.match(/the server exited with code 1; next start in \d+ ms/g)).toHaveLength(2);
    expect(await starts()).toBe(3);
    expect(await readStatus(home, "p")).toMatchObject({
      state: "ready",
      runs: 3,
      restarts: 2,
      lastExit: { kind: "exited" },
    });
    await down();
  });

  test("again and again is a crash loop", async () => {
    const { exitCode, stderr, starts } = await up(
      { exitWhileLoading: { code: 1 } },
      { restart: { ...quick, max_failures: 4 } },
    );
    expect(exitCode).toBe(12);
    expect(stderr).toContain("crash loop: 4 unexpected exits in 1 s, the last: the server exited with code 1");
    expect(await starts()).toBe(4);
    expect(await readStatus(home, "p")).toMatchObject({ state: "failed", lastExit: { kind: "crash-loop" } });
  });

  test.each([
    ["srv: error: invalid argument: --spam", 78, "bad-flag"],
    [
      "llama_model_load: error loading model: tensor 'a' data is not within the file bounds, model is " +
        "corrupted or incomplete",
      66,
      "model-corrupt",
    ],
    ["srv: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 80", 69, "port-in-use"],
  ])("for a reason that lasts is not started again: %s", async (line, code, kind) => {
    const { exitCode, stderr, starts } = await up({ exitWhileLoading: { code: 1, lines: [line] } }, { restart: quick });
    expect(exitCode).toBe(code);
    expect(stderr).toContain(line);
    expect(stderr).toContain("  fix: ");
    expect(await starts()).toBe(1);
    expect((await readStatus(home, "p")).lastExit?.kind).toBe(kind);
  });

  test("and shows no activity is killed", async () => {
    const { exitCode, stderr } = await up(
      { neverReady: true },
      { health: { stall_timeout: "1s" }, restart: { policy: "never" } },
    );
    expect(exitCode).toBe(11);
    expect(stderr).toContain("the load showed no sign of life (log, CPU, I/O) for 1 s");
  });
});

describe("a ready server", () => {
  test.each(["SIGKILL", "SIGSEGV", "SIGABRT"] as const)("that dies of %s is replaced", async (signal) => {
    await home.writeFakeProfile("p", {}, { restart: quick });
    const { pid } = await upDetached(home, "p");
    process.kill(pid, signal);
    const after = await untilStatus(
      home,
      "p",
      "ready again",
      ({ state, restarts }) => state === "ready" && restarts === 1,
    );
    expect(after.pid).not.toBe(pid);
    expect(isAlive(pid)).toBe(false);
    expect(after.lastExit?.message).toContain(signal);
    expect(after.drafting.state).toBe("on");
    await down();
  });

  test("that dies leaves no process of its group behind", async () => {
    await home.writeFakeProfile("p", { forkChild: "group" }, { restart: { policy: "never" } });
    const { pid } = await upDetached(home, "p");
    const grandchild = await findGrandchild();
    process.kill(pid, "SIGKILL");
    await untilGone(grandchild);
    const { state } = await untilStatus(home, "p", "failed", ({ presence }) => presence === "gone");
    expect(state).toBe("failed");
  });

  test("that must be killed is killed with its descendants, in other sessions too", async () => {
    await home.writeFakeProfile("p", { forkChild: "session", ignoreTerm: true }, { stop: { timeout: "100ms" } });
    await upDetached(home, "p");
    const grandchild = await findGrandchild();
    await down();
    expect(isAlive(grandchild)).toBe(false);
  });

  async function findGrandchild(): Promise<number> {
    const pid = Number(/fake: grandchild (\d+)/.exec(await readServerLog(home, "p"))?.[1]);
    expect(isAlive(pid)).toBe(true);
    return pid;
  }

  test.each(["15m", "0s"])(
    "that no longer answers is unhealthy, and may come back (hang_timeout %s)",
    async (limit) => {
      const health = { interval: "50ms", timeout: "100ms", failures: 2, hang_timeout: limit };
      await home.writeFakeProfile("p", {}, { health });
      const { pid } = await upDetached(home, "p");
      await setFaults({ silent: true });
      await untilStatus(home, "p", "unhealthy", ({ state }) => state === "unhealthy");
      const isOlder = ({ since = "" }) => Date.now() - Date.parse(since) > 300;
      const ill = await untilStatus(home, "p", "in one state for six intervals", isOlder);
      expect(ill).toMatchObject({ state: "unhealthy", pid, restarts: 0 });
      await setFaults({ silent: false });
      const well = await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
      expect(well).toMatchObject({ pid, restarts: 0 });
      await down();
    },
  );

  test("that has hung for too long is replaced", async () => {
    const health = { interval: "50ms", timeout: "100ms", failures: 2, hang_timeout: "300ms" };
    await home.writeFakeProfile("p", {}, { health, restart: quick });
    const { pid } = await upDetached(home, "p");
    process.kill(pid, "SIGSTOP");
    const after = await untilStatus(
      home,
      "p",
      "replaced",
      ({ state, restarts }) => state === "ready" && restarts === 1,
    );
    expect(after.lastExit?.kind).toBe("hung");
    expect(isAlive(pid)).toBe(false);
    await down();
  });

  test("whose main loop is stuck while /health answers is unhealthy, and replaced when nothing moves", async () => {
    const health = { interval: "50ms", timeout: "100ms", failures: 2, hang_timeout: "300ms" };
    await home.writeFakeProfile("p", {}, { health, restart: quick });
    const { pid } = await upDetached(home, "p");
    await setFaults({ wedge: true });
    await untilStatus(home, "p", "replaced", ({ state, restarts }) => state === "ready" && restarts === 1);
    expect(isAlive(pid)).toBe(false);
    const events = (await llmctl(["events", "p"], { home })).stdout;
    expect(events).toMatch(/ unhealthy +unhealthy: the server no longer answers; .*\n.* killing .*\[hung\]/);
    await down();
  });

  test("whose main loop answers late is left alone while it logs", async () => {
    const health = { interval: "50ms", timeout: "100ms", failures: 20, hang_timeout: "300ms" };
    await home.writeFakeProfile("p", { spam: { bytesPerSecond: 200_000 } }, { health });
    const { pid } = await upDetached(home, "p");
    await setFaults({ wedge: true });
    const mark = "fake: leaves /slots unanswered";
    const loggedSince = (text: string) => (text.includes(mark) ? text.length - text.indexOf(mark) : 0);
    await until("time for many checks has passed", async () => loggedSince(await readServerLog(home, "p")) > 500_000);
    expect(await readStatus(home, "p")).toMatchObject({ state: "ready", pid, restarts: 0 });
    expect((await llmctl(["down", "p", "--now"], { home })).exitCode).toBe(0);
  });

  test("that is stopped still goes down", async () => {
    await home.writeFakeProfile("p");
    const { pid } = await upDetached(home, "p");
    process.kill(pid, "SIGSTOP");
    await down();
    expect(isAlive(pid)).toBe(false);
    expect(await readServerLog(home, "p")).toContain("cleaning up before exit");
  });
});

describe("a server that does not draft", () => {
  test("serves without, and says so", async () => {
    const { exitCode, stdout } = await up({ noDraft: true });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/ready on .* drafting off: the proof request drafted no token/);
    expect(await readStatus(home, "p")).toMatchObject({ state: "ready", drafting: { state: "off" } });
    await down();
  });

  test("is stopped where the profile wants it so", async () => {
    const { exitCode, stderr, starts } = await up(
      { noDraft: true },
      { draft: { model: demoDraft, on_mismatch: "fail" } },
    );
    expect(exitCode).toBe(78);
    expect(stderr).toContain("the server does not draft: the proof request drafted no token");
    expect(stderr).toMatch(/fix: .*draft\.on_mismatch/);
    expect(await starts()).toBe(1);
  });

  test("because it never answers the proof request serves without drafting after the timeout", async () => {
    const { exitCode, stdout } = await up(
      { wedge: true },
      { health: { proof_timeout: "200ms" }, stop: { timeout: "100ms" } },
    );
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/drafting off: the proof request failed: /);
    await down();
  });

  test("because the proof request crashes it is not ready", async () => {
    const { exitCode, stdout, starts } = await up({ times: 1, crashOnRequest: true }, { restart: quick });
    expect(exitCode).toBe(0);
    expect(stdout).toContain("the server was killed (SIGKILL); next start in");
    expect(stdout.match(/ready on/g)).toHaveLength(1);
    expect(await starts()).toBe(2);
    await down();
  });
});
