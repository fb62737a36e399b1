import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { requestStop } from "../../src/control/client.ts";
import { llmctl, startLlmctl, type RunResult } from "../support/llmctl.ts";
import { findServers, isAlive, readServerLog, readStatus, untilStatus, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

/** Runs a command several times at the same instant. */
function race(times: number, ...args: string[]): Promise<RunResult[]> {
  return Promise.all(Array.from({ length: times }, () => llmctl(args, { home })));
}

function codes(results: readonly RunResult[]): number[] {
  return results.map(({ exitCode }) => exitCode ?? -1).toSorted((a, b) => a - b);
}

describe("at the same instant", () => {
  test.each([8, 8, 30])("%i ups start one supervisor and one server", async (times) => {
    const stateFile = home.join("starts");
    await home.writeFakeProfile("p", { stateFile, loadMs: 100 });
    const results = await race(times, "up", "-d", "p");
    for (const { exitCode, stderr } of results) {
      expect([0, 75]).toContain(exitCode);
      expect(stderr).not.toContain("internal error");
    }
    expect(codes(results)).toContain(0);
    expect(await readFile(stateFile, "utf8")).toBe("x");
    const { pid } = await readStatus(home, "p");
    expect(await findServers(home)).toEqual([pid]);
    await llmctl(["down", "p"], { home });
  });

  test("4 ups of a server whose supervisor is killed leave one server", async () => {
    await home.writeFakeProfile("p");
    const { supervisorPid, pid } = await upDetached(home, "p");
    process.kill(supervisorPid, "SIGKILL");
    const results = await race(4, "up", "-d", "p");
    for (const code of codes(results)) expect([0, 75]).toContain(code);
    expect(isAlive(pid)).toBe(false);
    expect(await findServers(home)).toHaveLength(1);
    await llmctl(["down", "p"], { home });
  });

  test("5 downs stop a server once", async () => {
    await home.writeFakeProfile("p", { exitDelayMs: 200 });
    const { pid } = await upDetached(home, "p");
    const results = await race(5, "down", "p");
    for (const code of codes(results)) expect([0, 3]).toContain(code);
    expect(codes(results)).toContain(0);
    expect(isAlive(pid)).toBe(false);
    expect(await readServerLog(home, "p")).not.toContain("second interrupt");
  });

  test("3 restarts leave one ready server", async () => {
    await home.writeFakeProfile("p", { exitDelayMs: 100 });
    await upDetached(home, "p");
    const results = await race(3, "restart", "p");
    expect(codes(results)).toEqual([0, 0, 0]);
    const { pid } = await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
    expect(await findServers(home)).toEqual([pid]);
    await llmctl(["down", "p"], { home });
  });

  test("two profiles cannot have one port", async () => {
    await home.writeFakeProfile("a");
    const { url } = await upDetached(home, "a");
    await llmctl(["down", "a"], { home });
    const port = Number(new URL(url ?? "").port);
    await home.writeFakeProfile("a", {}, { server: { port } });
    await home.writeFakeProfile("b", {}, { server: { port } });
    const results = await Promise.all(["a", "b"].map((name) => llmctl(["up", "-d", name], { home })));
    expect(codes(results)).toEqual([0, 69]);
    expect(results.map(({ stderr }) => stderr).join("")).toMatch(
      new RegExp(`port ${port} is (taken by the profile "[ab]"|in use by .* \\(pid \\d+\\))`),
    );
    const winner = results[0]?.exitCode === 0 ? "a" : "b";
    expect((await llmctl(["down", winner], { home })).exitCode).toBe(0);
  });
});

describe("the latest request wins", () => {
  // The server ends only when the test kills it, so that the second request always arrives in time.
  const stubborn = [{ ignoreTerm: true }, { stop: { timeout: "10m" } }] as const;

  test("down during a restart", async () => {
    await home.writeFakeProfile("p", ...stubborn);
    const { pid } = await upDetached(home, "p");
    const restart = startLlmctl(["restart", "p"], { home });
    await restart.waitForLine(/stopping for a restart, asked for by "llmctl restart" \(pid \d+\)/);
    const down = requestStop(home.join("run", "p.sock"), false);
    await restart.waitForLine(/"llmctl down" \(pid \d+\) asked for a stop, which comes after this/);
    process.kill(pid, "SIGKILL");
    expect((await down)?.state).toBe("stopped");
    const { exitCode, stderr } = await restart.ended;
    expect(stderr).toMatch(/"p" is not running: it was stopped, asked for by "llmctl down" \(pid \d+\)/);
    expect(exitCode).toBe(3);
    expect(await findServers(home)).toEqual([]);
  });

  test("restart during a down", async () => {
    await home.writeFakeProfile("p", ...stubborn);
    const { pid } = await upDetached(home, "p");
    const down = llmctl(["down", "p"], { home });
    await untilStatus(home, "p", "stopping", ({ state }) => state === "stopping");
    const restart = startLlmctl(["restart", "p"], { home });
    await restart.waitForLine(/"llmctl restart" \(pid \d+\) asked for a restart, which comes after this/);
    const { exitCode, stderr } = await down;
    expect(stderr).toMatch(/"p" was not stopped: "llmctl restart" \(pid \d+\) asked for a restart after this/);
    expect(exitCode).toBe(75);
    process.kill(pid, "SIGKILL");
    expect((await restart.ended).exitCode).toBe(0);
    expect(await readStatus(home, "p")).toMatchObject({ state: "ready", restarts: 0 });
    expect((await llmctl(["down", "p", "--now"], { home })).exitCode).toBe(0);
  });

  test("a restart that cannot work leaves the running server alone", async () => {
    await home.writeFakeProfile("p");
    const { pid } = await upDetached(home, "p");
    await home.writeFakeProfile("p", {}, { args: ["--no-such-flag"] });
    const { exitCode, stderr } = await llmctl(["restart", "p"], { home });
    expect(exitCode).toBe(78);
    expect(stderr).toContain("--no-such-flag");
    expect(await readStatus(home, "p")).toMatchObject({ state: "ready", pid });
    await llmctl(["down", "p"], { home });
  });
});
