import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Node, parse, parseDocument } from "yaml";
import { withKey, withoutKey } from "../../../../src/profiles/yaml/edit-plain-value.ts";
import { setInYaml, unsetInYaml } from "../../../../src/profiles/yaml/edit-yaml.ts";
import { parseKey } from "../../../../src/profiles/yaml/key-path.ts";
import { makeSource } from "../../../../src/profiles/yaml/located.ts";
import { parseValueArgument } from "../../../../src/profiles/yaml/value-argument.ts";

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

describe("for any profile and any value", () => {
  test("set then read returns the value, and keeps every other byte", () => {
    fc.assert(
      fc.property(written, spelled, fc.boolean(), ({ text, before, after, key }, typed, isText) => {
        const edited = set(text, key, typed, isText);
        expect(at(parse(edited), key)).toEqual(parseValueArgument(typed, isText).value);
        expect(edited.startsWith(before)).toBe(true);
        expect(edited.endsWith(after)).toBe(true);
      }),
      { numRuns: 50 },
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
      { numRuns: 50 },
    );
  });
});

/** Values in every style of YAML, with the text that belongs to each. */
const pieces = [
  "1",
  "&x 1",
  "'two words'",
  '"a\\tb" # c',
  "plain # c",
  "",
  "~",
  "|\n    one\n\n    two",
  ">-\n    one\n    two\n",
  "{ p: 1, q: { r: 2 } }",
  "{ p: 1, # one\n    q: [x, 'y'],\n  }",
  "[x,\n    'y'] # c",
  "\n    p: 1 # c\n    q:\n      r: 2",
  "\n    - x\n    - p: 1\n      q: 2",
  "\n  - x # c\n  # d\n  - y",
  "*before",
];
const anyText = fc
  .record({
    values: fc.array(fc.constantFrom(...pieces), { minLength: 3, maxLength: 3 }),
    between: fc.constantFrom("\n", "\n\n", "\n  # note\n", "\n# note\n"),
    eol: fc.constantFrom("\n", "\r\n"),
    end: fc.constantFrom("", "\n", "\n\n# end", "\n...\n"),
  })
  .map(({ values: [a, b, c], between, eol, end }) =>
    `top: &before t\na:\n  k: ${a}${between}  m: ${b}${between}b: ${c}${end}`.replaceAll("\n", eol),
  );
const anyKey = fc.constantFrom("top", "a", "a.k", "a.m", "a.new", "b", "b.p", "b.q.r", "b[0]", "b[1].q", "new", "x.y");

/** How many characters two texts share at their start and at their end together. */
function sharedLength(one: string, other: string): number {
  const most = Math.min(one.length, other.length);
  let start = 0;
  while (start < most && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < most && one.at(-1 - end) === other.at(-1 - end)) end += 1;
  return start + end;
}

/** The text before a value, and the text behind it and its comments; undefined for a key without a value. */
function around(text: string, key: string): { readonly before: string; readonly behind: string } | undefined {
  const path = parseKey(key) ?? [];
  const document = parseDocument<Node>(text);
  const value = document.getIn(path, true) as Node | undefined;
  if (value?.range == null || value.range[0] === value.range[1]) return undefined;
  const [start, , end] = value.range;
  return { before: text.slice(0, start).trimEnd(), behind: text.slice(end) };
}

describe("in any style of YAML", () => {
  test("an edit changes one value and no byte around it, or is refused", () => {
    let edits = 0;
    fc.assert(
      fc.property(anyText, anyKey, fc.constantFrom("8", "text", "[z]", undefined), (text, key, typed) => {
        const path = parseKey(key) ?? [];
        const value = parseValueArgument(typed ?? "", false);
        const before: unknown = parse(text);
        const wanted = typed === undefined ? withoutKey(before, path) : withKey(before, path, value.value);
        let edited: string | undefined;
        try {
          edited = typed === undefined ? unset(text, key) : set(text, key, typed);
        } catch (error) {
          expect(error).toMatchObject({ code: "profile-uneditable" });
          return;
        }
        expect(edited === undefined).toBe(wanted === undefined);
        if (edited === undefined) return;
        edits += 1;
        expect(parse(edited)).toEqual(wanted);
        if (typed !== undefined) expect(set(edited, key, typed)).toBe(edited);
        const old = around(text, key);
        if (typed === undefined || at(before, key) === undefined) {
          // Text was only removed, or only added, in one place; a map also takes the place of a written null.
          const homes = path.slice(0, -1).map((_, depth) => path.slice(0, depth + 1).join("."));
          const lost = typed !== undefined && homes.some((home) => at(before, home) === null) ? "~".length : 0;
          expect(sharedLength(text, edited)).toBeGreaterThanOrEqual(Math.min(text.length, edited.length) - lost);
        } else if (old !== undefined) {
          expect(edited.startsWith(old.before)).toBe(true);
          expect(edited.endsWith(old.behind)).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
    expect(edits).toBeGreaterThan(50);
  });
});
