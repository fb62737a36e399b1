import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isTemplate, loadProfile, type ParsedFiles } from "../../../src/profiles/load.ts";
import { ProfileFolder, refuseFile, refuseText } from "../../support/profile-folder.ts";

describe("one profile", () => {
  test("is found by name, with defaults filled in", async () => {
    await using folder = await ProfileFolder.create({ "near/coder.yaml": "model: m.gguf\nserver: { port: 8001 }\n" });
    const profile = await folder.load("coder");
    expect(profile.name).toBe("coder");
    expect(profile.path).toBe(join(folder.cwd, "near/coder.yaml"));
    expect(profile.values.server).toEqual({ host: "127.0.0.1", port: 8001, metrics: false });
    expect(profile.values.restart.max_failures).toBe(5);
  });

  test("is read by path when the path holds a slash or ends in .yaml or .yml", async () => {
    await using folder = await ProfileFolder.create({ "a/one.yaml": "model: m.gguf", "two.yml": "model: m.gguf" });
    expect((await folder.load("a/one.yaml")).name).toBe("one");
    expect((await folder.load("two.yml")).name).toBe("two");
    expect((await folder.load(join(folder.cwd, "two.yml"))).name).toBe("two");
  });

  test("has the place of each key, or of the nearest key above it, or the file", async () => {
    await using folder = await ProfileFolder.create({
      "near/coder.yaml": "model: m.gguf\ndraft:\n  model: d.gguf\n  devices: [CUDA0,  CUDA1]\n",
    });
    const { at } = await folder.load("coder");
    expect(at("model")).toBe("near/coder.yaml:1:1");
    expect(at("draft", "devices")).toBe("near/coder.yaml:4:3");
    expect(at("draft", "devices", 1)).toBe("near/coder.yaml:4:21");
    expect(at("draft", "n_max")).toBe("near/coder.yaml:2:1");
    expect(at("ctx_size")).toBe("near/coder.yaml");
  });

  test("makes paths absolute from its own folder or from home, and keeps other text unchanged", async () => {
    await using folder = await ProfileFolder.create({
      "near/coder.yaml":
        "model: ../m.gguf\nmodel_dirs: [~/models, /data]\nalias: ../m\ndraft: { model: ~/d.gguf }\nserver: { " +
        "api_key_file: keys }\n",
    });
    const { values } = await folder.load("coder");
    expect(values.model).toBe(join(folder.cwd, "m.gguf"));
    expect(values.model_dirs).toEqual(["/home/ada/models", "/data"]);
    expect(values.draft?.model).toBe("/home/ada/d.gguf");
    expect(values.server.api_key_file).toBe(join(folder.cwd, "near/keys"));
    expect(values.alias).toBe("../m");
  });

  test.each([
    ["file:///models/a%20b.gguf", "/models/a b.gguf"],
    ["file:///models/50%.gguf", "/models/50%.gguf"],
    ["file://localhost/m.gguf", "/m.gguf"],
    ["file:/m.gguf", "/m.gguf"],
    ["file:~/m.gguf", "/home/ada/m.gguf"],
  ])("takes %s for the path %s", async (written, path) => {
    await using folder = await ProfileFolder.create({ "near/coder.yaml": `model: "${written}"\n` });
    expect((await folder.load("coder")).values.model).toBe(path);
  });

  test.each([
    ["https://models.example/m.gguf?x=1", { url: "https://models.example/m.gguf?x=1" }],
    ["HTTPS://models.example/m.gguf", { url: "https://models.example/m.gguf" }],
    ["http://127.0.0.1:8080/m.gguf", { url: "http://127.0.0.1:8080/m.gguf" }],
    ["http://[::1]/m.gguf", { url: "http://[::1]/m.gguf" }],
    ["https://huggingface.co/o/r", { url: "https://huggingface.co/o/r" }],
    ["https://huggingface.co/o/r/resolve/main/Q2_K/m%20n.gguf?download=true", { hf: "o/r", file: "Q2_K/m n.gguf" }],
    ["https://huggingface.co/o/r/blob/v1/m.gguf", { hf: "o/r", file: "m.gguf", revision: "v1" }],
  ])("reads %s as an address in every key of a model", async (written, ref) => {
    await using folder = await ProfileFolder.create({
      "near/coder.yaml":
        `model: "${written}"\ndraft: { model: "${written}" }\n` + `mmproj: "${written}"\nlora: ["${written}"]\n`,
    });
    const { values, at } = await folder.load("coder");
    expect([values.model, values.draft?.model, values.mmproj, values.lora?.[0]]).toEqual([ref, ref, ref, ref]);
    expect(at("mmproj")).toBe("near/coder.yaml:3:1");
  });

  test("may use YAML anchors", async () => {
    await using folder = await ProfileFolder.create({
      "near/coder.yaml": "model: m\ndevices: &gpus [CUDA0]\ndraft: { model: d, devices: *gpus }\n",
    });
    expect((await folder.load("coder")).values.draft?.devices).toEqual(["CUDA0"]);
  });
});

