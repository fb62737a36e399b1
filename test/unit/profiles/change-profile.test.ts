import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { profileShow } from "../../../src/cli/profile/profile.ts";
import { changeProfile, createProfile } from "../../../src/profiles/change-profile.ts";
import { setInYaml } from "../../../src/profiles/yaml/edit-yaml.ts";
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

  test("does not overwrite a concurrent change", async () => {
    await using folder = await ProfileFolder.create({ "near/p.yaml": "model: /m.gguf\n" });
    const source = sourceIn(folder, "p");
    const change = (text: string) => {
      writeFileSync(source.path, "model: /other.gguf\n");
      return `${text}parallel: 2\n`;
    };
    await expect(changeProfile(source, change, folder.options())).rejects.toMatchObject({
      code: "profile-changed",
      exit: "busy",
    });
    expect(await readFile(source.path, "utf8")).toBe("model: /other.gguf\n");
  });

  test("that changes nothing writes nothing", async () => {
    await using folder = await ProfileFolder.create({ "near/p.yaml": "model: /m.gguf\n" });
    expect(await changeProfile(sourceIn(folder, "p"), (text) => text, folder.options())).toBe(false);
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
    });
    expect(await readFile(source.path, "utf8")).toBe("model: /m.gguf\n");
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
