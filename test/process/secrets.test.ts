import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { breakReaddir, throwOutsideOfPromises } from "../support/broken-readdir.ts";
import { hasJson, listCommands } from "../support/cli-commands.ts";
import { llmctl } from "../support/llmctl.ts";
import { readStatus, untilStatus, upDetached } from "../support/processes.ts";
import { demoTarget, fakeLlamaServer, TempHome } from "../support/temp-home.ts";

/** Part of every secret of a profile and its caller, for the server or for llmctl only. */
const marker = "s3cr3tMarker";
const env = {
  HF_HUB_OFFLINE: "1",
  OUTSIDE: `${marker}-outside`,
  MY_TOKEN: `${marker}-token`,
  HF_TOKEN: `hf_${marker}`,
  HTTPS_PROXY: `http://u:${marker}@127.0.0.1:9`,
  DATABASE: `postgres://u:${marker}-login@127.0.0.1:9/db`,
};

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
  await mkdir(home.join("config"), { recursive: true });
  await writeFile(home.join("config", "keys"), `${marker}-key\n`, { mode: 0o600 });
});

// Fails when a process is left.
afterEach(() => home[Symbol.asyncDispose]());

/** A valid profile; an `args` list or another key may make it invalid. */
async function writeSecretive(name: string, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
  await home.writeFakeProfile(
    name,
    {},
    {
      server: { api_key_file: home.join("config", "keys") },
      env: {
        FAKE_LLAMA: "{}",
        A_TOKEN: `${marker}-literal`,
        B: "${env:OUTSIDE}",
        C: "${env:MY_TOKEN}",
        D: "x-${env:MY_TOKEN}-y",
        E: `redis://:${marker}@db`,
      },
      ...more,
    },
  );
}

/** Each has a different error at a place that contains a secret. */
const wrong: Readonly<Record<string, string | Readonly<Record<string, unknown>>>> = {
  "bad-flag": { args: ["--api-key", `${marker}-arg`] },
  "bad-joined": { args: [`--api-key=${marker}-arg`] },
  "bad-token": { args: ["--hf-token", "${env:MY_TOKEN}"] },
  "bad-short": { args: { hft: `${marker}-arg` } },
  "bad-unknown": { args: [`--api-token=${marker}-arg`] },
  "bad-word": { args: [`--api-token ${marker}-arg`, `apikey=${marker}`] },
  "bad-alias": { alias: "${env:MY_TOKEN}" },
  "bad-size": { ctx_size: "${env:OUTSIDE}" },
  "bad-env": { env: { A: 12_345_678, B: [`${marker}-list`] } },
  "bad-key": { env: { LLAMA_API_KEY: `${marker}-literal` } },
  "bad-name": { env: { [`A=${marker}`]: "x" } },
  "bad-map": { env: `${marker}-scalar` },
  "bad-url": { model: `https://user:${marker}@example.com/m.gguf` },
  "bad-address": { model: `https://user:${marker}@exa mple.com/m.gguf?X-Amz-Signature=${marker}` },
  "bad-host": { server: { host: `http://user:${marker}@127.0.0.1` } },
  signed: { model: `https://127.0.0.1:1/m.gguf?X-Amz-Signature=${marker}` },
  "yaml-alias": `model: m\nenv:\n  A: *${marker}\n`,
  "yaml-tag": `model: m\nenv:\n  A: !${marker} x\n`,
  "yaml-block": `model: m\nenv:\n  A: |${marker}\n    x\n`,
  "yaml-flow": `model: m\nenv: { A: "\\${marker}" }\n`,
};

/** Arguments of a command; undefined if it does not end, fetches from the internet or asks a person. */
function argumentsFor(path: readonly string[], name: string): readonly string[] | undefined {
  const line = path.join(" ");
  switch (line) {
    case "up":
      return ["-d", "--no-fetch", name];
    case "export":
      return undefined; // several, below
    case "chat":
    case "build":
    case "upgrade":
    case "profile edit":
    case "profile rm":
    case "models prune":
      return undefined;
    case "profile set":
      return [name, "log.keep=3"];
    case "profile unset":
      return [name, "log.keep"];
    case "profile new":
      return [`new-${name}`, "--extends", name];
    case "check":
    case "inspect":
      return [name];
    default:
      return line.startsWith("systemd") || line.startsWith("launchd") ? undefined : [name];
  }
}

const runnable = listCommands().filter(({ command }) => command.commands.length === 0);

