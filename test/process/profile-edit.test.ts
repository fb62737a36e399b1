import { chmod, lstat, mkdir, readdir, readFile, rename, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { llmctl, llmctlCommand, type RunResult } from "../support/llmctl.ts";
import { TempHome } from "../support/temp-home.ts";
import { Terminal } from "../support/terminal.ts";

const text = "# mine\nmodel: /m.gguf # a file\n\nctx_size: 512\ndraft: { model: /d.gguf, n_max: 4 } # fast\n";
const editor = join(import.meta.dirname, "../support/editor.mjs");

let home: TempHome;
let path: string;

beforeEach(async () => {
  home = await TempHome.create();
  path = await home.writeProfile("p", text);
});
afterEach(() => home[Symbol.asyncDispose]());

function profile(...args: string[]): Promise<RunResult> {
  return llmctl(["profile", ...args], { home });
}

async function show(name: string): Promise<{ values: Record<string, unknown> }> {
  return JSON.parse((await profile("show", name, "--json")).stdout) as { values: Record<string, unknown> };
}

describe("profile set", () => {
  test("changes the values and no other byte, and reports the changes", async () => {
    await chmod(path, 0o640);
    const { exitCode, stdout } = await profile("set", "p", "draft.n_max=8", "draft.p_min=0.5", "ctx_size=1024");
    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout: [
        "draft.n_max: 8  # config/profiles/p.yaml:5:26",
        "draft.p_min: 0.5  # config/profiles/p.yaml:5:36",
        "ctx_size: 1024  # config/profiles/p.yaml:4:1",
      ].join("\n"),
    });
    expect(await readFile(path, "utf8")).toBe(text.replace("n_max: 4", "n_max: 8, p_min: 0.5").replace("512", "1024"));
    expect((await stat(path)).mode & 0o777).toBe(0o640);
    expect((await show("p")).values).toMatchObject({ ctx_size: 1024, draft: { n_max: 8, p_min: 0.5 } });
  });

  test("writes all of its keys or none", async () => {
    const { exitCode, stderr } = await profile("set", "p", "ctx_size=1024", "draft.n_mx=8", "parallel=none");
    expect(exitCode).toBe(78);
    expect(stderr).toContain(
      'unknown key "n_mx" in "draft"\n  at:  config/profiles/p.yaml:5:36 as it would be\n  fix: did you mean "n_max"?',
    );
    expect(stderr).toContain('"parallel" must be a whole number of at least 1, not "none"');
    expect(await readFile(path, "utf8")).toBe(text);
  });

  test("follows a link to the profile's file", async () => {
    await mkdir(home.join("dotfiles"));
    await rename(path, home.join("dotfiles/p.yaml"));
    await symlink(home.join("dotfiles/p.yaml"), path);
    await profile("set", "p", "ctx_size=1024");
    expect((await lstat(path)).isSymbolicLink()).toBe(true);
    expect(await readFile(home.join("dotfiles/p.yaml"), "utf8")).toContain("ctx_size: 1024");
  });

  test("refuses a profile of the package, and says how to make one's own", async () => {
    const { exitCode, stderr } = await profile("set", "glm47", "ctx_size=1024");
    expect(exitCode).toBe(78);
    expect(stderr).toContain('run "llmctl profile new glm47 --extends glm47"');
  });

  test.each([["ctx_size"], ["=4"], ["a..b=4"]])("calls %j wrong usage", async (word) => {
    expect((await profile("set", "p", word)).exitCode).toBe(2);
  });

  test("says that a running server does not use the change yet", async () => {
    await home.writeFakeProfile("p");
    expect((await llmctl(["up", "-d", "p"], { home })).exitCode).toBe(0);
    const { stderr } = await profile("set", "p", "ctx_size=1024");
    expect(stderr).toContain('"p" still runs with the old profile; "llmctl restart p" applies the change');
    await llmctl(["down", "p"], { home });
  });
});

describe("profile unset", () => {
  test("removes a key, and says which value applies now", async () => {
    await home.writeProfile("child", "extends: p\nctx_size: 1024 # more\nsampling:\n  temp: 0.5\n");
    const { stdout } = await profile("unset", "child", "ctx_size", "sampling.temp");
    expect(stdout).toBe("ctx_size: 512  # config/profiles/p.yaml:4:1\nsampling.temp: not set");
    expect(await readFile(home.join("config/profiles/child.yaml"), "utf8")).toBe("extends: p\n");
  });

  test("refuses a key that another key needs, and a missing key", async () => {
    expect((await profile("unset", "p", "draft.model")).stderr).toContain('"draft" has no "model"');
    expect((await profile("unset", "p", "parallel")).stderr).toContain('profile "p" does not write "parallel" itself');
    expect(await readFile(path, "utf8")).toBe(text);
  });
});