describe("a profile that cannot be found", () => {
  test("is unknown; the nearest name is suggested and all are listed", async () => {
    await using folder = await ProfileFolder.create({
      "near/coder.yaml": "model: m",
      "far/writer.yml": "model: m",
      "far/Bad Name.yaml": "",
    });
    const error = await folder.refuse("codr");
    expect(error).toMatchObject({ code: "profile-unknown", exit: "config", message: 'there is no profile "codr"' });
    expect(error.fix).toBe('did you mean "coder"? there are: coder, writer');
  });

  test("is unknown by path", async () => {
    await using folder = await ProfileFolder.create({});
    expect(await folder.refuse("./gone.yaml")).toMatchObject({
      code: "profile-unknown",
      message: 'there is no profile file "gone.yaml"',
    });
  });

  test.each(["Coder", "a b", "", "..", `${"x".repeat(65)}`, "a/b c.yaml", "/", "$(x)"])(
    "has an impossible name: %j",
    async (name) => {
      await using folder = await ProfileFolder.create({});
      expect((await folder.refuse(name)).code).toBe("profile-name");
    },
  );

  test("is a folder", async () => {
    await using folder = await ProfileFolder.create({ "near/coder.yaml/x": "" });
    expect(await folder.refuse("coder")).toMatchObject({
      code: "profile-unreadable",
      message: 'profile "coder" is not a regular file',
    });
  });
});

