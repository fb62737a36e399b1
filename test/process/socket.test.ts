import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { createServer } from "node:net";
import getPort from "get-port";
import { afterEach, beforeEach, expect, test } from "vitest";
import { llmctl, llmctlCommand } from "../support/llmctl.ts";
import { findServers, isAlive, readServerLog, untilGone, untilStatus, upDetached } from "../support/processes.ts";
import { scrape } from "../support/read-metrics.ts";
import { TempHome } from "../support/temp-home.ts";
import { Terminal } from "../support/terminal.ts";

let home: TempHome;
let path: string;

beforeEach(async () => {
  home = await TempHome.create();
  path = home.join("config/profiles/run/my p.sock");
  await mkdir(home.join("config/profiles/run"), { recursive: true });
});
afterEach(() => home[Symbol.asyncDispose]());

const server = { host: "run/my p.sock" };

async function askHealth(): Promise<number | undefined> {
  const outgoing = request({ socketPath: path, path: "/health", agent: false }).end();
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

test("a server on a unix socket proves drafting, has a status and metrics, and leaves no file", async () => {
  const port = await getPort({ host: "127.0.0.1" });
  await home.writeFakeProfile("p", {}, { server: { ...server, metrics: true, metrics_port: port } });
  const plan = await llmctl(["plan", "p"], { home });
  expect(plan.stdout).not.toContain("--port");
  expect(plan.stderr).toBe("");
  const status = await upDetached(home, "p");
  expect(status).toMatchObject({ state: "ready", url: `unix://${path}`, drafting: { state: "on" }, warnings: [] });
  expect(await askHealth()).toBe(200);
  expect((await llmctl(["status", "p"], { home })).stdout).toContain(`url          unix://${path}\n`);
  expect((await llmctl(["ps"], { home })).stdout).toContain(`unix://${path}`);
  expect((await llmctl(["check", "p"], { home })).stdout).toContain("no problems found");
  const samples = await scrape(port);
  expect(samples.value("llmctl_drafting", { state: "on" })).toBe(1);
  expect(samples.value("llamacpp:tokens_predicted_total")).toBeGreaterThan(0);
  await llmctl(["down", "p"], { home });
  expect(isAlive(status.pid)).toBe(false);
  expect(existsSync(path)).toBe(false);
});

test("chat goes over the socket, with the key", async () => {
  await writeFile(home.join("keys"), "sesame\n", { mode: 0o600 });
  await home.writeFakeProfile("p", {}, { server: { ...server, api_key_file: home.join("keys") } });
  await upDetached(home, "p");
  await using terminal = new Terminal(llmctlCommand(["chat", "p"]), home);
  await terminal.waitFor(`this is a chat with its server, unix://${path}`);
  await terminal.waitFor("/exit ends");
  terminal.type("Hello\r");
  await terminal.waitFor("Once");
  terminal.type("/exit\r");
  expect((await terminal.ended).exitCode).toBe(0);
  await llmctl(["down", "p"], { home });
});

test("a stale socket does not prevent a start, after a crash and after a killed supervisor", async () => {
  await home.writeFakeProfile("p", {}, { server, restart: { backoff: "10ms" } });
  const first = await upDetached(home, "p");
  process.kill(first.pid, "SIGKILL");
  const second = await untilStatus(
    home,
    "p",
    "ready again",
    ({ state, restarts }) => state === "ready" && restarts === 1,
  );
  process.kill(second.supervisorPid, "SIGKILL");
  await untilGone(second.supervisorPid);
  await untilGone(second.pid ?? 0);
  expect(existsSync(path)).toBe(true);
  expect((await llmctl(["check", "p"], { home })).exitCode).toBe(0);
  expect(existsSync(path)).toBe(true);
  expect(await upDetached(home, "p")).toMatchObject({ state: "ready", url: `unix://${path}` });
  await llmctl(["down", "p"], { home });
});

test("a server that outlived its supervisor is adopted over its socket", async () => {
  await home.writeFakeProfile("p", {}, { server, orphan: "keep" });
  const first = await upDetached(home, "p");
  process.kill(first.supervisorPid, "SIGKILL");
  await untilGone(first.supervisorPid);
  const second = await upDetached(home, "p");
  expect(second).toMatchObject({ state: "ready", pid: first.pid, url: `unix://${path}`, runs: 0 });
  await llmctl(["down", "p"], { home });
  expect(isAlive(first.pid)).toBe(false);
});

test("a profile cannot listen on the socket of another profile or program", async () => {
  await home.writeFakeProfile("p", {}, { server });
  await home.writeFakeProfile("q", {}, { server });
  await upDetached(home, "p");
  for (const args of [
    ["check", "q"],
    ["up", "-d", "q"],
  ]) {
    const { exitCode, stdout, stderr } = await llmctl(args, { home });
    expect(exitCode).toBe(69);
    expect(stdout + stderr).toMatch(/the socket "?\/.*my p\.sock"? is (in use|taken by the profile "p")/);
  }
  expect(await askHealth()).toBe(200);
  await llmctl(["down", "p"], { home });
  const other = createServer();
  await once(other.listen(path), "listening");
  expect((await llmctl(["up", "-d", "p"], { home })).exitCode).toBe(69);
  expect(other.listening && existsSync(path)).toBe(true);
  await once(other.close(), "close");
});

test("a file in the place of the socket is kept", async () => {
  await home.writeFakeProfile("p", {}, { server });
  await writeFile(path, "mine");
  expect(await llmctl(["up", "-d", "p"], { home })).toMatchObject({
    exitCode: 78,
    stderr: expect.stringContaining("is not a socket"),
  });
  expect(existsSync(path)).toBe(true);
  expect(await findServers(home)).toEqual([]);
});

test.each(["compose", "quadlet", "kubernetes"])("export %s refuses a socket", async (format) => {
  await home.writeProfile("e", { extends: "demo", server });
  const { exitCode, stderr } = await llmctl(["export", format, "e"], { home });
  expect(exitCode).toBe(78);
  expect(stderr).toContain("a container's port cannot be published on a unix socket");
});

test("the error for a server that cannot listen quotes the server", async () => {
  await home.writeFakeProfile("p", {}, { server: { host: "run/missing/p.sock" } });
  expect(await llmctl(["up", "-d", "p"], { home })).toMatchObject({
    exitCode: 66,
    stderr: expect.stringContaining("mkdir -p"),
  });
  expect(await readServerLog(home, "p")).toBe("");
});