describe("profile new", () => {
  test("writes a valid profile whose schema an editor finds", async () => {
    const { exitCode, stdout } = await profile("new", "mine", "--extends", "demo", "--description", "Mine: better");
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`wrote ${home.join("config/profiles/mine.yaml")}`);
    const written = await readFile(home.join("config/profiles/mine.yaml"), "utf8");
    expect(written.split("\n")[0]).toBe("# yaml-language-server: $schema=../profile.schema.json");
    expect(JSON.parse(await readFile(home.join("config/profile.schema.json"), "utf8"))).toHaveProperty(
      "properties.draft",
    );
    expect((await show("mine")).values).toMatchObject({ description: "Mine: better", alias: "demo" });
  });

  test("--here writes to the project, with paths that move with it", async () => {
    await writeFile(home.join("m.gguf"), "");
    const { stderr } = await profile(
      "new",
      "mine",
      "--model",
      "m.gguf",
      "--draft",
      "hf:a/b:Q4_0",
      "--port",
      "8001",
      "--here",
    );
    expect(stderr).toBe("");
    const written = await readFile(home.join("profiles/mine.yaml"), "utf8");
    expect(written).toContain("model: ../m.gguf\n");
    expect(written).toContain(`$schema=${home.join("config/profile.schema.json")}\n`);
    expect((await show("mine")).values).toMatchObject({
      draft: { model: { hf: "a/b", quant: "Q4_0" } },
      server: { port: 8001 },
    });
  });

  test.each([
    ["a profile that is there", ["p", "--extends", "demo"], 78, 'there is a profile "p" already'],
    ["a parent that is not there", ["q", "--extends", "dmeo"], 78, 'did you mean "demo"?'],
    ["an invalid name", ["../q", "--extends", "demo"], 78, "cannot be a profile's name"],
    ["no model", ["q"], 2, "add --extends PROFILE, or --model"],
    ["both a parent and a model", ["q", "--extends", "demo", "--model", "m.gguf"], 2, "exclude each other"],
    ["a repository without a quant", ["q", "--model", "hf:a/b"], 2, "write hf:a/b:Q4_K_M"],
  ])("refuses %s, and writes nothing", async (_, args, code, message) => {
    const { exitCode, stderr } = await profile("new", ...args);
    expect(exitCode).toBe(code);
    expect(stderr).toContain(message);
    expect(await readdir(home.join("config/profiles"))).toEqual(["p.yaml"]);
    expect(await readFile(path, "utf8")).toBe(text);
  });

  test("asks on a terminal for missing values", async () => {
    await using terminal = new Terminal(llmctlCommand(["profile", "new"]), home);
    for (const [question, answer] of [
      ["name of the profile:", "p"],
      ["already", "q"],
      ["start from", "hf:a/b"],
      ["names no quant", "hf:a/b:Q4_0"],
      ["draft model", ""],
      ["context in tokens", "many"],
      ["is no number of tokens", "1024"],
      ["port", ""],
    ] as const) {
      await terminal.waitFor(question);
      terminal.type(`${answer}\r`);
    }
    expect((await terminal.ended).exitCode).toBe(0);
    expect((await show("q")).values).toMatchObject({
      model: { hf: "a/b", quant: "Q4_0" },
      ctx_size: 1024,
      server: { port: "auto" },
    });
  });

  test("Ctrl-C at a question writes nothing", async () => {
    await using terminal = new Terminal(llmctlCommand(["profile", "new", "q"]), home);
    await terminal.waitFor("start from");
    terminal.pressCtrlC();
    expect((await terminal.ended).exitCode).toBe(130);
    expect(await readdir(home.join("config/profiles"))).toEqual(["p.yaml"]);
  });
});

