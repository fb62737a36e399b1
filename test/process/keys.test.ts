import { execFileSync } from "node:child_process";
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, type RunOptions, type RunResult } from "../support/llmctl.ts";
import { asUser } from "../support/namespaces.ts";
import { findServers, isAlive, readServerLog, readStatus, untilStatus, upDetached } from "../support/processes.ts";
import { TempHome } from "../support/temp-home.ts";

let home: TempHome;
let keys: string;

const secret = "s3same-0pen";

beforeEach(async () => {
  home = await TempHome.create();
  keys = home.join("api keys");
  await home.writeFakeProfile("p", {}, { server: { api_key_file: keys }, restart: { backoff: "10ms" } });
});
afterEach(() => home[Symbol.asyncDispose]());

const empty = () => writeFile(keys, "");
const missing = async () => undefined;
const everyStart = [
  ["plan", "p"],
  ["plan", "p", "--json"],
  ["check", "p"],
  ["up", "-d", "p"],
  ["up", "p"],
];

test.each<[string, () => Promise<unknown>, number, string, string[][]]>([
  ["is empty", empty, 78, "holds no key", everyStart],
  ["is missing", missing, 66, "does not exist", everyStart],
  ["has blank lines only", () => writeFile(keys, "\n\n"), 78, "holds no key", [["up", "-d", "p"]]],
  [
    "comes from Windows",
    () => writeFile(keys, `${secret}\r\n`),
    78,
    "carriage return (CR) at the end of line 1",
    [["check", "p"]],
  ],
  ["has a byte order mark", () => writeFile(keys, `\uFEFF${secret}\n`), 78, "byte order mark (BOM)", [["plan", "p"]]],
  ["is a folder", () => mkdir(keys), 66, "is a folder", [["check", "p"]]],
  ["is a pipe", async () => execFileSync("mkfifo", [keys]), 66, "is a pipe", [["up", "-d", "p"]]],
])("a key file that %s is refused, and nothing is started", async (_how, make, exit, message, starts) => {
  await make();
  for (const args of starts) {
    const { exitCode, stdout, stderr } = await llmctl(args, { home });
    expect({ args, exitCode }).toEqual({ args, exitCode: exit });
    const said = stdout + stderr;
    expect(said).toContain(message);
    expect(said).not.toContain(secret);
    if (exit === 66) expect(said).toContain("openssl rand -hex 32");
  }
  expect(await findServers(home)).toEqual([]);
});

test("an unreadable key file and a folder where no socket can be created are errors of their own", async () => {
  const isRoot = process.geteuid?.() === 0;
  await writeFile(keys, `${secret}\n`, { mode: isRoot ? 0o600 : 0 });
  await mkdir(home.join("closed"), { mode: 0o500 });
  await home.writeFakeProfile("q", {}, { server: { host: home.join("closed/q.sock") } });
  if (isRoot) execFileSync("chown", ["-R", "65534", home.path]);
  if (isRoot) execFileSync("chown", ["0", keys, home.join("closed")]);
  if (isRoot) await chmod(home.join("closed"), 0o755);
  const options: RunOptions = isRoot ? { home, via: asUser(65534) } : { home };
  const refused = await llmctl(["check", "p"], options);
  expect(refused).toMatchObject({
    exitCode: 77,
    stdout: expect.stringContaining('no permission to read "server.api_key_file"'),
  });
  expect(refused.stdout).toContain("chown");
  const unusable = await llmctl(["check", "q"], options);
  expect(unusable).toMatchObject({
    exitCode: 77,
    stdout: expect.stringContaining("no permission to create a socket in"),
  });
});

