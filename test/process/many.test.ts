import { chmod, mkdir, writeFile } from "node:fs/promises";
import getPort from "get-port";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, startLlmctl } from "../support/llmctl.ts";
import { findServers, isAlive, readStatus, upDetached, type Listed } from "../support/processes.ts";
import { fakeLlamaServer, TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

async function listRunning(): Promise<readonly string[]> {
  const listed = JSON.parse((await llmctl(["ps", "--json"], { home })).stdout) as readonly Listed[];
  return listed.filter(({ presence }) => presence === "live").map(({ name }) => name);
}

const listener = `
import { createServer } from "node:net";
const [host, port] = ["--host", "--port"].map((flag) => process.argv[process.argv.indexOf(flag) + 1]);
if (process.argv.includes("--help")) console.log("--host --port --device --threads --cache");
else createServer().listen(Number(port), host, () => console.log("Starting RPC server v3.0.0"));
`;

describe("up with several profiles", () => {
  test("starts each under its own supervisor, in the background only", async () => {
    await home.writeFakeProfile("a");
    await home.writeFakeProfile("b");
    const here = await llmctl(["up", "a", "b"], { home });
    expect(here.exitCode).toBe(2);
    expect(here.stderr).toMatch(/several profiles run in the background only[^]*fix: add -d/);
    expect((await llmctl(["up", "-d", "a", "b"], { home })).exitCode).toBe(0);
    const [a, b] = [await readStatus(home, "a"), await readStatus(home, "b")];
    expect([a.state, b.state]).toEqual(["ready", "ready"]);
    expect(a.supervisorPid).not.toBe(b.supervisorPid);
    expect((await llmctl(["down", "a", "b"], { home })).exitCode).toBe(0);
    expect(await findServers(home)).toEqual([]);
  });

  test("goes on after one that fails, leaves out what depends on it, and ends with its code", async () => {
    await home.writeFakeProfile("bad", { exitWhileLoading: { code: 1, lines: ["error: invalid argument: --x"] } });
    await home.writeFakeProfile("chat", {}, { depends_on: ["bad"] });
    await home.writeFakeProfile("good");
    const { exitCode, stderr } = await llmctl(["up", "-d", "chat", "good"], { home });
    expect(exitCode).toBe(78);
    expect(stderr).toContain('"bad" failed');
    expect(stderr).toContain('"chat" is not started: it depends on "bad", which is not ready');
    expect(await listRunning()).toEqual(["good"]);
    await llmctl(["down", "--all"], { home });
  });

  test("--all means workers, too", async () => {
    await home.writeFakeProfile("a");
    // A build's RPC server that listens and serves nobody.
    const programs = { "llama-server": fakeLlamaServer, "ggml-rpc-server": home.join("listen.mjs") };
    await writeFile(programs["ggml-rpc-server"], listener);
    for (const [name, script] of Object.entries(programs)) {
      await writeFile(home.join(name), `#!/bin/sh\nexec "${process.execPath}" "${script}" "$@"\n`);
      await chmod(home.join(name), 0o755);
    }
    await home.writeProfile("worker", {
      kind: "rpc-worker",
      llama: { binary: home.join("llama-server") },
      server: { port: await getPort() },
    });
    expect((await llmctl(["up", "-d", "--all"], { home })).exitCode).toBe(0);
    expect(await listRunning()).toEqual(["a", "worker"]);
    await llmctl(["down", "--all"], { home });
  });

  test("--all means the user's profiles, except those that only serve others as a base", async () => {
    await home.writeProfile("base", { ctx_size: 512 });
    await home.writeFakeProfile("a");
    await home.writeFakeProfile("b");
    expect((await llmctl(["up", "-d", "--all"], { home })).exitCode).toBe(0);
    expect(await listRunning()).toEqual(["a", "b"]);
    const before = await readStatus(home, "a");
    expect((await llmctl(["restart", "--all"], { home })).exitCode).toBe(0);
    expect((await readStatus(home, "a")).pid).not.toBe(before.pid);
    expect((await llmctl(["down", "--all"], { home })).exitCode).toBe(0);
    expect(await findServers(home)).toEqual([]);
    expect(await llmctl(["down", "--all"], { home })).toMatchObject({ exitCode: 0, stdout: "nothing is running" });
  });

  test("needs names or --all, and not both", async () => {
    for (const command of ["up", "down", "restart"]) {
      expect(await llmctl([command], { home })).toMatchObject({
        exitCode: 2,
        stderr: expect.stringContaining("missing the name") as string,
      });
      expect((await llmctl([command, "p", "--all"], { home })).exitCode).toBe(2);
    }
  });
});

describe("a profile that depends on another", () => {
  test("is started after it is ready, and stopped before it", async () => {
    await home.writeFakeProfile("embed", { loadMs: 300 });
    await home.writeFakeProfile("chat", {}, { depends_on: ["embed"] });
    const { exitCode, stdout } = await llmctl(["up", "-d", "chat"], { home });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^embed\n[^]*ready on [^]*\n\nchat\n[^]*ready on /);
    const [embed, chat] = [await readStatus(home, "embed"), await readStatus(home, "chat")];
    expect(chat.dependsOn).toEqual(["embed"]);
    expect(Date.parse(chat.since)).toBeGreaterThan(Date.parse(embed.since));

    const refused = await llmctl(["down", "embed"], { home });
    expect(refused.exitCode).toBe(75);
    expect(refused.stderr).toMatch(
      /"chat" runs and depends on "embed"\n {2}fix: stop all of them: llmctl down chat embed/,
    );
    expect(isAlive(embed.pid ?? 0)).toBe(true);

    const stopped = await llmctl(["down", "embed", "chat"], { home });
    expect(stopped).toMatchObject({ exitCode: 0, stdout: 'stopped "chat"\nstopped "embed"' });
  });

  test("runs in the foreground while the other goes on in the background", async () => {
    await home.writeFakeProfile("embed");
    await home.writeFakeProfile("chat", {}, { depends_on: ["embed"] });
    const running = startLlmctl(["up", "chat"], { home });
    await running.waitForLine(/^chat$/);
    await running.waitForLine(/ready on/);
    expect(await llmctl(["up", "-d", "embed"], { home })).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("already running") as string,
    });
    expect((await running.stop("SIGINT")).exitCode).toBe(0);
    expect(await listRunning()).toEqual(["embed"]);
    expect((await llmctl(["down", "embed"], { home })).exitCode).toBe(0);
  });

  test("in a cycle is refused, and nothing is started", async () => {
    await home.writeFakeProfile("a", {}, { depends_on: ["b"] });
    await home.writeFakeProfile("b", {}, { depends_on: ["a"] });
    const { exitCode, stderr } = await llmctl(["up", "-d", "a"], { home });
    expect(exitCode).toBe(78);
    expect(stderr).toMatch(/profile "a" depends on itself: a -> b -> a\n {2}at: {2}\S*b\.yaml:\d+:\d+/);
    expect(await findServers(home)).toEqual([]);
  });
});

describe("down with several profiles", () => {
  test.each([[["q", "p"]], [["p", "q"]]])("reports one that does not run, and stops the others: %j", async (names) => {
    await home.writeFakeProfile("p");
    const { pid } = await upDetached(home, "p");
    const { exitCode, stderr } = await llmctl(["down", ...names], { home });
    expect(stderr).toContain('"q" is not running');
    expect(exitCode).toBe(3);
    expect(isAlive(pid)).toBe(false);
  });

  test.each([
    [["gone", "open"], 3],
    [["open", "gone"], 77],
  ])("ends with the code of the first that failed: %j", async (names, code) => {
    await mkdir(home.join("state", "open"), { recursive: true });
    await chmod(home.join("state", "open"), 0o777);
    const { exitCode, stderr } = await llmctl(["down", ...names], { home });
    expect(stderr).toContain('"gone" is not running');
    expect(stderr).toContain("can be written by other users");
    expect(exitCode).toBe(code);
  });
});
