import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { setInYaml, unsetInYaml } from "../../../../src/profiles/yaml/edit-yaml.ts";
import { parseKey } from "../../../../src/profiles/yaml/key-path.ts";
import { parseValueArgument } from "../../../../src/profiles/yaml/value-argument.ts";
import { makeSource } from "../../../../src/profiles/yaml/located.ts";

const source = makeSource("p", "/work/p.yaml", "/work");

function set(text: string, key: string, typed: string, isText = false): string {
  return setInYaml(text, parseKey(key) ?? [], parseValueArgument(typed, isText), source);
}

function unset(text: string, key: string): string | undefined {
  return unsetInYaml(text, parseKey(key) ?? [], source);
}

function at(plain: unknown, key: string): unknown {
  return parseKey(key)?.reduce<unknown>(
    (value, one) => (value as Record<string | number, unknown> | undefined)?.[one],
    plain,
  );
}

describe("set", () => {
  test.each([
    ["a value, before its comment", "a: 1 # one\nb: 2\n", "a", "8", "a: 8 # one\nb: 2\n"],
    ["a value in double quotes", 'a: "x"  # c\n', "a", "y", 'a: "y"  # c\n'],
    ["a value in single quotes", "a: 'x'\n", "a", "it's", "a: 'it''s'\n"],
    ["a number in quotes by a number", 'a: "1"\n', "a", "2", "a: 2\n"],
    ["a number as it is typed", "a: 1\n", "a", "1.0", "a: 1.0\n"],
    ["an empty value", "a:   # c\nb: 1\n", "a", "x", "a: x   # c\nb: 1\n"],
    ["a block of text", "a: |\n  one\n  two\nb: 1\n", "a", "x", "a: x\nb: 1\n"],
    ["text over lines", "a: one\n  two # c\nb: 1\n", "a", "x", "a: x # c\nb: 1\n"],
    [
      "a block list, whose comment stays",
      "a: # c\n  - x\n  - y # of y\n\n# d\nb: 1\n",
      "a",
      "[z]",
      "a: [z] # c\n\n# d\nb: 1\n",
    ],
    ["a block list that is not indented", "a:\n- x\nb: 1\n", "a", "[z]", "a: [z]\nb: 1\n"],
    ["a flow list", "a: [x,\n  y] # c\n", "a", "[z]", "a: [z] # c\n"],
    ["an item of a list", "a: [x, y]\nb:\n  - c # d\n", "b[0]", "z", "a: [x, y]\nb:\n  - z # d\n"],
    ["a key in a flow map", "a: {b: 1, c: 2}\n", "a.b", "3", "a: {b: 3, c: 2}\n"],
    ["text that a flow map must quote", "a: { b: x }\n", "a.b", "p, q}", 'a: { b: "p, q}" }\n'],
    ["an alias", "a: &x 1\nb: *x\n", "b", "2", "a: &x 1\nb: 2\n"],
    ["a value without a line break behind it", "a: 1", "a", "2", "a: 2"],
    ["a file with Windows line ends", "a: 1\r\nb:\r\n  c: 2\r\n", "b.d", "3", "a: 1\r\nb:\r\n  c: 2\r\n  d: 3\r\n"],
  ])("replaces or adds %s", (_, text, key, typed, edited) => {
    expect(set(text, key, typed)).toBe(edited);
  });

  test.each([
    ["at the end", "a: 1\n", "b", "2", "a: 1\nb: 2\n"],
    ["in a file without a last line break", "a: 1", "b", "2", "a: 1\nb: 2\n"],
    ["in an empty file", "", "b", "2", "b: 2\n"],
    ["in a file of comments", "# only this\n", "b.c", "2", "# only this\nb:\n  c: 2\n"],
    [
      "under its map, before what follows",
      "a:\n  b: 1 # c\n\n# d\ne: 1\n",
      "a.f",
      "2",
      "a:\n  b: 1 # c\n  f: 2\n\n# d\ne: 1\n",
    ],
    ["as indented as the file is", "a:\n    b: 1\n", "c.d", "2", "a:\n    b: 1\nc:\n    d: 2\n"],
    [
      "behind the comments of the last map",
      "a:\n  b: 1\n  # c: 2\n# end\n",
      "d",
      "3",
      "a:\n  b: 1\n  # c: 2\nd: 3\n# end\n",
    ],
    ["behind a block of text", "a: |\n  one\n\nb: 1\n", "c", "2", "a: |\n  one\n\nb: 1\nc: 2\n"],
    ["in a flow map", "a: { b: 1 } # c\n", "a.d", "2", "a: { b: 1, d: 2 } # c\n"],
    ["in an empty flow map", "a: {}\n", "a.d.e", "2", "a: { d: { e: 2 } }\n"],
    ["under a key without a value", "a: # c\nb: 1\n", "a.d", "2", "a: # c\n  d: 2\nb: 1\n"],
    ["with the maps that it needs", "x: 1\n", "a.b.c", "2", "x: 1\na:\n  b:\n    c: 2\n"],
  ])("adds a key %s", (_, text, key, typed, edited) => {
    expect(set(text, key, typed)).toBe(edited);
  });

  test.each([
    ["a: &x { c: 1 }\nb: *x\n", "a.c", "2"],
    ["a: text\n", "a.b", "1"],
    ["a: [x]\n", "a[1]", "y"],
    ["a: 1\n", "b[0]", "y"],
  ])("refuses in %j to set %s to %s, which would mean something else", (text, key, typed) => {
    expect(() => set(text, key, typed)).toThrow(expect.objectContaining({ code: "profile-uneditable" }));
  });

  test("names the place of a YAML error", () => {
    expect(() => set("a: 'x\n", "a", "1")).toThrow(
      expect.objectContaining({ code: "profile-invalid", at: "p.yaml:2:1" }),
    );
  });
});