test("a plan is shown with its refused key file marked", async () => {
  await empty();
  expect((await llmctl(["plan", "p"], { home })).stdout).toMatch(
    /--api-key-file .+# server\.api_key_file \(refused\)$/m,
  );
  await rm(keys);
  expect((await llmctl(["plan", "p"], { home })).stdout).toMatch(/# server\.api_key_file \(not on this machine\)$/m);
});

describe("a server with keys", () => {
  beforeEach(() => writeFile(keys, `# of ada\n${secret}\n`, { mode: 0o600 }));

  test("runs on when a restart is refused, and shows its key to nobody", async () => {
    const first = await upDetached(home, "p");
    expect(first.drafting).toMatchObject({ state: "on" });
    await writeFile(keys, "");
    const refused = await llmctl(["restart", "p"], { home });
    expect(refused).toMatchObject({ exitCode: 78, stderr: expect.stringContaining("holds no key") });
    const second = await readStatus(home, "p");
    expect(second).toMatchObject({ state: "ready", pid: first.pid, runs: 1 });
    await writeFile(keys, `${secret}\n`);
    const shown = [
      ["status", "p"],
      ["ps", "--json"],
      ["plan", "p", "--json"],
      ["check", "p", "--json"],
      ["events", "p"],
      ["logs", "p"],
    ];
    const outputs = await Promise.all(shown.map((args) => llmctl(args, { home })));
    expect(outputs.map(({ stdout, stderr }) => stdout + stderr).join("\n")).not.toContain(secret);
    await llmctl(["down", "p"], { home });
  });

  test("that crashes is not started again until its key file exists", async () => {
    const first = await upDetached(home, "p");
    await writeFile(keys, "\n");
    process.kill(first.pid, "SIGKILL");
    const waiting = await untilStatus(home, "p", "waiting", ({ waitingFor }) => waitingFor !== null);
    expect(waiting).toMatchObject({ state: "backoff", waitingFor: { kind: "api-keys-unusable" } });
    expect(await findServers(home)).toEqual([]);
    await writeFile(keys, `${secret}\n`);
    const ready = await untilStatus(home, "p", "ready", ({ state }) => state === "ready");
    expect((await fetch(`${ready.url}/props`)).status).toBe(401);
    await llmctl(["down", "p"], { home });
    expect(isAlive(ready.pid ?? 0)).toBe(false);
  });

  test("refuses a chat when the key file cannot be used", async () => {
    await upDetached(home, "p");
    await rm(keys);
    const { exitCode, stderr } = await llmctl(["chat", "p"], { home, input: "Hello\n" });
    expect(exitCode).toBe(66);
    expect(stderr).toContain("does not exist");
    expect((await llmctl(["down", "p"], { home })).exitCode).toBe(0);
  });

  test.each(["compose", "quadlet", "kubernetes"])(
    "is exported to %s with valid keys, or with a key file of another machine",
    async (format) => {
      await home.writeProfile("e", { extends: "demo", server: { api_key_file: keys } });
      const run = (): Promise<RunResult> => llmctl(["export", format, "e"], { home });
      const good = await run();
      expect(good.exitCode).toBe(0);
      expect(good.stdout).not.toContain(secret);
      await writeFile(keys, "");
      expect(await run()).toMatchObject({ exitCode: 78, stderr: expect.stringContaining("holds no key") });
      await rm(keys);
      expect((await run()).exitCode).toBe(0);
    },
  );
});

describe("a server that anybody on the network can reach", () => {
  const warning = "whoever reaches 0.0.0.0 can use the server: it asks for no API key";

  test("causes a warning in plan, check, up and restart, until it requires a key", async () => {
    await home.writeFakeProfile("p", {}, { server: { host: "0.0.0.0" } });
    const run = async (...args: string[]) => {
      const { exitCode, stdout, stderr } = await llmctl(args, { home });
      expect(exitCode).toBe(0);
      return stdout + stderr;
    };
    expect(await run("plan", "p")).toContain(warning);
    expect(await run("check", "p")).toContain(warning);
    expect(JSON.parse(await run("check", "p", "--json"))).toMatchObject({ warnings: [warning] });
    expect(await run("up", "-d", "p")).toContain(warning);
    expect(await run("restart", "p")).toContain(warning);
    await writeFile(keys, `${secret}\n`, { mode: 0o600 });
    await home.writeFakeProfile("p", {}, { server: { host: "0.0.0.0", api_key_file: keys } });
    expect(await run("plan", "p")).not.toContain("whoever");
    expect(await run("check", "p")).not.toContain("whoever");
    expect(await run("restart", "p")).not.toContain("whoever");
    await run("down", "p");
    expect(await readServerLog(home, "p")).not.toContain(secret);
  });
});
