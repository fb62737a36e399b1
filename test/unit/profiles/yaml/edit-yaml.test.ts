import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
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

function refusal(edit: () => unknown): LlmctlError | undefined {
  try {
    edit();
  } catch (error) {
    if (error instanceof LlmctlError) return error;
    throw error;
  }
  return undefined;
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
    ["a written null by a map", "a: null # c\nb: 1\n", "a.c", "2", "a: { c: 2 } # c\nb: 1\n"],
    ["a null in a flow map by a map", "{ a: ~, b: 1 }\n", "a.c.d", "2", "{ a: { c: { d: 2 } }, b: 1 }\n"],
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
    ["text in double quotes by text that ends in one", 'a: "y"\n', "a", 'x"', 'a: "x\\""\n'],
    ["nothing behind a colon that stands apart", "a :\n", "a", "2", "a : 2\n"],
    ["a list behind a colon that stands apart", "a :\n  - x\n", "a", "2", "a : 2\n"],
    ["a block map, but not a deeper comment", "a:\n  b: 1\n    # c\nd: 1\n", "a", "2", "a: 2\n    # c\nd: 1\n"],
    ["a block list, but not a deeper comment", "a:\n  - b\n    # c\nd: 1\n", "a", "2", "a: 2\n    # c\nd: 1\n"],
    ["an empty block map's only key", "a:\n  b:\n  # c\nd: 1\n", "a", "2", "a: 2\n  # c\nd: 1\n"],
    ["a value behind a tab, before a tab", "a:\t1\t# c\n", "a", "2", "a:\t2\t# c\n"],
    ["a value behind a byte order mark", "\uFEFFa: 1\n", "a", "2", "\uFEFFa: 2\n"],
    ["a value with an anchor that nothing uses", "a: &x 1\n", "a", "2", "a: &x 2\n"],
    ["a value in a map with an anchor", "a: &x { c: 1 }\nb: 1\n", "a.c", "2", "a: &x { c: 2 }\nb: 1\n"],
    ["a value of a quoted key", "\"a b\": 1\n'a': 1\n", "a", "2", "\"a b\": 1\n'a': 2\n"],
    ["a value of an explicit key", "? a\n: 1\n", "a", "2", "? a\n: 2\n"],
    ["a value in a file that is one flow map", "{ a: 1 }\n", "a", "2", "{ a: 2 }\n"],
    ["a value behind the start of the document", "%YAML 1.2\n---\na: 1\n", "a", "2", "%YAML 1.2\n---\na: 2\n"],
    ["text in quotes by a number in quotes", "a: 'x'\n", "a", "'8'", "a: '8'\n"],
    ["text in quotes over lines", 'a: "x\n  y" # c\n', "a", "z", 'a: "z" # c\n'],
    ["text by no text", "a: x\nb: 'x'\n", "b", "", "a: x\nb: ''\n"],
    ["plain text by no text", "a: x\n", "a", "", 'a: ""\n'],
    ["plain text by text that looks like a number", "a: x\n", "a", "'8'", "a: '8'\n"],
    ["text that would be a comment", "a: x\n", "a", "y # z", 'a: "y # z"\n'],
    ["null", "a: null\nb: ~\n", "b", "1", "a: null\nb: 1\n"],
    ["nothing at the end of a file", "a:", "a", "1", "a: 1"],
    ["nothing before a line break", "a: \n", "a", "1", "a: 1 \n"],
    ["a key that has not even a colon", "a: {b, c: 1}\n", "a.b", "2", "a: {b: 2, c: 1}\n"],
    ["nothing in a flow map", "a: { b: }\n", "a.b", "1", "a: { b: 1 }\n"],
    ["a folded block, but not the lines behind it", "a: >-\n  one\n  two\n\nb: 1\n", "a", "x", "a: x\n\nb: 1\n"],
    ["a block of text without a last line break", "b: 1\na: |\n  one", "a", "x", "b: 1\na: x"],
    ["a block of text with Windows line ends", "a: |\r\n  one\r\nb: 1\r\n", "a", "x", "a: x\r\nb: 1\r\n"],
    ["a block map, whose comments stay", "a: # c\n  # d\n  b: 1\nd: 2\n", "a", "x", "a: x # c\n  # d\nd: 2\n"],
    ["a block map at the end of a file", "b: 1\na:\n  c: { d: 1 }\n  e:\n    - 1", "a", "x", "b: 1\na: x\n"],
    ["a key of a map in a list", "a:\n  - b: 1\n    c: 2\n", "a[0].b", "3", "a:\n  - b: 3\n    c: 2\n"],
    ["a later item of a list", "a: [x, y, z]\n", "a[2]", "w", "a: [x, y, w]\n"],
    ["an item by text with a comma", "a: [x, y]\n", "a[1]", "p, q", 'a: [x, "p, q"]\n'],
    [
      "a key beside one of the same name",
      "b: { a: 1 }\na: 1\nc: { a: 1 }\n",
      "c.a",
      "2",
      "b: { a: 1 }\na: 1\nc: { a: 2 }\n",
    ],
    ["a key that an object has by itself", "toString: 1\na: 1\n", "toString", "2", "toString: 2\na: 1\n"],
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
    [
      "with maps indented as the file's first map",
      "x: [1]\ny: { z: 1 }\na:\n   b:\n     c: 1\n",
      "d.e.f",
      "2",
      "x: [1]\ny: { z: 1 }\na:\n   b:\n     c: 1\nd:\n   e:\n      f: 2\n",
    ],
    ["in a file that is indented as a whole", "  a: 1\n  b: 2", "c.d", "3", "  a: 1\n  b: 2\n  c:\n    d: 3\n"],
    [
      "under a map that is indented by more",
      "a:\n    b:\n        c: 1\n",
      "a.b.d",
      "2",
      "a:\n    b:\n        c: 1\n        d: 2\n",
    ],
    ["before a comment behind a key without a value", "a:\n  b:\n  # c\n", "a.d", "2", "a:\n  b:\n  d: 2\n  # c\n"],
    ["with the line end of the first line, not of a later one", "a: 1\nb: 2\r\n", "c", "3", "a: 1\nb: 2\r\nc: 3\n"],
    ["in an indented file with a map", "  a:\n    b: 1\n", "c.d", "2", "  a:\n    b: 1\n  c:\n    d: 2\n"],
    ["before blank lines at the end", "a: 1\n\n\n", "b", "2", "a: 1\nb: 2\n\n\n"],
    ["before the end of the document", "a: 1\n...\n", "b", "2", "a: 1\nb: 2\n...\n"],
    ["behind a comment without a last line break", "a: x # c", "b", "2", "a: x # c\nb: 2\n"],
    ["behind a folded block", "a: |-\n  x\n\n", "b", "2", "a: |-\n  x\nb: 2\n\n"],
    ["behind a block that keeps its blank lines", "a: |+\n  x\n\n", "b", "2", "a: |+\n  x\n\nb: 2\n"],
    ["behind a list that is not indented", "a:\n- x\n- y\n", "b", "2", "a:\n- x\n- y\nb: 2\n"],
    ["behind the last item's comment", "a:\n  - x # c\n  # d\nb: 1\n", "c", "2", "a:\n  - x # c\n  # d\nb: 1\nc: 2\n"],
    [
      "behind blank lines and comments that belong to the last map",
      "a:\n  b: 1\n\n  # deep\n\n    # deeper\n\n# end\n",
      "c",
      "2",
      "a:\n  b: 1\n\n  # deep\n\n    # deeper\nc: 2\n\n# end\n",
    ],
    ["before a comment of its own depth", "a:\n  b: 1\n  # about c\n", "a.d", "2", "a:\n  b: 1\n  d: 2\n  # about c\n"],
    ["in a map of a list", "a:\n  - b: 1\n    c: 2\n", "a[0].d", "3", "a:\n  - b: 1\n    c: 2\n    d: 3\n"],
    ["in a file that is one flow map", "{ a: 1 }\n", "b.c", "2", "{ a: 1, b: { c: 2 } }\n"],
    ["in a file that is an empty flow map", "{} # c\n", "a", "2", "{ a: 2 } # c\n"],
    [
      "in a flow map over lines",
      "a: {\n  b: 1, # one\n  c: 2 # two\n}\n",
      "a.d",
      "3",
      "a: {\n  b: 1, # one\n  c: 2, d: 3 # two\n}\n",
    ],
    ["in a flow map with a last comma", "a: { b: 1, }\n", "a.d", "3", "a: { b: 1, d: 3, }\n"],
    ["in a flow map behind a key without a value", "a: { b: }\n", "a.d", "3", "a: { b:, d: 3 }\n"],
    ["under a key without a value in a flow map", "a: { b: }\n", "a.b.c", "1", "a: { b: { c: 1 } }\n"],
    [
      "under a nested key without a value",
      "a:\n    b:\n    c: 1\n",
      "a.b.d.e",
      "2",
      "a:\n    b:\n        d:\n            e: 2\n    c: 1\n",
    ],
    ["under an anchor without a value", "a: &x\nb: 1\n", "a.c", "2", "a: &x\n  c: 2\nb: 1\n"],
    ["with the line ends of the first line", "a: 1\r\nb: 2\n", "c", "3", "a: 1\r\nb: 2\nc: 3\r\n"],
    ["in quotes where it would be no text", "a: {b: 1}\n", "a.8", "1", 'a: {b: 1, "8": 1}\n'],
    ["and maps in quotes where they would be no text", "a: 1\n", "null.true", "1", 'a: 1\n"null":\n  "true": 1\n'],
  ])("adds a key %s", (_, text, key, typed, edited) => {
    expect(set(text, key, typed)).toBe(edited);
  });

  test.each([
    ["a: &x { c: 1 }\nb: *x\n", "a.c", "2"],
    ["a: text\n", "a.b", "1"],
    ["a: [x]\n", "a[1]", "y"],
    ["a: 1\n", "b[0]", "y"],
    ["a: &x 1\nb: *x\n", "a", "2"],
    ["a: &x\nb: *x\n", "a", "2"],
    ["a: &x\nb: 1\n", "a", "2"],
    ["a: [x]\n", "a.length", "1"],
    ["a:\n  -\n  - y\n", "a[0].b", "z"],
    ["a: { b }\n", "a.b.c", "1"],
    ["a: [{ b: 1 }]\n", "a.b", "1"],
    ["a: [x]\n", "a[0].b", "1"],
    ["a: {0: x}\n".replace("0", '"0"'), "a[0]", "y"],
    ["a: !!str 1\n", "a", "2"],
    ["? a\n: 1\n", "b", "2"],
    ["a:\n  -\n  - y\n", "a[0]", "z"],
    ["a: 1\n", "", "2"],
  ])("refuses in %j to set %s to %s, which would mean something else", (text, key, typed) => {
    expect(refusal(() => set(text, key, typed))).toMatchObject({
      code: "profile-uneditable",
      message: `cannot set "${key}" without changing more than that key`,
      exit: "config",
    });
  });

  test("that is refused names the key, the file and the editor", () => {
    const error = refusal(() => set("draft: text\n", "draft.devices[0]", "x"));
    expect(error).toMatchObject({
      code: "profile-uneditable",
      message: 'cannot set "draft.devices[0]" without changing more than that key',
      at: "p.yaml",
      fix: { run: ["profile", "edit", "p"] },
    });
  });

  test.each([
    ["a: 'x\n", ["p.yaml:2:1"]],
    ["a: 1\nb: 2\na: 3\nb: 4\n", ["p.yaml:3:1", "p.yaml:4:1"]],
    ["a: 1\nb: *x\n", ["p.yaml:2:4"]],
    ["- a\n", ["p.yaml:1:1"]],
    ["text\n", ["p.yaml:1:1"]],
  ])("of a text that is no profile names all places: %j", (text, places) => {
    for (const edit of [() => set(text, "a", "1"), () => unset(text, "a")]) {
      const error = refusal(edit);
      expect(error).toMatchObject({ code: "profile-invalid", exit: "config" });
      expect(error?.problems.map((problem) => problem.at)).toEqual(places);
    }
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
    ["the last key of a file without a last line break", "b: 2\na: 1", "a", "b: 2\n"],
    ["a key with Windows line ends", "a: 1\r\nb: 2\r\n", "a", "b: 2\r\n"],
    ["a key whose value is an alias", "a: &x 1\nb: *x\n", "b", "a: &x 1\n"],
    ["a block of text", "a: |\n  x\n  y\nb: 1\n", "a", "b: 1\n"],
    ["a folded block", "c: 1\na: >-\n  x\n\n  y\n# d\nb: 1\n", "a", "c: 1\n# d\nb: 1\n"],
    ["text over lines", 'a: "x\n  y" # c\nb: 1\n', "a", "b: 1\n"],
    ["a block list", "a:\n  - x\n  - - y\n    - z # c\nb: 1\n", "a", "b: 1\n"],
    ["a block list that is not indented", "a:\n- x\n- y: 1\n  z: 2\nb: 1\n", "a", "b: 1\n"],
    ["a flow list over lines", "a: [x,\n y]\nb: 1\n", "a", "b: 1\n"],
    ["a map that ends without a value", "a:\n  b:\n    c:\nd: 1\n", "a", "d: 1\n"],
    ["the last key of two maps", "a:\n  b:\n    c: 1\n  d: 2\n", "a.b.c", "a:\n  d: 2\n"],
    ["the last key of two flow maps", "a: {b: {c: 1}, d: 2}\n", "a.b.c", "a: {d: 2}\n"],
    ["the last key of three maps", "a: {b: {c: 1}}\nd: 1\n", "a.b.c", "d: 1\n"],
    ["a middle key of a flow map", "a: { b: 1, c: 2, d: 3 }\n", "a.c", "a: { b: 1, d: 3 }\n"],
    ["a key before a last comma", "a: { b: 1, c: 2, }\n", "a.c", "a: { b: 1, }\n"],
    ["a key of a flow map without a colon", "a: {b, c}\n", "a.c", "a: {b}\n"],
    ["the only key of a file that is one flow map", "{ a: 1 }\n", "a", "{  }\n"],
    ["the last key of a map, but not a deeper comment", "a:\n  b: 1\n    # c\nd: 1\n", "a.b", "    # c\nd: 1\n"],
    ["a key of a file that is one flow map", "{ a: 1, b: 2 } # c\n", "a", "{ b: 2 } # c\n"],
    ["the first key of a flow map over lines, with its comment", "a: { b: 1, # b\n  c: 2 }\n", "a.b", "a: { c: 2 }\n"],
    [
      "a key of a flow map, and leaves the comment of the key before",
      "a: { b: 1, # b\n  c: 2 }\n",
      "a.c",
      "a: { b: 1, # b\n   }\n",
    ],
    [
      "a middle key of a flow map with its comment",
      "a: {\n  b: 1, # b\n  c: 2, # c\n  d: 3 # d\n}\n",
      "a.c",
      "a: {\n  b: 1, # b\n  d: 3 # d\n}\n",
    ],
    ["a key and leaves the comments around it", "# a\na: 1 # b\n# c\n\nb: 2\n", "a", "# a\n# c\n\nb: 2\n"],
    ["an explicit key", "? a\n: 1\nb: 2\n", "a", "b: 2\n"],
    ["a key that an object has by itself", "toString: 1\na: 1\n", "toString", "a: 1\n"],
  ])("removes %s", (_, text, key, edited) => {
    expect(unset(text, key)).toBe(edited);
  });

  test("returns undefined for a key that is not written", () => {
    expect(unset("a: { b: 1 }\n", "a.c")).toBeUndefined();
    expect(unset("a: 1\n", "a.c")).toBeUndefined();
    expect(unset("a: 1\n", "constructor")).toBeUndefined();
    expect(unset("a: [1, 2]\n", "a[0]")).toBeUndefined();
    expect(unset("a:\n  - b: 1\n    c: 2\n", "a[0].b")).toBeUndefined();
    expect(unset("# only this\n", "a")).toBeUndefined();
  });

  test.each([
    ["a: &x 1\nb: *x\n", "a"],
    ["a: {b: &x 1, d: 1}\nc: *x\n", "a.b"],
    ["a: &x { b: 1, c: 2 }\nd: *x\n", "a.b"],
    ["# a file needs a key\na: 1\n", "a"],
  ])("refuses in %j to remove %s, which would change more", (text, key) => {
    expect(refusal(() => unset(text, key))).toMatchObject({
      code: "profile-uneditable",
      message: `cannot unset "${key}" without changing more than that key`,
      at: "p.yaml",
    });
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
