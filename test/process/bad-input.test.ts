import { chmod, copyFile, mkdir, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, type RunResult } from "../support/llmctl.ts";
import { demoTarget, TempHome } from "../support/temp-home.ts";

let home: TempHome;

beforeEach(async () => {
  home = await TempHome.create();
});
// Fails when a refused start has left a process behind.
afterEach(() => home[Symbol.asyncDispose]());

/** A start that must be refused before anything is started or written. */
async function refused(name = "p"): Promise<RunResult> {
  const result = await llmctl(["up", "-d", name], { home });
  expect(result.stdout).toBe("");
  expect(await readdir(home.path)).not.toContain("state");
  return result;
}

async function writeProgram(name: string, content: string | Uint8Array, mode = 0o755): Promise<string> {
  const path = home.join(name);
  await writeFile(path, content, { mode });
  await chmod(path, mode);
  return path;
}

describe("a profile", () => {
  test("with a mistyped name: the nearest is suggested", async () => {
    await home.writeFakeProfile("coder");
    const { exitCode, stderr } = await refused("codr");
    expect(exitCode).toBe(78);
    expect(stderr).toContain('"codr"');
    expect(stderr).toMatch(/fix: .*"coder"/);
  });

  test("with a YAML syntax error: the place is named", async () => {
    await home.writeProfile("p", "model: x.gguf\nserver: { port: 80\nalias: y\n");
    const { exitCode, stderr } = await refused();
    expect(exitCode).toBe(78);
    expect(stderr).toMatch(/at: {2}\S*config\/profiles\/p\.yaml:\d+:\d+/);
  });

  test("with an unknown key, a wrong type and an impossible value: all are reported, each with its place", async () => {
    await home.writeProfile(
      "p",
      `model: ${demoTarget}\nctx_sise: 512\nparallel: two\nserver: { port: 99999 }\nhealth:\n  interval: ` +
        "soon\nsampling: { top_p: 1.5 }\n",
    );
    const { exitCode, stderr } = await refused();
    expect(exitCode).toBe(78);
    expect(stderr.match(/llmctl: error:/g)).toHaveLength(5);
    expect(stderr).toMatch(/"ctx_sise"\n {2}at: {2}\S+p\.yaml:2:1\n {2}fix: .*"ctx_size"/);
    for (const place of ["3:1", "4:11", "6:3", "7:13"]) expect(`${stderr}\n`).toContain(`p.yaml:${place}\n`);
  });

  test("that is a folder or does not exist: its path is named", async () => {
    const { exitCode, stderr } = await refused("./nothing.yaml");
    expect(exitCode).toBe(78);
    expect(stderr).toContain("nothing.yaml");
  });
});

describe("a model file", () => {
  test.each([
    ["missing", async () => undefined, "is missing"],
    ["empty", (path: string) => writeFile(path, ""), "is empty"],
    ["not a GGUF", (path: string) => writeFile(path, "PK\u0003\u0004".repeat(1000)), "not a GGUF"],
    ["truncated", cutInHalf, "truncated"],
  ])("%s: refused before the server is started, with the key that names it", async (_, make, said) => {
    const path = home.join("model.gguf");
    await make(path);
    await home.writeFakeProfile("p", {}, { model: path });
    const { exitCode, stderr } = await refused();
    expect(exitCode).toBe(66);
    expect(stderr).toContain(said);
    expect(stderr).toContain("model.gguf");
    expect(stderr).toMatch(/p\.yaml:1:\d+/);
  });

  async function cutInHalf(path: string): Promise<void> {
    await copyFile(demoTarget, path);
    await truncate(path, 500_000);
  }

  test("of the draft is missing: refused as well", async () => {
    await home.writeFakeProfile("p", {}, { draft: { model: home.join("draft.gguf") } });
    const { exitCode, stderr } = await refused();
    expect(exitCode).toBe(66);
    expect(stderr).toContain("draft.gguf");
  });
});