describe("profile edit", () => {
  const edits = (...list: ([string, string] | number)[]) => ({
    EDITOR: `${process.execPath} ${editor}`,
    EDITOR_NOTES: home.join("notes"),
    EDITS: JSON.stringify(list),
  });
  const edit = (...list: ([string, string] | number)[]) =>
    llmctl(["profile", "edit", "p"], { home, env: edits(...list) });
  const editOnTerminal = (name: string, ...list: ([string, string] | number)[]) =>
    new Terminal(
      [
        "env",
        ...Object.entries(edits(...list)).map(([key, value]) => `${key}=${value}`),
        ...llmctlCommand(["profile", "edit", name]),
      ],
      home,
    );
  const copies = async () => (await readdir(home.join("config/profiles"))).filter((name) => name.startsWith("."));

  test("replaces the profile with the saved text", async () => {
    const { exitCode, stdout } = await edit(["512", "1024"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "wrote config/profiles/p.yaml" });
    expect(await readFile(path, "utf8")).toBe(text.replace("512", "1024"));
    expect(await copies()).toEqual([]);
  });

  test("changes nothing when the text is unchanged or the editor fails", async () => {
    expect((await edit(["x", "x"])).stdout).toBe("config/profiles/p.yaml is unchanged");
    await writeFile(home.join("notes"), "");
    const { exitCode, stderr } = await edit(1);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("ended with code 1, the profile is unchanged");
    expect(await readFile(path, "utf8")).toBe(text);
    expect(await copies()).toEqual([]);
  });

  test("names a missing editor", async () => {
    const { exitCode, stderr } = await llmctl(["profile", "edit", "p"], { home, env: { EDITOR: "no-such-editor" } });
    expect(exitCode).toBe(1);
    expect(stderr).toContain("set EDITOR to an editor that is installed");
    expect(await copies()).toEqual([]);
  });

  test("without a terminal, keeps the profile and saves an invalid text beside it", async () => {
    const { exitCode, stderr } = await edit(["ctx_size: 512", "ctx_size: many"]);
    expect(exitCode).toBe(78);
    expect(stderr).toContain(
      '"ctx_size" must be a whole number of at least 0, not "many"\n  at:  config/profiles/p.yaml:4:1',
    );
    expect(await readFile(path, "utf8")).toBe(text);
    const [copy = ""] = await copies();
    expect(stderr).toContain(`your text is in ${home.join("config/profiles", copy)}`);
    expect(await readFile(home.join("config/profiles", copy), "utf8")).toContain("many");
    expect((await profile("list", "--json")).stdout).not.toContain(".edit-");
  });

  test("does not overwrite a concurrent change", async () => {
    const script = home.join("slow-editor");
    await writeFile(script, `sed -i s/512/256/ '${path}'; sed -i s/512/1024/ "$1"\n`);
    const { exitCode, stderr } = await llmctl(["profile", "edit", "p"], { home, env: { EDITOR: `sh ${script}` } });
    expect(exitCode).toBe(75);
    expect(stderr).toContain("was changed by someone else in the meantime");
    expect(await readFile(path, "utf8")).toBe(text.replace("512", "256"));
    expect(await readFile(/your text is in (.+)/.exec(stderr)?.[1] ?? "", "utf8")).toBe(text.replace("512", "1024"));
  });

  test("on a terminal, opens the invalid line again until it is valid; the profile stays unchanged", async () => {
    await writeFile(home.join("vi"), `#!/bin/sh\nexec '${process.execPath}' '${editor}' "$@"\n`, { mode: 0o755 });
    const variables = Object.entries({ ...edits(["512", "many"], ["many", "1024"]), EDITOR: home.join("vi") });
    const command = [
      "env",
      ...variables.map(([key, value]) => `${key}=${value}`),
      ...llmctlCommand(["profile", "edit", "p"]),
    ];
    await using terminal = new Terminal(command, home);
    await terminal.waitFor("[e]dit again");
    expect(await readFile(path, "utf8")).toBe(text);
    terminal.type("e\r");
    expect((await terminal.ended).exitCode).toBe(0);
    expect(await readFile(path, "utf8")).toBe(text.replace("512", "1024"));
    const [first = "", second = ""] = (await readFile(home.join("notes"), "utf8")).trim().split("\n");
    expect(JSON.parse(first)).toHaveLength(1);
    expect(JSON.parse(second)).toMatchObject(["+4", expect.stringContaining(".p.edit-")]);
    expect(await copies()).toEqual([]);
  });

  test("on a terminal, discards an invalid text when asked to", async () => {
    await using terminal = editOnTerminal("p", ["512", "many"]);
    await terminal.waitFor("[e]dit again");
    terminal.type("d\r");
    expect((await terminal.ended).exitCode).toBe(0);
    expect(await readFile(path, "utf8")).toBe(text);
    expect(await copies()).toEqual([]);
  });

  test("on a terminal, Ctrl-C at the question keeps the text", async () => {
    await using terminal = editOnTerminal("p", ["512", "many"]);
    await terminal.waitFor("[e]dit again");
    terminal.pressCtrlC();
    expect((await terminal.ended).exitCode).toBe(78);
    expect(await copies()).toHaveLength(1);
  });

  test("offers a new profile that extends a profile of the package", async () => {
    await using terminal = editOnTerminal("demo", ["extends: demo", "extends: demo\nctx_size: 256"]);
    await terminal.waitFor("[Y]es or [n]o");
    terminal.type("y\r");
    expect((await terminal.ended).exitCode).toBe(0);
    expect((await show("demo")).values).toMatchObject({ ctx_size: 256, alias: "demo" });
  });
});