describe("extends", () => {
  test("merges maps deeply, replaces lists and scalars, and keeps the place of every value", async () => {
    await using folder = await ProfileFolder.create({
      "near/child.yaml": "extends: base\ndraft:\n  n_max: 4\ndevices: [CUDA1]\n",
      "far/base.yaml":
        "model: m.gguf\ndevices: [CUDA0, CUDA2]\ndraft:\n  model: d.gguf\n  ctx_size: 512\n  n_max: 16\n",
    });
    const { values, at } = await folder.load("child");
    expect(values).toMatchObject({
      model: join(folder.cwd, "far/m.gguf"),
      devices: ["CUDA1"],
      draft: { ctx_size: 512, n_max: 4 },
    });
    expect(values.draft?.model).toBe(join(folder.cwd, "far/d.gguf"));
    expect(at("draft", "ctx_size")).toBe("far/base.yaml:5:3");
    expect(at("draft", "n_max")).toBe("near/child.yaml:3:3");
    expect(at("draft")).toBe("near/child.yaml:2:1");
  });

  test("follows a chain", async () => {
    await using folder = await ProfileFolder.create({
      "near/a.yaml": "extends: b\nctx_size: 1",
      "near/b.yaml": "extends: c\nctx_size: 2\nthreads: 2",
      "near/c.yaml": "model: m\nthreads: 3\nparallel: 3",
    });
    expect((await folder.load("a")).values).toMatchObject({ ctx_size: 1, threads: 2, parallel: 3 });
  });

  test("finds a later profile of the same name", async () => {
    await using folder = await ProfileFolder.create({
      "glm.yaml": "extends: glm\nctx_size: 1",
      "near/glm.yaml": "extends: glm\nthreads: 2",
      "far/glm.yaml": "model: m\nthreads: 3",
    });
    expect((await folder.load("./glm.yaml")).values).toMatchObject({ ctx_size: 1, threads: 2 });
  });

  test("finds a parent beside a file that is given by path", async () => {
    await using folder = await ProfileFolder.create({
      "other/a.yaml": "extends: b",
      "other/b.yaml": "model: here",
      "near/b.yaml": "model: there",
    });
    expect((await folder.load("other/a.yaml")).values.model).toBe(join(folder.cwd, "other/here"));
  });

  test("names the chain of a cycle", async () => {
    await using folder = await ProfileFolder.create({
      "near/a.yaml": "extends: b\nmodel: m",
      "near/b.yaml": "extends: c",
      "near/c.yaml": "extends: a",
      "far/a.yaml": "model: m",
    });
    const error = await folder.refuse("a");
    expect(error.problems).toMatchObject([
      { message: 'profile "c" extends itself: a -> b -> c -> a', at: "near/c.yaml:1:1" },
    ]);
  });

  test("of itself, without another profile of that name, is a cycle", async () => {
    expect(await refuseFile("extends: coder\nmodel: m")).toMatchObject({
      message: 'profile "coder" extends itself: coder -> coder',
    });
  });

  test("of itself by way of a link is a cycle", async () => {
    await using folder = await ProfileFolder.create({ "near/a.yaml": "extends: b\nmodel: m" });
    await symlink("a.yaml", join(folder.cwd, "near/b.yaml"));
    expect((await folder.refuse("a")).problems).toEqual([
      {
        message: 'profile "a" extends itself: a -> b',
        at: "near/a.yaml:1:1",
        fix: 'remove one "extends" of this chain',
      },
    ]);
  });

  test("of its own name finds no parent in a link to itself", async () => {
    await using folder = await ProfileFolder.create({ "near/a.yaml": "extends: a\nmodel: m", "far/x.yaml": "" });
    await symlink("../near/a.yaml", join(folder.cwd, "far/a.yaml"));
    expect((await folder.refuse("a")).problems).toMatchObject([{ message: 'profile "a" extends itself: a -> a' }]);
  });

  test("of a file that is not there yet is checked as its text will be", async () => {
    await using folder = await ProfileFolder.create({ "far/a.yaml": "model: m\nthreads: 3" });
    const path = join(folder.cwd, "near/a.yaml");
    const load = (text: string) => loadProfile(path, { ...folder.options(), instead: { path, text } });
    expect((await load("extends: a\nctx_size: 1")).values).toMatchObject({ ctx_size: 1, threads: 3 });
    const parent = { path: join(folder.cwd, "far/a.yaml"), text: "model: m\nthreads: 4" };
    await folder.write("near/a.yaml", "extends: a");
    expect((await loadProfile("a", { ...folder.options(), instead: parent })).values.threads).toBe(4);
  });

  test("of an unknown profile is reported with the other problems, but without a missing model", async () => {
    const error = await refuseFile("extends: codex\nctx_sise: 1");
    expect(error.problems).toEqual([
      {
        message: 'profile "coder" extends "codex", which does not exist',
        at: "near/coder.yaml:1:1",
        fix: 'did you mean "coder"? there are: coder',
      },
      {
        message: 'profile "coder" has an unknown key "ctx_sise"',
        at: "near/coder.yaml:2:1",
        fix: 'did you mean "ctx_size"?',
      },
    ]);
  });

  test("reports a parent's problem with its place in the parent", async () => {
    await using folder = await ProfileFolder.create({
      "near/a.yaml": "extends: b",
      "near/b.yaml": "model: m\ndraft:\n  ctx_sise: 1\n  model: d",
    });
    expect((await folder.refuse("a")).problems).toEqual([
      {
        message: 'profile "b" has an unknown key "ctx_sise" in "draft"',
        at: "near/b.yaml:3:3",
        fix: 'did you mean "ctx_size"?',
      },
    ]);
  });

  test("lets a child's file replace its parent's quant", async () => {
    await using folder = await ProfileFolder.create({
      "near/a.yaml": "extends: b\nmodel: { file: f.gguf }",
      "near/b.yaml": "model: { hf: o/r, quant: Q8_0 }",
    });
    expect((await folder.load("a")).values.model).toEqual({ hf: "o/r", file: "f.gguf" });
  });

  test.each([
    ["{ url: https://h/n.gguf }", "{ hf: o/r, quant: Q8_0, revision: v1 }", { url: "https://h/n.gguf" }],
    ["{ hf: o/r, file: f.gguf }", "{ url: https://h/m.gguf, sha256: SHA }", { hf: "o/r", file: "f.gguf" }],
    ["{ url: https://h/n.gguf }", "{ url: https://h/m.gguf, sha256: SHA }", { url: "https://h/n.gguf" }],
    ["{ sha256: SHA }", "{ url: https://h/m.gguf }", { url: "https://h/m.gguf", sha256: "a".repeat(64) }],
    ["https://h/n.gguf", "{ hf: o/r, quant: Q8_0 }", { url: "https://h/n.gguf" }],
  ])("lets a child's model %s replace its parent's %s", async (child, parent, model) => {
    const write = (text: string) => `model: ${text.replace("SHA", "a".repeat(64))}\n`;
    await using folder = await ProfileFolder.create({
      "near/a.yaml": `extends: b\n${write(child)}`,
      "near/b.yaml": write(parent),
    });
    expect((await folder.load("a")).values.model).toEqual(model);
  });

  test("ignores a parent's invalid value that the child replaces", async () => {
    await using folder = await ProfileFolder.create({
      "near/a.yaml": "extends: b\nctx_size: 1\nalias: x",
      "near/b.yaml": "model: m\nctx_size: many\nalias: ${env:GONE}",
    });
    expect((await folder.load("a")).values.ctx_size).toBe(1);
  });
});