function listLines(name: string): string[][] {
  const plain = runnable.flatMap((one) => {
    const words = argumentsFor(one.path, name);
    if (words === undefined) return [];
    const line = [...one.path, ...words];
    return hasJson(one) ? [line, [...line, "--json"]] : [line];
  });
  const more = ["quadlet", "compose", "kubernetes"].map((format) => ["export", format, name, "--models", "/models"]);
  return [
    ...plain,
    ...more,
    ["plan", name, "--diff", "--json"],
    ["profile", "show", name, "--resolved"],
    ["profile", "show", name, "--resolved", "--json"],
    ["systemd", "show", name],
  ];
}

async function run(args: readonly string[], found: string[]): Promise<void> {
  const { stdout, stderr } = await llmctl(args, { home, env, input: "" });
  for (const text of [stdout, stderr]) {
    for (const line of text.split("\n")) if (line.includes(marker)) found.push(`${args.join(" ")}: ${line}`);
  }
}

/** Files below a folder, except those that the test wrote. */
async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function findInFiles(): Promise<string[]> {
  const files = (await listFiles(home.path)).filter((path) => !path.startsWith(home.join("config")));
  const texts = await Promise.all(files.map(async (path) => [path, await readFile(path, "latin1")] as const));
  return texts.filter(([, text]) => text.includes(marker)).map(([path]) => path);
}

describe("a secret is shown by no command and kept in no file", () => {
  test("of a running profile: it is in the server's environment alone", async () => {
    await writeSecretive("p");
    const { pid, supervisorPid } = await upDetached(home, "p", { env });
    const found: string[] = [];
    const last = ["restart", "up", "down", "forget"];
    const lines = listLines("p").filter(([command = ""]) => !last.includes(command));
    for (const line of lines) await run(line, found);
    expect(found).toEqual([]);
    expect(await readFile(`/proc/${pid}/environ`, "latin1")).toContain(env.OUTSIDE);
    expect(await readFile(`/proc/${supervisorPid}/environ`, "latin1")).not.toContain(`${marker}-token`);
    expect(await readFile(`/proc/${supervisorPid}/environ`, "latin1")).not.toContain(env.HTTPS_PROXY);
    expect(await readFile(`/proc/${supervisorPid}/environ`, "latin1")).not.toContain(env.DATABASE);
    expect(await readFile(`/proc/${supervisorPid}/cmdline`, "latin1")).not.toContain(marker);
    for (const command of last) await run([command, ...(command === "up" ? ["-d"] : []), "p"], found);
    await run(["down", "p"], found);
    expect([...found, ...(await findInFiles())]).toEqual([]);
  });

  test.each(Object.entries(wrong))("of an invalid profile: %s", async (name, values) => {
    if (typeof values === "string") await home.writeProfile(name, values);
    else await writeSecretive(name, values);
    const found: string[] = [];
    for (const line of [
      ["plan"],
      ["plan", "--json"],
      ["check"],
      ["check", "--json"],
      ["profile", "show"],
      ["up", "-d", "--no-fetch"],
    ]) {
      await run([...line, name], found);
    }
    for (const line of [
      ["profile", "list"],
      ["ps", "-a"],
      ["pull", "--json", name],
      ["models", "--json"],
      ["export", "compose", name],
    ]) {
      await run(line, found);
    }
    expect([...found, ...(await findInFiles())]).toEqual([]);
  });

  test("of the caller, whose endpoint has a login", async () => {
    const hub = createServer((_, response) => response.writeHead(403).end()).listen(0, "127.0.0.1");
    await once(hub, "listening");
    const HF_ENDPOINT = `http://user:${marker}@127.0.0.1:${(hub.address() as AddressInfo).port}`;
    const { stdout, stderr, exitCode } = await llmctl(["inspect", "hf:owner/repo:m.gguf"], {
      home,
      env: { HF_ENDPOINT },
    });
    hub.close();
    expect(stderr).toContain("denies access");
    expect(stdout + stderr).not.toContain(marker);
    expect(exitCode).toBe(77);
  });

  test.each([
    ["an invalid endpoint", { HF_ENDPOINT: `gopher://user:${marker}@example.com?token=${marker}` }],
    ["an invalid token", { HF_TOKEN: `${marker} ü` }],
  ])("of the caller: %s", async (_, more) => {
    const { stdout, stderr, exitCode } = await llmctl(["inspect", "hf:owner/repo:m.gguf"], { home, env: more });
    expect(stderr).toContain("llmctl: error:");
    expect(stdout + stderr).not.toContain(marker);
    expect(exitCode).toBe(78);
  });
});