describe("a llama-server", () => {
  test.each([
    ["missing", async () => home.join("llama-server"), 66, /"\S+llama-server" does not exist/],
    ["not executable", () => writeProgram("llama-server", "#!/bin/sh\n", 0o644), 77, /no permission to run/],
    ["for another machine", forAnotherMachine, 66, /is built for .*; this machine is/],
    [
      "neither program nor script",
      () => writeProgram("llama-server", "garbage\n"),
      66,
      /is neither a program nor a script/,
    ],
    [
      "a script that prints garbage",
      () => writeProgram("llama-server", "#!/bin/sh\necho garbage\n"),
      66,
      /does not come from a llama\.cpp program/,
    ],
    ["a script that fails", () => writeProgram("llama-server", "#!/bin/sh\necho 'no way' >&2\nexit 3\n"), 66, /no way/],
    ["with a help text that cannot be parsed", withStrangeHelp, 66, /does not come from a llama\.cpp program/],
  ])("%s: refused, with the file's name", async (_, make, code, said) => {
    await home.writeFakeProfile("p", {}, { llama: { binary: await make() } });
    const { exitCode, stderr } = await refused();
    expect(stderr).toMatch(said);
    expect(stderr).toContain("llama-server");
    expect(exitCode).toBe(code);
  });

  async function forAnotherMachine(): Promise<string> {
    const bytes = await readFile("/bin/true");
    const [x86, arm] = [62, 183];
    bytes.writeUInt16LE(bytes.readUInt16LE(18) === x86 ? arm : x86, 18);
    return writeProgram("llama-server", bytes);
  }

  function withStrangeHelp(): Promise<string> {
    return writeProgram(
      "llama-server",
      '#!/bin/sh\necho "version: 9 (abc)" >&2\n[ "$1" = --help ] && echo "usage: see the manual"\nexit 0\n',
    );
  }
});

describe("a fixed port", () => {
  test("in use: the process that holds it and a free port are named", async () => {
    const holder = createServer();
    const port = await new Promise<number>((resolve) => {
      holder.listen(0, "127.0.0.1", () => resolve((holder.address() as { port: number }).port));
    });
    try {
      await home.writeFakeProfile("p", {}, { server: { port } });
      const { exitCode, stderr } = await llmctl(["up", "-d", "p"], { home });
      expect(exitCode).toBe(69);
      expect(stderr).toMatch(new RegExp(`port ${port} is in use by .+ \\(pid ${process.pid}\\)`));
      expect(stderr).toMatch(/fix: .*\d+ is free now/);
      expect((await llmctl(["check", "p"], { home })).exitCode).toBe(69);
    } finally {
      holder.close();
    }
  });
});

describe("a command line", () => {
  test.each([
    [["up"], "missing the name of a profile, or --all"],
    [["up", "p", "--timeout", "soon"], "a time such as 90s"],
    [["upp", "p"], 'did you mean "up"?'],
    [["logs", "p", "-n", "-1"], "a whole number"],
    [["ps", "--jason"], "--json"],
  ])("%j is wrong usage", async (args, said) => {
    const { exitCode, stderr } = await llmctl(args, { home });
    expect(exitCode).toBe(2);
    expect(stderr).toContain(said);
  });

  test.each(["down", "status", "logs", "events", "metrics", "forget"])(
    '"%s" refuses a name that leads out of the state folder',
    async (command) => {
      await mkdir(home.join("state/.models"), { recursive: true, mode: 0o700 });
      await writeFile(home.join("kept"), "");
      for (const name of ["..", ".", "", "../run", ".models", "a/b", "/etc", "a\nb", "A", "x".repeat(65)]) {
        const { exitCode, stderr, stdout } = await llmctl([command, name], { home });
        expect(stderr).toContain(`is not a profile name\n  fix: see "llmctl ps --all"`);
        expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: "" });
      }
      expect((await readdir(home.path)).toSorted()).toContain("kept");
      expect(await readdir(home.path)).not.toContain("lock");
      expect(await readdir(home.join("state"))).toEqual([".models"]);
    },
  );

  test.each(["down", "restart", "status"])('"%s" of a profile that does not run says so', async (command) => {
    await home.writeFakeProfile("p");
    const { exitCode, stderr } = await llmctl([command, "p"], { home });
    expect(exitCode).toBe(3);
    expect(stderr).toContain('"p" is not running');
  });
});