describe("draft: null", () => {
  const base = "model: /m.gguf\ndraft: { model: { hf: a/b, quant: Q8_0, revision: x }, n_max: 8, type: draft-mtp }\n";
  const draftOf = async (own: string) => {
    await using folder = await ProfileFolder.create({
      "near/base.yaml": base,
      "near/off.yaml": "extends: base\ndraft: null\n",
      "near/p.yaml": own,
    });
    return (await folder.load("p")).values.draft;
  };

  test("takes the inherited draft away, and a profile that extends this one may have another", async () => {
    expect(await draftOf("extends: base\ndraft: ~\n")).toBeUndefined();
    expect(await draftOf("extends: off\n")).toBeUndefined();
    const other = { type: "ngram-mod", on_mismatch: "disable", on_loss: "warn" };
    expect(await draftOf("extends: off\ndraft: { type: ngram-mod }\n")).toEqual(other);
  });

  test("of one of its keys takes that key away", async () => {
    expect(await draftOf("extends: base\ndraft: { n_max: null, type: null, model: { revision: ~ } }\n")).toEqual({
      type: "draft-simple",
      on_mismatch: "disable",
      on_loss: "warn",
      model: { hf: "a/b", quant: "Q8_0" },
    });
  });

  test("is no empty value, and no other key has it", async () => {
    expect(await refuseText("model: /m.gguf\ndraft:\n")).toMatchObject({
      message: '"draft" must be a map of keys, but it is empty',
    });
    expect(await refuseText("model: /m.gguf\nparallel: null\n")).toMatchObject({
      message: '"parallel" must be a whole number of at least 1, but it is empty',
    });
  });
});

describe("files that were parsed already", () => {
  test("are not parsed again, unless their text has changed", async () => {
    await using folder = await ProfileFolder.create({
      "near/a.yaml": "extends: base\nctx_size: 1",
      "near/base.yaml": "model: m",
    });
    const parsed: ParsedFiles = new Map();
    const load = async () => (await loadProfile("a", { ...folder.options(), parsed })).values.ctx_size;
    expect(await load()).toBe(1);
    expect([...parsed.keys()]).toEqual(["near/a.yaml", "near/base.yaml"].map((name) => join(folder.cwd, name)));
    const before = new Map(parsed);
    await folder.write("near/a.yaml", "extends: base\nctx_size: 2");
    expect(await load()).toBe(2);
    const base = join(folder.cwd, "near/base.yaml");
    expect(parsed.get(base)).toBe(before.get(base));
    expect(await load()).toBe(2);
  });
});

describe("a profile is a template, which is only extended,", () => {
  test.each([
    ["without a model", "ctx_size: 1", true],
    ["whose parent has none", "extends: base\nctx_size: 1", true],
    ["not with a model", "model: m", false],
    ["not with its parent's model", "extends: whole", false],
    ["not as a worker, which needs no model", "kind: rpc-worker\nserver: { port: 50052 }", false],
    ["not as a server that says so", "kind: server\nctx_size: 1", true],
    ["not when its parent is missing, which may have the model", "extends: gone", false],
  ])("%s", async (_, text, expected) => {
    await using folder = await ProfileFolder.create({
      "near/p.yaml": text,
      "near/base.yaml": "threads: 1",
      "near/whole.yaml": "model: m",
    });
    expect(await isTemplate("p", folder.options())).toBe(expected);
  });
});

