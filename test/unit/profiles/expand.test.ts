import { describe, expect, test } from "vitest";
import { addressKeys, expandEnv, pathKeys, resolvePaths } from "../../../src/profiles/expand.ts";
import { makeSource, showPlace, toPlain } from "../../../src/profiles/yaml/located.ts";
import { readYaml } from "../../../src/profiles/yaml/read-yaml.ts";

const source = makeSource("p", "/profiles/p.yaml", "/");
const read = (yaml: string) => readYaml(yaml, source).root;
const resolved = (yaml: string) => toPlain(resolvePaths(read(yaml), { HOME: "/home/me" }));

function expand(yaml: string, env: Readonly<Record<string, string>> = {}) {
  const { root, findings } = expandEnv(read(yaml), env);
  return { plain: toPlain(root), problems: findings.map(({ message }) => message) };
}

describe("a path is relative to its file", () => {
  const rows: Readonly<Record<string, readonly [yaml: string, plain: unknown]>> = {
    model: ["model: a", { model: "/profiles/a" }],
    "draft.model": ["draft: { model: a }", { draft: { model: "/profiles/a" } }],
    mmproj: ["mmproj: a", { mmproj: "/profiles/a" }],
    "lora.*": ["lora: [a, b]", { lora: ["/profiles/a", "/profiles/b"] }],
    "lora.*.path": ["lora: [{ path: a, scale: 1 }]", { lora: [{ path: "/profiles/a", scale: 1 }] }],
    "model_dirs.*": ["model_dirs: [a, ~/b]", { model_dirs: ["/profiles/a", "/home/me/b"] }],
    chat_template_file: ["chat_template_file: a", { chat_template_file: "/profiles/a" }],
    "server.api_key_file": ["server: { api_key_file: a }", { server: { api_key_file: "/profiles/a" } }],
    "server.slot_save_path": ["server: { slot_save_path: a }", { server: { slot_save_path: "/profiles/a" } }],
    "llama.binary": ["llama: { binary: a }", { llama: { binary: "/profiles/a" } }],
  };

  test.each(Object.entries(rows))("in %s", (_, [yaml, plain]) => {
    expect(resolved(yaml)).toEqual(plain);
  });

  test("in every key of the two lists, each of which has a row above", () => {
    expect([...addressKeys, ...pathKeys].toSorted()).toEqual(Object.keys(rows).toSorted());
  });

  test.each([
    ["alias: a", { alias: "a" }],
    ["model: { hf: a, file: b }", { model: { hf: "a", file: "b" } }],
    ["args: [a]", { args: ["a"] }],
    ["draft: { devices: [a] }", { draft: { devices: ["a"] } }],
    ["server: { host: a }", { server: { host: "a" } }],
    ["llama: { build: a }", { llama: { build: "a" } }],
    ["env: { model: a }", { env: { model: "a" } }],
    ["model: 1", { model: 1 }],
    ["model: ''", { model: "" }],
    ["model:", { model: null }],
    ["model_dirs: a", { model_dirs: "a" }],
  ])("and %s is no path", (yaml, plain) => {
    expect(resolved(yaml)).toEqual(plain);
  });

  test.each([
    ["../a", "/a"],
    ["./a/../b", "/profiles/b"],
    ["/a/./b", "/a/b"],
    ["~", "/home/me"],
    ["~/a", "/home/me/a"],
    ["~a", "/profiles/~a"],
    ["a~/b", "/profiles/a~/b"],
    ["file:a", "/profiles/a"],
    ["FILE:/a", "/a"],
    ["file:~/a", "/home/me/a"],
    ["file:///a%20b", "/a b"],
    ["File://LocalHost/a", "/a"],
    ["file:///50%", "/50%"],
    ["file://other/a", "/profiles/file:/other/a"],
    ["profile:a", "/profiles/profile:a"],
  ])("%s is %s", (written, path) => {
    expect(resolved(`model: "${written}"\nllama: { binary: "${written}" }`)).toEqual({
      model: path,
      llama: { binary: path },
    });
  });

  test.each([
    ["a.sock", "/profiles/a.sock"],
    ["~/a.sock", "/home/me/a.sock"],
    ["/run/a.sock", "/run/a.sock"],
    ["a.socks", "a.socks"],
    ["127.0.0.1", "127.0.0.1"],
    ["http://a.sock", "http://a.sock"],
    ["unix:/run/a.sock", "unix:/run/a.sock"],
    ["H2+x.-:a.sock", "H2+x.-:a.sock"],
    ["9p:a.sock", "/profiles/9p:a.sock"],
  ])("the host %s is %s", (host, path) => {
    expect(resolved(`server: { host: "${host}" }`)).toEqual({ server: { host: path } });
  });

  test("a host that is no text stays as it is", () => {
    expect(resolved("server: { host: 1 }")).toEqual({ server: { host: 1 } });
  });
});

describe("an address in place of a model", () => {
  test.each([
    ["https://a/b.gguf", { url: "https://a/b.gguf" }],
    ["HTTPS://A/B.gguf", { url: "https://A/B.gguf" }],
    ["Http://a", { url: "http://a" }],
    ["https://hf.co/o/r/resolve/main/a.gguf", { hf: "o/r", file: "a.gguf" }],
  ])("%s becomes a map whose values have the place of the address", (address, map) => {
    const root = resolvePaths(read(`alias: x\nmodel: "${address}"`), { HOME: "/home/me" });
    expect(toPlain(root)).toEqual({ alias: "x", model: map });
    const model = root.entries.get("model")?.value;
    if (model?.kind !== "map") throw new Error("no map");
    expect([...model.entries.values()].map(({ place }) => showPlace(place))).toEqual(
      Object.keys(map).map(() => "profiles/p.yaml:2:8"),
    );
  });

  test("is no address elsewhere, and no path", () => {
    const address = "https://a/b";
    const yaml = `llama: { binary: "${address}" }\nlora: [{ path: "${address}" }]\nalias: "${address}"`;
    expect(resolved(yaml)).toEqual({ llama: { binary: address }, lora: [{ path: address }], alias: address });
  });
});