describe("a crash leaves", () => {
  const isLinux = process.platform === "linux";
  const coreLimit = async (pid: number) =>
    /^Max core file size\s+(\S+)/m.exec(await readFile(`/proc/${pid}/limits`, "utf8"))?.[1];

  test.runIf(isLinux).each([
    ["no core file", {}, "0"],
    ["a core file where that was asked for", { LLMCTL_CORE_DUMPS: "1" }, "4096"],
  ])("%s, of supervisor and server", async (_, more, expected) => {
    await home.writeFakeProfile("p");
    const via = ["prlimit", "--core=4096"];
    const { pid, supervisorPid } = await upDetached(home, "p", { env: more, via });
    expect([await coreLimit(pid), await coreLimit(supervisorPid)]).toEqual([expected, expected]);
    await llmctl(["down", "p"], { home });
  });

  test("no report with the environment in it", async () => {
    const folder = home.join("reports");
    await mkdir(folder);
    await mkdir(home.join("state"), { mode: 0o700 });
    const NODE_OPTIONS =
      `--report-uncaught-exception --report-directory=${folder} ` +
      breakReaddir(throwOutsideOfPromises('new Error("boom")'));
    expect((await llmctl(["ps"], { home, env: { ...env, NODE_OPTIONS } })).exitCode).not.toBe(0);
    const texts = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), "utf8")));
    expect(texts.join()).not.toContain(marker);
  });

  test("a launch that is cut off is not quoted", async () => {
    const main = new URL("../../dist/main.js", import.meta.url).pathname;
    const { all, exitCode } = await execa(process.execPath, [main, "__supervise"], {
      input: `{"env":{"A":"${marker}`,
      env: { LLMCTL_HOME: home.path, HOME: home.path },
      stdio: ["pipe", "pipe", "pipe", "pipe"],
      all: true,
      reject: false,
    });
    expect(exitCode).not.toBe(0);
    expect(all).not.toContain(marker);
  });
});

test.each(["0000", "0022", "0077", "0777"])("only their user may read files, with umask %s", async (mask) => {
  await home.writeFakeProfile("p", {}, { log: { max_size: "1KB" }, restart: { backoff: "1ms" } });
  const via = ["sh", "-c", `umask ${mask}; exec "$@"`, "sh"];
  const { pid } = await upDetached(home, "p", { via });
  process.kill(pid, "SIGKILL");
  await untilStatus(home, "p", "ready again", ({ state, restarts }) => state === "ready" && restarts === 1);
  expect((await readStatus(home, "p")).warnings).toEqual([]);
  for (const folder of ["state", "cache", "run"]) {
    for (const entry of await readdir(home.join(folder), { withFileTypes: true, recursive: true })) {
      const path = join(entry.parentPath, entry.name);
      const { mode } = await stat(path);
      expect([path, (mode & 0o777).toString(8)]).toEqual([path, entry.isDirectory() ? "700" : "600"]);
    }
  }
  await llmctl(["down", "p"], { home });
});

test("no unit contains a login from HF_ENDPOINT", async () => {
  await writeSecretive("p");
  const endpoint = { HF_ENDPOINT: `https://u:${marker}@hub.example` };
  const { exitCode, stdout, stderr } = await llmctl(["systemd", "show", "p", "--user"], {
    home,
    env: { ...env, ...endpoint },
  });
  expect(`${stdout}${stderr}`).not.toContain(marker);
  expect(stderr).toContain("HF_ENDPOINT holds a login");
  expect(exitCode).toBe(78);
});

test("two users' hashes of the same environment differ, so that nobody can guess a value by its hash", async () => {
  await home.writeProfile("p", { model: demoTarget, llama: { binary: fakeLlamaServer }, env: { PIN: "1234" } });
  await using other = await TempHome.create();
  const hashOf = async (LLMCTL_HOME: string) => {
    const { stdout } = await llmctl(["plan", home.join("config", "profiles", "p.yaml"), "--json"], {
      home,
      env: { LLMCTL_HOME },
    });
    return (JSON.parse(stdout) as { launch: { hash: string } }).launch.hash;
  };
  expect(await hashOf(home.path)).toBe(await hashOf(home.path));
  expect(await hashOf(other.path)).not.toBe(await hashOf(home.path));
});
