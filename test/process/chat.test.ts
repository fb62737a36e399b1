import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, llmctlCommand } from "../support/llmctl.ts";
import { findProcessesUsing, fakeLlamaServer, TempHome } from "../support/temp-home.ts";
import { Terminal } from "../support/terminal.ts";

const fakeCli = join(import.meta.dirname, "../support/fake-llama-cli.mjs");

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
afterEach(() => home[Symbol.asyncDispose]());

/** A build with a llama-server and, by default, the fake llama-cli beside it. */
async function writeProfile(values: Readonly<Record<string, unknown>> = {}, hasCli = true): Promise<void> {
  await mkdir(home.join("bin"));
  await symlink(fakeLlamaServer, home.join("bin/llama-server"));
  if (hasCli) await symlink(fakeCli, home.join("bin/llama-cli"));
  await home.writeFakeProfile("p", {}, { llama: { binary: home.join("bin/llama-server") }, ...values });
}

describe("chat with llama-cli", () => {
  test("passes on the profile's flags and the arguments after --", async () => {
    await writeProfile({ ctx_size: 512, sampling: { temp: 0.5 }, server: { port: 8001 } });
    await using terminal = new Terminal(llmctlCommand(["chat", "p", "--", "--single-turn"]), home);
    await terminal.waitFor("ready");
    const args = JSON.parse(/args (\[.*\])/.exec(terminal.output)?.[1] ?? "") as string[];
    expect(args.join(" ")).toContain("--spec-type draft-simple");
    expect(args.join(" ")).toContain("--temp 0.5");
    expect(args.at(-1)).toBe("--single-turn");
    expect(args).not.toContain("--port");
    terminal.type("q");
    await terminal.ended;
  });

  test("passes on each key, Ctrl-C among them, and the exit code", async () => {
    await writeProfile();
    await using terminal = new Terminal(llmctlCommand(["chat", "p"]), home);
    await terminal.waitFor("ready");
    terminal.type("a\u001b[A");
    terminal.pressCtrlC();
    await terminal.waitFor("key 03");
    terminal.type("q");
    const { exitCode, output } = await terminal.ended;
    expect(output).toMatch(/key 61\nkey 1b\nkey 5b\nkey 41\nkey 03\n/);
    expect(exitCode).toBe(7);
  });

  test("outlives a Ctrl-C that the program receives as a signal", async () => {
    await writeProfile();
    await using terminal = new Terminal(llmctlCommand(["chat", "p"]), home);
    await terminal.waitFor("ready");
    terminal.type("c");
    await terminal.waitFor("cooked");
    terminal.pressCtrlC();
    await terminal.waitFor("signal SIGINT");
    terminal.type("q\r");
    expect((await terminal.ended).exitCode).toBe(7);
  });

  test("passes on a new window size", async () => {
    await writeProfile();
    await using terminal = new Terminal(llmctlCommand(["chat", "p"]), home);
    await terminal.waitFor("ready");
    const device = /terminal (\S+)/.exec(terminal.output)?.[1] ?? "";
    await execa("stty", ["-F", device, "rows", "33", "cols", "99"]);
    await terminal.waitFor("size 99x33");
    terminal.type("q");
    expect((await terminal.ended).exitCode).toBe(7);
  });

  test("passes on SIGTERM, and ends with the program's exit code", async () => {
    await writeProfile();
    await using terminal = new Terminal(llmctlCommand(["chat", "p"]), home);
    await terminal.waitFor("ready");
    const own = (await findProcessesUsing(home.path)).find(({ command }) => command.includes("main.js chat p"));
    process.kill(own?.pid ?? 0, "SIGTERM");
    const { exitCode, output } = await terminal.ended;
    expect(output).toContain("signal SIGTERM");
    expect(exitCode).toBe(9);
  });

  test("restores the terminal's echo when the program is killed", async () => {
    await writeProfile();
    const chat = llmctlCommand(["chat", "p"]).join(" ");
    await using terminal = new Terminal(["sh", "-c", `${chat}; echo code $?; stty -a`], home);
    await terminal.waitFor("ready");
    terminal.type("k");
    const { output } = await terminal.ended;
    expect(output).toContain("code 137");
    expect(output).toMatch(/ icanon (?:.|\n)* echo /);
  });

  test("runs without a draft when llama-cli cannot draft, and says how to get one", async () => {
    await writeProfile({ env: { FAKE_OLD_CLI: "1" } });
    await using terminal = new Terminal(llmctlCommand(["chat", "p"]), home);
    await terminal.waitFor("ready");
    expect(terminal.output).toContain('cannot draft; after "llmctl up p -d", chat uses the server, which does');
    expect(terminal.output).not.toContain("--spec");
    terminal.type("q");
    await terminal.ended;
  });

  test("says before the start what is wrong", async () => {
    await writeProfile({ draft: { model: "/gone.gguf" } });
    const { exitCode, stderr } = await llmctl(["chat", "p"], { home });
    expect(exitCode).toBe(66);
    expect(stderr).toContain("/gone.gguf");
  });

  test("of a build without llama-cli says how to build it", async () => {
    await writeProfile({}, false);
    const { exitCode, stderr } = await llmctl(["chat", "p"], { home });
    expect(exitCode).toBe(66);
    expect(stderr).toContain("there is no llama-cli beside");
  });
});

describe("chat with a profile that runs", () => {
  test("lets llama-cli use its server, with the profile's sampling", async () => {
    await writeProfile({ sampling: { temp: 0.5 } });
    await llmctl(["up", "-d", "p"], { home });
    await using terminal = new Terminal(llmctlCommand(["chat", "p"]), home);
    await terminal.waitFor("ready");
    expect(terminal.output).toMatch(/args \["--server-base","http:\/\/127\.0\.0\.1:\d+","--temp","0\.5"\]/);
    terminal.type("q");
    await terminal.ended;
    await llmctl(["down", "p"], { home });
  });

  test("talks to the server itself, with its key, when llama-cli cannot", async () => {
    await writeFile(home.join("keys"), "sesame\n");
    await writeProfile({ server: { api_key_file: home.join("keys") } });
    await llmctl(["up", "-d", "p"], { home });
    await using terminal = new Terminal(llmctlCommand(["chat", "p"]), home);
    await terminal.waitFor("/exit ends");
    terminal.type("Hello\r");
    await terminal.waitFor("Once");
    terminal.type("/exit\r");
    expect((await terminal.ended).exitCode).toBe(0);
    const refused = await llmctl(["chat", "p", "--", "--single-turn"], { home });
    expect(refused.exitCode).toBe(2);
    await llmctl(["down", "p"], { home });
  });
});
