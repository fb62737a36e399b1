import { once } from "node:events";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { payingReport } from "../support/bench-reports.ts";
import { breakReaddir, throwOutsideOfPromises } from "../support/broken-readdir.ts";
import { buildGguf, modelKeys } from "../support/gguf-builder.ts";
import { hasJson, listCommands } from "../support/cli-commands.ts";
import { findHostile, hostileName } from "../support/hostile-text.ts";
import { writeFakeSource } from "../support/llama-source.ts";
import { llmctl, llmctlCommand } from "../support/llmctl.ts";
import { startHubServer, type HubServer } from "../support/hub-server.ts";
import { demoTarget, fakeLlamaServer, TempHome } from "../support/temp-home.ts";

/** Characters that a terminal obeys, and a line that looks like one of llmctl's. */
const hostile = `${hostileName}\nforged\tline`;
const fileName = `${hostileName}\nforged.gguf`;
const helpPath = fileURLToPath(new URL("../fixtures/llama-help/llama-server-v0.5.0.txt", import.meta.url));

let home: TempHome;
let hub: HubServer;
let liar: Server;
let env: Record<string, string>;

beforeAll(async () => {
  home = await TempHome.create();
  hub = await startHubServer();
  liar = await startLiar();
  await writeTools();
  env = {
    PATH: [home.join("tools"), dirname(process.execPath), process.env["PATH"]].join(delimiter),
    HF_ENDPOINT: hub.url,
    HF_HOME: home.join("hf"),
    EDITOR: home.join("tools/editor"),
    ODD: hostile,
  };
  const model = buildHostileModel();
  for (const path of [home.join(fileName), home.join("odd.gguf")]) await writeFile(path, model);
  hub.repos.set("owner/repo", {
    commit: "c0ffee".padEnd(40, "0"),
    files: { [`${hostileName}-Q8_0.gguf`]: { content: model } },
  });
  await writeProfiles();
  await writeReports();
  await llmctl(["up", "-d", "runs"], { home, env });
  await llmctl(["up", "-d", "fails"], { home, env });
  await forgeState();
});

/** Files that the owner of the folder may have written. */
async function forgeState(): Promise<void> {
  const text = await readFile(home.join("state/fails/state.json"), "utf8");
  const forged: unknown = JSON.parse(text, (key, value: unknown) =>
    typeof value === "string" && ["build", "profile", "message", "url", "fix", "log", "since"].includes(key)
      ? `${value}${hostile}`
      : value,
  );
  await mkdir(home.join("state/forged"), { mode: 0o700 });
  await writeFile(home.join("state/forged/state.json"), JSON.stringify(forged), { mode: 0o600 });
}

afterAll(async () => {
  await llmctl(["down", "--all", "--now"], { home, env });
  await hub.close();
  liar.close();
  await home[Symbol.asyncDispose]();
});

function buildHostileModel(): Buffer {
  const metadata = modelKeys({
    "general.name": hostile,
    "general.architecture": hostile,
    "tokenizer.ggml.model": hostile,
    "tokenizer.ggml.tokens": [hostile, `${hostile}2`],
    "tokenizer.chat_template": hostile,
  });
  return buildGguf({ metadata, tensors: [{ name: hostile, ne: [4] }] });
}

