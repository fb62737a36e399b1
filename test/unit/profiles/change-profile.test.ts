import { writeFileSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { LlmctlError } from "../../../src/base/errors.ts";
import { profileShow } from "../../../src/cli/profile/profile.ts";
import { changeProfile, createProfile } from "../../../src/profiles/change-profile.ts";
import { setInYaml, unsetInYaml } from "../../../src/profiles/yaml/edit-yaml.ts";
import { type JsonSchema, profileJsonSchema } from "../../../src/profiles/schema/json-schema.ts";
import { parseKey } from "../../../src/profiles/yaml/key-path.ts";
import { parseValueArgument } from "../../../src/profiles/yaml/value-argument.ts";
import { makeSource, type SourceText } from "../../../src/profiles/yaml/located.ts";
import { ProfileFolder, textOptions } from "../../support/profile-folder.ts";

function sourceIn(folder: ProfileFolder, name: string): SourceText {
  return makeSource(name, join(folder.cwd, `near/${name}.yaml`), folder.cwd);
}

describe("a change", () => {
  test("that would make the profile invalid is refused with its place, and nothing is written", async () => {
    const text = "model: /m.gguf\n";
    await using folder = await ProfileFolder.create({ "near/p.yaml": text });
    const source = sourceIn(folder, "p");
    const change = () => changeProfile(source, (old) => `${old}ctx_sise: 4\n`, folder.options());
    await expect(change()).rejects.toMatchObject({
      code: "profile-invalid",
      message: 'profile "p" has an unknown key "ctx_sise"',
      at: "near/p.yaml:2:1 as it would be",
      fix: 'did you mean "ctx_size"?',
    });
    expect(await readFile(source.path, "utf8")).toBe(text);
  });

  test("keeps a byte order mark", async () => {
    await using folder = await ProfileFolder.create({ "near/p.yaml": "\uFEFFmodel: /m.gguf\n" });
    const source = sourceIn(folder, "p");
    await changeProfile(source, (text) => text.replace("m.gguf", "n.gguf"), folder.options());
    expect(await readFile(source.path, "utf8")).toBe("\uFEFFmodel: /n.gguf\n");
  });

  test("adds a key behind a byte order mark", async () => {
    await using folder = await ProfileFolder.create({ "near/p.yaml": "\uFEFFmodel: /m.gguf\n" });
    const source = sourceIn(folder, "p");
    const value = parseValueArgument("2", false);
    await changeProfile(source, (text) => setInYaml(text, ["parallel"], value, source), folder.options());
    expect(await readFile(source.path, "utf8")).toBe("\uFEFFmodel: /m.gguf\nparallel: 2\n");
  });

  test("does not overwrite a concurrent change", async () => {
    await using folder = await ProfileFolder.create({ "near/p.yaml": "model: /m.gguf\n" });
    const source = sourceIn(folder, "p");
    const change = (text: string) => {
      writeFileSync(source.path, "model: /other.gguf\n");
      return `${text}parallel: 2\n`;
    };
    await expect(changeProfile(source, change, folder.options())).rejects.toMatchObject({
      code: "profile-changed",
      message: 'profile "p" was changed by someone else in the meantime',
      exit: "busy",
      at: source.path,
      fix: "look at the file, and make your change again",
    });
    expect(await readFile(source.path, "utf8")).toBe("model: /other.gguf\n");
  });

  test("that changes nothing writes nothing, even where the profile is not valid", async () => {
    await using folder = await ProfileFolder.create({ "near/p.yaml": "modle: /m.gguf\n" });
    const { path } = sourceIn(folder, "p");
    const { ino, mtimeMs } = await stat(path);
    expect(await changeProfile(sourceIn(folder, "p"), (text) => text, folder.options())).toBe(false);
    expect(await stat(path)).toMatchObject({ ino, mtimeMs });
  });

  test("is told to have been written", async () => {
    await using folder = await ProfileFolder.create({ "near/p.yaml": "model: /m.gguf\n" });
    const add = (text: string) => `${text}parallel: 2\n`;
    expect(await changeProfile(sourceIn(folder, "p"), add, folder.options())).toBe(true);
    expect(await readFile(sourceIn(folder, "p").path, "utf8")).toBe("model: /m.gguf\nparallel: 2\n");
  });

  test("that cannot be made without changing more leaves the file as it is", async () => {
    const text = "model: /m.gguf\nalias: &name x\ndescription: *name\n";
    await using folder = await ProfileFolder.create({ "near/p.yaml": text });
    const source = sourceIn(folder, "p");
    const remove = (before: string) => unsetInYaml(before, ["alias"], source) ?? before;
    await expect(changeProfile(source, remove, folder.options())).rejects.toMatchObject({ code: "profile-uneditable" });
    expect(await readFile(source.path, "utf8")).toBe(text);
  });

  test("of a profile that is refused by its parent as well names which place is in the changed text", async () => {
    const files = { "near/p.yaml": "extends: base\n", "near/base.yaml": "model: /m.gguf\nzebra: 1\n" };
    await using folder = await ProfileFolder.create(files);
    const change = changeProfile(sourceIn(folder, "p"), (text) => `${text}yak: 1\n`, folder.options());
    const error: unknown = await change.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "profile-invalid", exit: "config", cause: { code: "profile-invalid" } });
    expect((error as LlmctlError).problems).toEqual([
      {
        message: 'profile "p" has an unknown key "yak"',
        at: "near/p.yaml:2:1 as it would be",
        fix: expect.any(String),
      },
      { message: 'profile "base" has an unknown key "zebra"', at: "near/base.yaml:2:1", fix: expect.any(String) },
    ]);
  });

  test("that no loader can judge keeps its own error", async () => {
    await using folder = await ProfileFolder.create({ "near/p.yaml": "model: /m.gguf\n" });
    const load = { ...folder.options(), env: new Proxy({}, { get: () => expect.unreachable("bug") }) };
    const change = changeProfile(sourceIn(folder, "p"), (text) => `${text}alias: ~/x\n`, load);
    await expect(change).rejects.toThrow("bug");
  });
});