describe("variables", () => {
  test.each([
    ["${env:A}", "a"],
    ["x${env:A}y${env:_b1}z", "xayBz"],
    ["${env:A:-d}", "a"],
    ["${env:NONE:-d}", "d"],
    ["${env:EMPTY:-d}", "d"],
    ["${env:EMPTY}", ""],
    ["${env:NONE:-}", ""],
    ["${env:NONE:-a b:-c}", "a b:-c"],
    ["${env:toString:-d}", "d"],
    ["${A} $A {env:A} $env:A", "${A} $A {env:A} $env:A"],
    ["${env:A}} ${x", "a} ${x"],
  ])("%s is %j", (written, text) => {
    const env = { A: "a", _b1: "B", EMPTY: "" };
    expect(expand(`alias: '${written}'`, env)).toEqual({ plain: { alias: text }, problems: [] });
  });

  test("are replaced in lists and maps, and not in keys, numbers and extends", () => {
    const yaml = "extends: '${env:A}'\nargs: ['${env:A}']\nenv: { '${env:A}': '${env:A}' }\nx: 1\nextends_: '${env:A}'";
    expect(expand(yaml, { A: "a" })).toEqual({
      plain: { extends: "${env:A}", args: ["a"], env: { "${env:A}": "a" }, x: 1, extends_: "a" },
      problems: [],
    });
  });

  test("mark the value as expanded, and no other", () => {
    const { root } = expandEnv(read("a: '${env:A}'\nb: '${A}'\nextends: '${env:A}'"), { A: "1" });
    const scalars = [...root.entries].map(([key, { value }]) => [key, "expanded" in value]);
    expect(Object.fromEntries(scalars)).toEqual({ a: true, b: false, extends: false });
  });

  test.each([
    ["${env:}", "${env:}"],
    ["${env:A B}", "${env:A B}"],
    ["${env:1}${env:A}", "${env:1}a"],
    ["${env:A", "${env:A"],
    ["${env:A} ${env:A", "a ${env:A"],
  ])("%s cannot be read, and the rest is", (written, text) => {
    expect(expand(`alias: '${written}'`, { A: "a" })).toEqual({
      plain: { alias: text },
      problems: [`"alias" has a reference that cannot be read: "${written}"`],
    });
  });

  test("each problem has its place and its fix, once", () => {
    const { findings } = expandEnv(read("alias: x\nargs: [a, '${env:X}${env:X}${env:Y}${env:}${env:}${env:']"), {});
    const at = "profiles/p.yaml:2:11";
    expect(findings.map(({ place, ...finding }) => ({ ...finding, at: showPlace(place) }))).toEqual([
      {
        message: '"args[1]" has a reference that cannot be read: "${env:X}${env:X}${env:Y}${env:}${env:}${env:"',
        at,
        fix: "write ${env:NAME} or ${env:NAME:-default}",
      },
      {
        message: '"args[1]" uses the environment variable "X", which is not set',
        at,
        fix: "set it, or write ${env:X:-default}",
      },
      {
        message: '"args[1]" uses the environment variable "Y", which is not set',
        at,
        fix: "set it, or write ${env:Y:-default}",
      },
    ]);
  });

  test("with the name of a secret stay unread where others can see the value, and are read elsewhere", () => {
    const yaml =
      "alias: '${env:HF_TOKEN}'\nargs: ['${env:HF_TOKEN:-x}']\nenv: { A: '${env:HF_TOKEN}' }\n" +
      "model: 'https://a/${env:HF_TOKEN}'";
    const refused = (key: string) =>
      `"${key}" uses the environment variable "HF_TOKEN", which is a secret by its name, ` +
      "in a value that others can see";
    expect(expand(yaml, { HF_TOKEN: "s3cret" })).toEqual({
      plain: {
        alias: "${env:HF_TOKEN}",
        args: ["${env:HF_TOKEN:-x}"],
        env: { A: "s3cret" },
        model: "https://a/s3cret",
      },
      problems: [refused("alias"), refused("args[0]")],
    });
  });

  test("a text that may hold a secret is in no message", () => {
    expect(
      expand("env: { A: 's3cret${env:' }\nmodel: 'https://a/?key=s3cret${env:}'\nalias: 'x${env:'").problems,
    ).toEqual([
      '"env.A" has a reference that cannot be read',
      '"model" has a reference that cannot be read',
      '"alias" has a reference that cannot be read: "x${env:"',
    ]);
  });

  describe("add at most 4 Mi characters to a profile", () => {
    const most = 4 << 20;
    const tooLong = `and the values before it have more than ${most} characters, variables included`;

    test("which are all used", () => {
      const { plain, problems } = expand("a: '${env:LONG}'\nb: '${env:NONE:-x}'", { LONG: "x".repeat(most - 1) });
      expect(problems).toEqual([]);
      expect(plain).toEqual({ a: "x".repeat(most - 1), b: "x" });
    });

    test("and one more is one problem, at the value that has it", () => {
      const yaml = "a: '${env:LONG}'\nb: '${env:NONE:-xy}${env:ONE}'\nc: '${env:ONE}'";
      const { plain, problems } = expand(yaml, { LONG: "x".repeat(most - 1), ONE: "1" });
      expect(problems).toEqual([`"b" ${tooLong}`]);
      expect(plain).toMatchObject({ b: "", c: "" });
    });
  });
});
