import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { loadProfile } from "../../../../src/profiles/load.ts";
import { readYaml } from "../../../../src/profiles/yaml/read-yaml.ts";
import { makeSource, toPlain } from "../../../../src/profiles/yaml/located.ts";
import { ProfileFolder, refuseFile, refuseText } from "../../../support/profile-folder.ts";

const source = makeSource("coder", "/work/coder.yaml", "/work");

/** The parsed text, or its error; any other error fails the test. */
function readOrRefuse(yaml: string): unknown {
  try {
    return toPlain(readYaml(yaml, source).root);
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
}

test.each([
  ["a: 'x\n", "is not valid YAML: missing closing 'quote"],
  ["a:\n\tb: 1", "is indented with a tab"],
  ["model: m\n---\nmodel: n", "holds more than one YAML document"],
  ["model: m\nmodel: n", 'has the key "model" twice'],
  ["model: m\nserver: { port: 1, port: 2 }", 'has the key "port" twice'],
  ["env:\n  A: *s3cret", 'is not valid YAML: a value in "env" cannot be read'],
  ["env:\n  A: !s3cret x", 'is not valid YAML: a value in "env" cannot be read'],
  ["env: { A: *s3cret }", 'is not valid YAML: a value in "env" cannot be read'],
  ["{ env: { A: *s3cret } }", 'is not valid YAML: a value in "env" cannot be read'],
  ["---\n  # a note\n  model: x\n  env:\n    A: *s3cret", 'is not valid YAML: a value in "env" cannot be read'],
  ["model: x\n? env\n: A: *s3cret", 'is not valid YAML: a value in "env" cannot be read'],
  ["env:\n  A=s3cret: \n  A=s3cret: ", 'has the key "A" twice'],
  ["model: *gone", 'uses "*gone", but nothing before it has the anchor "&gone"'],
  ["model: !secret m", "is not valid YAML: unresolved tag: !secret"],
  ["1: m", "has a key that is not text"],
  ["? [a]\n: m", "has a key that is not text"],
  [": m", "has a key that is not text"],
  ["- model: m", "is a list"],
  ["model", "is a single value"],
  ["", "is empty"],
  ["# nothing\n", "is empty"],
])("%j is refused with its place", async (text, what) => {
  const error = await refuseText(text);
  expect(error).toMatchObject({ code: "profile-invalid", exit: "config", message: `profile "coder" ${what}` });
  expect(error.at).toMatch(/^near\/coder\.yaml:\d+:\d+$/);
});

test("a duplicate key is refused with the line of the first", async () => {
  expect(await refuseText("model: m\nalias: a\nmodel: n")).toMatchObject({
    at: "near/coder.yaml:3:1",
    fix: "keep one of them; the first is on line 1",
  });
});

test("an unquoted reference inside brackets gets a hint", async () => {
  expect((await refuseText("model: m\nserver: { host: ${env:HOST} }")).fix).toMatch(/in quotes/);
});

test("a byte order mark and Windows line ends are accepted", async () => {
  await using folder = await ProfileFolder.create({ "near/coder.yaml": "\ufeffmodel: m\r\nalias: a\r\n" });
  const { values, at } = await folder.load("coder");
  expect(values.alias).toBe("a");
  expect(at("alias")).toBe("near/coder.yaml:2:1");
});

describe("hostile files", () => {
  const mega = 2 ** 20;
  const bomb = Array.from(
    { length: 30 },
    (_, i) =>
      `a${i}: &a${i} [${
        i === 0
          ? "x"
          : Array(9)
              .fill(`*a${i - 1}`)
              .join(",")
      }]`,
  ).join("\n");
  const cases: Readonly<Record<string, string | Uint8Array>> = {
    "deep flow maps": "{".repeat(mega - 1),
    "deep flow lists": "[".repeat(mega - 1),
    "deep flow pairs": "a: " + "[{a: ".repeat(mega / 8),
    "deep block lists": "- ".repeat(mega / 2 - 1),
    "deep explicit keys": "? ".repeat(mega / 2 - 1),
    "deep block maps": Array.from({ length: 1400 }, (_, i) => `${" ".repeat(i)}a:\n`).join(""),
    "many keys": "k: 1\n".repeat(mega / 8),
    "many anchors": "&a ".repeat(500),
    "many errors": '"\\q" '.repeat(500),
    "alias bomb": bomb,
    "alias that holds itself": "a: &a [*a]",
    "alias that holds itself often": "a: &a [*a, *a, *a]",
    "alias as a key": "a: &a b\n*a : c",
    "prototype key": "model: m\n__proto__: { polluted: true }",
    "prototype key inside": "model: m\nenv: { __proto__: { polluted: true } }",
    "names of Object's own": "constructor: 1\ntoString: 2\nhasOwnProperty: 3\nserver: { valueOf: 1 }",
    "NUL bytes": "model: a\0b",
    "escaped NUL": 'model: "a\\0b"',
    "escaped NUL in a key": '"a\\0b": 1',
    "two mebibytes": `# ${"x".repeat(2 * mega)}`,
    "exactly too large": "#".repeat(mega + 1),
    binary: Uint8Array.from({ length: 4096 }, (_, i) => (i * 7919) % 256),
    "not UTF-8": Uint8Array.of(0x61, 0x3a, 0x20, 0xff, 0xfe),
    "UTF-16": Buffer.from("\ufeffmodel: m", "utf16le"),
  };

  test.each(Object.entries(cases))("%s: a clear refusal", async (_, text) => {
    const error = await refuseFile(text);
    expect(error.code).toBe("profile-invalid");
    expect(error.at).toMatch(/^near\/coder\.yaml/);
    expect(error.problems.length).toBeLessThan(20);
    expect({}).not.toHaveProperty("polluted");
  });

  test("any text is read or refused with a known error", () => {
    const pieces = fc.constantFrom(
      "a",
      "model",
      ":",
      ": ",
      "\n",
      "\n  ",
      "- ",
      "? ",
      "[",
      "]",
      "{",
      "}",
      ",",
      "&a ",
      "*a",
      "!t ",
      "'",
      '"',
      "\\",
      "|\n",
      ">-\n",
      "#",
      "---\n",
      "%",
      "<<",
      "\t",
      "0x1",
      "~",
    );
    // fast-check's own unit "binary" first makes a map of all of Unicode.
    const character = fc.nat(0xffff).map((code) => String.fromCharCode(code));
    const text = fc.oneof(
      fc.array(pieces, { maxLength: 40 }).map((all) => all.join("")),
      fc.string({ unit: character }),
    );
    fc.assert(
      fc.property(text, (yaml) => {
        expect(readOrRefuse(yaml)).toBeTypeOf("object");
      }),
      { numRuns: 200 },
    );
  });
});

describe("the expansion of a small text", () => {
  test("aliases of a long text are counted as often as they are used", async () => {
    const text = `description: &a "${"x".repeat(500_000)}"\nargs: [${"*a, ".repeat(20)}]\n`;
    const error = await refuseText(text);
    expect(error).toMatchObject({ code: "profile-invalid" });
    expect(error.message).toContain("characters of text");
  });

  test.each(['model: "\\ud800.gguf"', 'args: ["\\udfff"]', 'env: { "\\ud800": x }'])(
    "half a character is refused: %s",
    async (text) => {
      expect(await refuseText(text)).toMatchObject({ code: "profile-invalid", exit: "config" });
    },
  );

  test("characters beyond 16 bits are read unchanged", () => {
    expect(readOrRefuse('description: "😀 \\ud83d\\ude00"')).toEqual({ description: "😀 😀" });
  });
});

describe("variables", () => {
  test("that make a profile too long are refused, with one problem for each value", async () => {
    await using folder = await ProfileFolder.create({
      "near/coder.yaml": `model: m\nargs: ["${"${env:LONG}".repeat(1000)}", "${"${env:LONG}"}"]\n`,
    });
    const error: unknown = await loadProfile("coder", folder.options({ LONG: "x".repeat(100_000) })).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: "profile-invalid" });
    const { problems } = error as LlmctlError;
    expect(problems.length).toBeLessThan(4);
    expect(JSON.stringify(problems).length).toBeLessThan(2000);
  });
});

test("a chain of profiles that extend each other has a limit", async () => {
  const files = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`near/p${i}.yaml`, `extends: p${i + 1}\n`]));
  await using folder = await ProfileFolder.create({ ...files, "near/p33.yaml": "model: m\n" });
  // p2 is the first of 32 files.
  await expect(loadProfile("p2", folder.options())).resolves.toMatchObject({ name: "p2" });
  await expect(loadProfile("p1", folder.options())).rejects.toMatchObject({
    code: "profile-invalid",
    exit: "config",
    message: 'profile "p1" has a chain of more than 32 profiles that extend each other',
    at: "near/p33.yaml",
    fix: 'remove one "extends" of this chain',
  });
});