describe("a new profile", () => {
  test("may extend a profile of the same name further down the search path", async () => {
    await using folder = await ProfileFolder.create({ "far/p.yaml": "model: /m.gguf\n", "near/other.yaml": "" });
    await createProfile(sourceIn(folder, "p"), "extends: p\nctx_size: 1\n", folder.options());
    expect((await folder.load("p")).values).toMatchObject({ model: "/m.gguf", ctx_size: 1 });
  });

  test("never replaces a profile", async () => {
    await using folder = await ProfileFolder.create({ "near/p.yaml": "model: /m.gguf\n" });
    const source = sourceIn(folder, "p");
    await expect(createProfile(source, "model: /n.gguf\n", folder.options())).rejects.toMatchObject({
      code: "profile-exists",
      message: 'there is a profile "p" already',
      exit: "config",
      at: source.path,
      fix: { run: ["profile", "edit", "p"], or: "take another name" },
    });
    expect(await readFile(source.path, "utf8")).toBe("model: /m.gguf\n");
  });

  test("can be read by everybody, as other users may start it", async () => {
    await using folder = await ProfileFolder.create({ "near/other.yaml": "" });
    await createProfile(sourceIn(folder, "p"), "model: /m.gguf\n", folder.options());
    expect((await stat(sourceIn(folder, "p").path)).mode & 0o777).toBe(0o644);
  });

  test.each([
    ["/sys/p.yaml", "permission", "EACCES"],
    ["/dev/null/p.yaml", "io", "ENOTDIR"],
  ])("that the system refuses to write, at %s, is a known error", async (path, exit, code) => {
    const creating = createProfile(makeSource("p", path, "/"), "model: /m.gguf\n", textOptions(""));
    await expect(creating).rejects.toMatchObject({
      code: "profile-unwritable",
      message: `profile "p" cannot be written (${code})`,
      exit,
      at: path,
      fix: "run it as a user who may write there, or make a profile of your own that extends it",
      cause: { code },
    });
  });

  test("that is invalid is not written", async () => {
    await using folder = await ProfileFolder.create({ "near/other.yaml": "" });
    const source = sourceIn(folder, "p");
    await expect(createProfile(source, "extends: gone\n", folder.options())).rejects.toMatchObject({
      code: "profile-invalid",
    });
    await expect(readFile(source.path)).rejects.toThrow("ENOENT");
  });
});

function leaves(schema: JsonSchema, path = ""): [string, unknown][] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]): [string, unknown][] => {
    const name = path === "" ? key : `${path}.${key}`;
    return child.properties === undefined
      ? (child.examples ?? []).map((example) => [name, example])
      : leaves(child, name);
  });
}

/** A path is shown absolute, as it will be used. */
function withoutFolders(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value).replace(/"[^"]*\//g, '"'));
}

const examples = leaves(profileJsonSchema()).filter(([key]) => key !== "extends");

test("every key can be set to each of its examples, and show then has the value with its place", async () => {
  const before = "# kept\nmodel: /m.gguf # kept\ndraft:\n  model: /d.gguf\n\n# the end\n";
  expect(examples.length).toBeGreaterThan(100);
  for (const [key, example] of examples) {
    const source = makeSource("coder", textOptions("").path, textOptions("").cwd);
    const path = parseKey(key) ?? [];
    const after = setInYaml(before, path, parseValueArgument(JSON.stringify(example), false), source);
    const { path: file, ...load } = textOptions(after);
    const { values, origins } = JSON.parse(await profileShow(file, load, { json: true })) as {
      values: object;
      origins: Record<string, string>;
    };
    const found = path.reduce<unknown>((at, one) => (at as Record<string | number, unknown>)[one], values);
    expect([key, withoutFolders(found)]).toEqual([key, withoutFolders(example)]);
    expect(Object.keys(origins)).toContainEqual(expect.stringMatching(new RegExp(`^${key}(?:\\.|\\[|$)`)));
  }
});