describe("unset", () => {
  test.each([
    ["a key with its line", "a: 1\nb: 2 # c\nd: 3\n", "b", "a: 1\nd: 3\n"],
    ["a map with its lines", "a: 1\nb:\n  c: 2\n\n# d\ne: 3\n", "b", "a: 1\n\n# d\ne: 3\n"],
    ["the last key of a map, and the map", "a: 1\nb:\n  c: { d: 2 }\ne: 3\n", "b.c.d", "a: 1\ne: 3\n"],
    ["the first key of a flow map", "a: { b: 1, c: 2 }\n", "a.b", "a: { c: 2 }\n"],
    ["the last key of a flow map", "a: { b: 1, c: 2 } # d\n", "a.c", "a: { b: 1 } # d\n"],
    ["a key without a value", "a:\nb: 1\n", "a", "b: 1\n"],
  ])("removes %s", (_, text, key, edited) => {
    expect(unset(text, key)).toBe(edited);
  });

  test("returns undefined for a key that is not written", () => {
    expect(unset("a: { b: 1 }\n", "a.c")).toBeUndefined();
    expect(unset("a: 1\n", "a.c")).toBeUndefined();
  });
});

describe("a typed value", () => {
  test.each([
    ["8", 8],
    ["1.0", 1],
    ["true", true],
    ["text", "text"],
    ["'8'", "8"],
    ["[CUDA0, CUDA1]", ["CUDA0", "CUDA1"]],
    ["{ hf: a/b, quant: Q4_0 }", { hf: "a/b", quant: "Q4_0" }],
    ["GLM: fast", "GLM: fast"],
    ["a # b", "a # b"],
    ["- a", "- a"],
    ["*.gguf", "*.gguf"],
    ["[a, b", "[a, b"],
    ["", ""],
    ["two\nlines", "two\nlines"],
    [`${"[".repeat(100)}1${"]".repeat(100)}`, `${"[".repeat(100)}1${"]".repeat(100)}`],
  ])("%j is %j", (typed, value) => {
    expect(parseValueArgument(typed, false).value).toEqual(value);
  });

  test("is text when the key accepts only text", () => {
    expect(parseValueArgument("0", true).value).toBe("0");
    expect(parseValueArgument("'0'", true).value).toBe("0");
    expect(set("env: { A: x }\n", "env.B", "0,1", true)).toBe('env: { A: x, B: "0,1" }\n');
  });
});