/** A Hub with foreign text in every answer. */
async function startLiar(): Promise<Server> {
  const server = createServer((_, response) => {
    response.writeHead(404, {
      "content-type": "application/json",
      etag: '"\u009b31m"',
      "x-error-message": "no \u009b31m",
    });
    response.end(JSON.stringify({ error: hostile }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** Programs that answer every call with foreign text. */
async function writeTools(): Promise<void> {
  await mkdir(home.join("tools"));
  await writeFile(home.join("text"), hostile);
  const text = `cat '${home.join("text")}'`;
  const shown = ["ActiveState", "SubState", "UnitFileState", "StatusText", "NRestarts", "Result"].map(
    (key) => `printf %s ${key}=; ${text}; echo`,
  );
  const scripts = {
    systemctl: `case "$*" in *show*) ${shown.join("\n")};; *) ${text} >&2; exit 1;; esac`,
    git: `${text}; ${text} >&2; exit 1`,
    cmake: `${text}; ${text} >&2; exit 1`,
    editor: `printf '\\n"%s": %s\\n' "$(${text} | tr -d '\\n')" x >> "$1"`,
    "llama-server": `case "$*" in
  *--version*) printf 'version: 5 ' >&2; ${text} >&2;;
  *--help*) cat '${helpPath}'; printf '\\n----- '; ${text}
    printf '\\n\\n--evil %s   ' "$(${text} | tr -d ' \\n')"; ${text}; echo;;
  *) ${text}; ${text} >&2; exit 1;;
esac`,
  };
  for (const [name, body] of Object.entries(scripts)) {
    await writeFile(home.join("tools", name), `#!/bin/sh\n${body}\n`);
    await chmod(home.join("tools", name), 0o755);
  }
}

async function writeProfiles(): Promise<void> {
  const answers = { says: hostile, exitDelayMs: 0 };
  await writeFile(home.join("keys"), "sesame\n");
  const words = {
    description: hostile,
    alias: hostileName,
    env: { FAKE_LLAMA: JSON.stringify(answers), ODD: hostile },
  };
  await home.writeFakeProfile("runs", {}, { ...words, server: { api_key_file: home.join("keys") } });
  await home.writeFakeProfile("idle", answers, { description: hostile });
  await home.writeFakeProfile("fails", {
    exitWhileLoading: { lines: [hostile, `error: invalid argument: ${hostileName}`] },
  });
  await home.writeFakeProfile("odd", answers, { model: home.join(fileName), draft: { model: home.join("odd.gguf") } });
  await home.writeFakeProfile("gone", answers, { model: home.join(`gone${fileName}`) });
  await home.writeProfile("binary", {
    model: demoTarget,
    llama: { binary: home.join("tools/llama-server") },
    args: ["--evil", hostile],
  });
  await home.writeProfile("bad", {
    [hostile]: hostile,
    model: demoTarget,
    ctx_size: hostile,
    server: { host: hostile, port: hostile },
  });
  await home.writeProfile("broken", `model: "${hostileName.replaceAll(/["\\]/g, "")}\n  [`);
  await home.writeFakeProfile("hub", answers, { model: { hf: "owner/repo", quant: "Q8_0" } });
  await home.writeFakeProfile("lied", answers, { model: { hf: "owner/other", file: `${hostileName}.gguf` } });
}

/** Two results of a measurement in which every free text is foreign, and prompts that are. */
async function writeReports(): Promise<void> {
  const free = new Set(["profile", "build", "processor", "system", "excerpt", "path", "sentence", "llmctl"]);
  const report: unknown = JSON.parse(JSON.stringify(payingReport()), (key, value: unknown) =>
    typeof value === "string" && free.has(key) ? `${value}${hostile}` : value,
  );
  await writeFile(home.join("a.json"), JSON.stringify(report));
  await writeFile(home.join("b.json"), JSON.stringify({ ...(report as object), build: hostile, notes: [hostile] }));
  await writeFile(home.join("prompts.jsonl"), `${JSON.stringify({ kind: hostile, prompt: hostile, [hostile]: 1 })}\n`);
}

interface Use {
  readonly args: readonly string[];
  readonly env?: () => Readonly<Record<string, string>>;
  readonly input?: string;
}

const use = (...args: readonly string[]): Use => ({ args });
const asLiar = () => ({ HF_ENDPOINT: `http://127.0.0.1:${(liar.address() as AddressInfo).port}` });
const build = ["--portable", "--ref", hostileName];

/** Command lines in which each command gets foreign text; those with JSON run with `--json`, too. */
const uses: Readonly<Record<string, readonly Use[]>> = {
  up: [
    use("-d", "runs"),
    use("-d", "bad"),
    use("-d", "broken"),
    use("-d", "odd"),
    use("-d", "gone"),
    use("-d", "binary"),
    use("fails"),
  ],
  down: [use("idle"), use(hostile)],
  restart: [use("idle"), use("bad"), use("gone")],
  forget: [use("idle"), use(hostile)],
  chat: [use("bad"), { args: ["runs"], input: "hello\n/exit\n" }],
  ps: [use("--all"), use(hostile)],
  status: [use("forged"), use("runs"), use("fails"), use(hostile)],
  logs: [use("gone"), use(hostile)],
  events: [use("runs"), use("fails"), use(hostile)],
  metrics: [use("runs"), use(hostile)],
  plan: [use("runs"), use("odd"), use("bad"), use("binary"), use("runs", "--diff"), use("runs", "--build", hostile)],
  flags: [
    use("--build", "tools/llama-server"),
    use("evil", "--build", "tools/llama-server"),
    use(hostile, "--build", fakeLlamaServer),
  ],
  check: [
    use("--all"),
    use("odd"),
    use("bad"),
    use("binary"),
    use(fileName, "odd.gguf"),
    { args: ["lied", "--remote"], env: asLiar },
  ],
  inspect: [
    use(fileName),
    use(`${hostile}.gguf`),
    use("hf:owner/repo:Q8_0"),
    { args: ["hf:owner/other:Q8_0"], env: asLiar },
  ],
  bench: [
    use("a.json", "b.json", "--compare"),
    use("bad"),
    use("gone"),
    use("binary"),
    use("odd", "--prompts", "prompts.jsonl"),
    use("idle", "--against", hostile),
    use(hostile),
  ],
  tune: [
    use("odd"),
    use("bad"),
    use("binary"),
    use("idle", "--draft", hostile, "--prompts", "prompts.jsonl"),
    use(hostile),
  ],
  pull: [use("hub", "--dry-run"), use("hub"), use("bad"), { args: ["lied"], env: asLiar }],
  outdated: [use("hub"), { args: ["hub"], env: asLiar }, use(hostile)],
  models: [use(), { args: [], env: () => ({ HF_HOME: home.join(hostileName) }) }],
  "models verify": [use(), use(hostile)],
  "models prune": [use("--yes")],
  build: [
    { args: ["--source", "source", "--portable"] },
    use("--source", hostile),
    use(...build),
    use("--use", hostile),
  ],
  upgrade: [{ args: ["--source", "source", "--portable"] }, use(...build), use("--rollback")],
  profile: [use(hostile)],
  "profile list": [use()],
  "profile show": [use("runs"), use("odd"), use("runs", "--resolved"), use("bad"), use("broken"), use(hostile)],
  "profile new": [use("new", "--model", hostile, "--description", hostile), use(hostile, "--extends", hostile)],
  "profile edit": [{ args: ["idle"], input: "keep\n" }, use(hostile)],
  "profile set": [use("idle", `description=${hostile}`), use("idle", `${hostile}=1`), use("bad", "ctx_size=1")],
  "profile unset": [use("idle", hostile), use(hostile, "ctx_size")],
  "profile schema": [use(hostile)],
  systemd: [use(hostile)],
  "systemd show": [use("runs", "--user"), use("bad", "--user"), use(hostile)],
  "systemd install": [use("odd", "--user", "--from-checkout"), use("bad", "--user", "--from-checkout")],
  "systemd uninstall": [use("odd", "--user"), use(hostile, "--user")],
  "systemd status": [use("odd", "--user"), use(hostile, "--user")],
  launchd: [use(hostile)],
  "launchd show": [use("runs"), use("bad"), use(hostile)],
  export: [
    use("compose", "odd"),
    use("kubernetes", "runs", "--image", hostile),
    use("quadlet", "bad"),
    use(hostile, "odd"),
  ],
};

/** Commands that print a block of foreign text: an answer, a help text, a compiler's output. */
const blocks = new Set(["chat", "flags", "build", "upgrade"]);

/** Commands that get no foreign text to print. */
const ownWordsOnly = new Set(["ps", "models prune", "profile schema"]);

test("every command is run", () => {
  expect(Object.keys(uses).toSorted()).toEqual(
    listCommands()
      .map(({ path }) => path.join(" "))
      .toSorted(),
  );
});

describe("foreign text adds no escape sequence and no line, in a pipe or on a terminal, in the output of", () => {
  test.each(listCommands().map((one) => [one.path.join(" "), one] as const))(
    "%s",
    { timeout: 180_000 },
    async (name, command) => {
      await writeFakeSource(home.join("source"));
      let seen = "";
      for (const [index, one] of (uses[name] ?? []).entries()) {
        const args = [...command.path, ...one.args];
        const { stdout, stderr } = await llmctl(args, options(one));
        expectPrintable(`${stdout}\n${stderr}`, args);
        seen += stdout + stderr;
        // One of each is enough: the text in a pipe is the same without colours.
        if (index === 0) expectPrintable(await runOnTerminal(args, one), args);
        if (hasJson(command) && name !== "build") await expectExactJson([...args, "--json"], one);
      }
      if (!ownWordsOnly.has(name)) expect(seen).toMatch(/\\(?:x[01789][0-9a-f]|u[02][0-9a-f]{3})/);
    },
  );
});

function options({ env: more, input }: Use) {
  return { home, env: { ...env, ...more?.() }, ...(input === undefined ? {} : { input }) };
}

/** The output on a terminal, without llmctl's colours and the cursor movements of line editor and bars. */
async function runOnTerminal(args: readonly string[], { env: more, input = "" }: Use): Promise<string> {
  const words = llmctlCommand(args).map((word) => `'${word}'`);
  const { stdout } = await execa(
    "script",
    ["--quiet", "--return", "--command", `exec ${words.join(" ")}`, "/dev/null"],
    {
      cwd: home.path,
      env: { HOME: home.path, LLMCTL_HOME: home.path, SHELL: "/bin/sh", TERM: "xterm", ...env, ...more?.() },
      extendEnv: false,
      input,
      reject: false,
    },
  );
  // oxlint-disable-next-line no-control-regex -- these are llmctl's own sequences
  return stdout.replaceAll(/\r|\u001b\[(?:(?:1|2|22|3[1239])m|\d*[AGJK])/g, "");
}

function expectPrintable(text: string, args: readonly string[]): void {
  expect(findHostile(text), JSON.stringify(args)).toBeUndefined();
  if (!blocks.has(args[0] ?? "")) expect(text.match(/^forged.*/m)?.[0], JSON.stringify(args)).toBeUndefined();
}

/** One JSON document, or one in each line. */
async function expectExactJson(args: readonly string[], one: Use): Promise<void> {
  const { stdout, stderr } = await llmctl(args, options(one));
  expectPrintable(`${stdout}\n${stderr}`, args);
  const documents = /^[[{]$/m.test(stdout) ? [stdout] : stdout.split("\n").filter((line) => line !== "");
  for (const document of documents) expect(() => void JSON.parse(document), document).not.toThrow();
}

describe("JSON is exact:", () => {
  test("a model's name in inspect", async () => {
    const { stdout } = await llmctl(["inspect", fileName, "--json"], { home, env });
    expect(JSON.parse(stdout)).toMatchObject({ name: hostile, architecture: hostile });
  });

  test("an argument in an error", async () => {
    const { stdout } = await llmctl(["inspect", `/gone/${hostile}`, "--json"], { home, env });
    expect((JSON.parse(stdout) as { error: { message: string } }).error.message).toContain(hostile);
  });
});

test("the supervisor's own log can be shown on a terminal", async () => {
  const text = await readFile(home.join("state/fails/supervisor.log"), "utf8");
  expect(findHostile(text)).toBeUndefined();
  expect(text).toContain(String.raw`\x1b[31;8m`);
});

describe("the log of a server", () => {
  test("is unchanged in a pipe", async () => {
    const { stdout } = await llmctl(["logs", "fails"], { home, env });
    expect(stdout).toContain(hostileName);
  });

  test("has no escape sequences on a terminal", async () => {
    const shown = await runOnTerminal(["logs", "fails"], use());
    expect(findHostile(shown)).toBeUndefined();
    expect(shown).toContain(String.raw`\x1b[31;8m`);
  });
});

test("an internal error that is thrown outside of every promise is printable, too", async () => {
  const NODE_OPTIONS = breakReaddir(throwOutsideOfPromises(`new TypeError(${JSON.stringify(hostile)})`));
  const { stderr, exitCode } = await llmctl(["ps"], { home, env: { ...env, NODE_OPTIONS } });
  expect(findHostile(stderr)).toBeUndefined();
  expect(stderr).toContain("llmctl: internal error: TypeError: n\\x1b[31;8m");
  expect(exitCode).toBe(70);
});