describe("${env:…}", () => {
  test("is replaced in text, with its default when the variable is unset or empty", async () => {
    await using folder = await ProfileFolder.create({
      "near/coder.yaml":
        "model: ${env:DIR}/m.gguf\nalias: ${env:A:-x}${env:E:-y}${env:B:-z}\nargs: ['${env:B}-${env:E}']\n",
    });
    const { values } = await folder.load("coder", { DIR: "/data", B: "b", E: "" });
    expect(values).toMatchObject({ model: "/data/m.gguf", alias: "xyb", args: ["b-"] });
  });

  test("is resolved as a path after it is replaced", async () => {
    await using folder = await ProfileFolder.create({ "near/coder.yaml": "model: ${env:M}" });
    expect((await folder.load("coder", { M: "~/m.gguf" })).values.model).toBe("/home/ada/m.gguf");
  });

  test("without its variable is a single problem with its place", async () => {
    const error = await refuseText("model: m\nstop:\n  timeout: ${env:GONE}\nargs: [a, '${env:toString}']");
    expect(error.problems).toEqual([
      {
        message: '"stop.timeout" uses the environment variable "GONE", which is not set',
        at: "near/coder.yaml:3:3",
        fix: "set it, or write ${env:GONE:-default}",
      },
      {
        message: '"args[1]" uses the environment variable "toString", which is not set',
        at: "near/coder.yaml:4:11",
        fix: "set it, or write ${env:toString:-default}",
      },
    ]);
  });

  test("a variable with a secret's name is allowed only in env and addresses, and is not quoted", async () => {
    const text = "model: m\nalias: '${env:A_TOKEN}'\nargs: ['${env:A_TOKEN:-x}']\nenv: { A: '${env:A_TOKEN}' }";
    const error = await refuseText(text, { A_TOKEN: "s3cret" });
    expect(error.problems.map(({ at }) => at?.split(":")[1])).toEqual(["2", "3"]);
    expect(JSON.stringify(error.problems)).not.toContain("s3cret");
  });

  test("an invalid value from a variable is not quoted", async () => {
    const error = await refuseText("model: m\nctx_size: '${env:SIZE}'", { SIZE: "s3cret" });
    expect(error.message).toContain('not what "${env:SIZE}" gives');
  });

  test.each(["${env:}", "${env:1A}", "${env:A", "${env:A-b}", "${env:A B}"])(
    "that is malformed is refused: %s",
    async (text) => {
      const error = await refuseText(`model: '${text}'`, { A: "a" });
      expect(error.message).toBe(`"model" has a reference that cannot be read: "${text}"`);
    },
  );

  test("that is not closed is found in linear time, and reported once", async () => {
    const error = await refuseText(`description: '${"${env:A:-".repeat(100_000)}'\nmodel: m`, { A: "a" });
    expect(error.problems.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^"description" has a reference that cannot be read/),
    ]);
  });

  test("may contain a bracket, and the text after it stays unchanged", async () => {
    await using folder = await ProfileFolder.create({
      "near/coder.yaml": "description: '${env:NONE:-a{b}c} d}e ${x'\nmodel: m",
    });
    const { values } = await folder.load("coder");
    expect(values.description).toBe("a{bc} d}e ${x");
  });

  test("that is malformed is not quoted from the server's environment or an address", async () => {
    const error = await refuseText("model: 'https://me:s3cret@models.example/${env:1A}'\nenv: { A: 's3cret${env:}' }");
    expect(error.problems.map(({ message }) => message)).toContain('"env.A" has a reference that cannot be read');
    expect(JSON.stringify(error.problems)).not.toContain("s3cret");
  });

  test("gives text, never a number", async () => {
    const error = await refuseText("model: m\nserver: { port: '${env:P}' }", { P: "8001" });
    expect(error.problems).toMatchObject([{ fix: "write the value itself: ${env:…} always gives text" }]);
  });

  test("is not followed in extends", async () => {
    expect((await refuseText("extends: ${env:B}\nmodel: m", { B: "base" })).message).toBe(
      '"extends" must be the name of a profile, not "${env:B}"',
    );
  });
});