test("a key is parsed as messages show it", () => {
  expect(parseKey("draft.devices[1]")).toEqual(["draft", "devices", 1]);
  expect(["", ".a", "a..b", "a.", "a[x]", "a b"].map(parseKey)).toEqual(Array.from({ length: 6 }, () => undefined));
});

/** A file with known keys and known places of their values. */
interface Written {
  readonly before: string;
  readonly after: string;
  readonly key: string;
}

const comment = fc.constantFrom("", " # c", "  # it's: [odd] {", "\t# tab");
const gap = fc.constantFrom("", "\n", "# between\n", "\n  # odd place\n\n");
const scalar = fc.constantFrom(
  "1",
  "'it''s'",
  '"a\\tb"',
  "plain text",
  "~",
  "0.50",
  "a#b",
  "[x, 'y']",
  "{ p: 1 }",
  "- - 1".slice(4),
);
const line = fc.tuple(scalar, comment, gap);
/** No command line can contain a NUL. */
const spelled = fc
  .oneof(
    fc.constantFrom("8", "0.75", "true", "[CUDA0, CUDA1]", "{ a: 1, b: [x] }", '"q\\"q"', "'0'", "~", "-1", "1e3"),
    fc.string({ maxLength: 12, unit: "binary-ascii" }),
    fc.string({ maxLength: 12, unit: "grapheme" }),
  )
  .filter((typed) => !typed.includes("\0"));

/** Two adjacent keys under `map`, in block or flow style, between other keys; one of them will be set. */
const written = fc
  .record({ first: line, old: line, last: line, isFlow: fc.boolean(), head: gap, eol: fc.constantFrom("\n", "\r\n") })
  .map(({ first, old, last, isFlow, head, eol }): Written & { readonly text: string } => {
    const [before, after] = isFlow
      ? [
          `${head}top: ${first.join("\n").replace(/\n.*/s, "")}\nmap: { one: ${first[0]}, key: `,
          `, two: ${last[0]} }${last[1]}\nend: 1\n`,
        ]
      : [
          `${head}map:\n  one: ${first[0]}${first[1]}\n${first[2]}  key: `,
          `${old[1]}\n${old[2]}  two: ${last[0]}${last[1]}\n${last[2]}end: 1\n`,
        ];
    const [a, b] = [before.replaceAll("\n", eol), after.replaceAll("\n", eol)];
    return { before: a, after: b, key: "map.key", text: a + old[0] + b };
  });

// The limit is for a busy machine: the runs take half a second.
describe("for any profile and any value", { timeout: 60_000 }, () => {
  test("set then read returns the value, and keeps every other byte", () => {
    fc.assert(
      fc.property(written, spelled, fc.boolean(), ({ text, before, after, key }, typed, isText) => {
        const edited = set(text, key, typed, isText);
        expect(at(parse(edited), key)).toEqual(parseValueArgument(typed, isText).value);
        expect(edited.startsWith(before)).toBe(true);
        expect(edited.endsWith(after)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test("a new key only adds text, and unset removes that text", () => {
    fc.assert(
      fc.property(
        written,
        fc.constantFrom("new", "map.new", "fresh.new", "end2.a.b"),
        spelled,
        ({ text }, key, typed) => {
          const edited = set(text, key, typed);
          expect(at(parse(edited), key)).toEqual(parseValueArgument(typed, false).value);
          let same = 0;
          while (same < text.length && text[same] === edited[same]) same += 1;
          expect(edited.endsWith(text.slice(same))).toBe(true);
          expect(unset(edited, key)).toBe(text);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe("each shipped profile", () => {
  const folder = join(import.meta.dirname, "../../../../profiles");
  test.each(readdirSync(folder))("%s takes a new key, and unset restores its text", (file) => {
    const text = readFileSync(join(folder, file), "utf8");
    for (const key of ["draft.n_min", "sampling.seed", "env.NEW", "log.keep"]) {
      const edited = set(text, key, "3");
      expect(at(parse(edited), key)).toBe(3);
      expect(edited.split("\n").filter((one) => !text.split("\n").includes(one)).length).toBeLessThanOrEqual(2);
      expect(unset(edited, key)).toBe(text);
    }
  });
});

test("a YAML construct that cannot be edited is a known error", () => {
  expect(() => set("a: *x\n", "b", "1")).toThrow(LlmctlError);
});
