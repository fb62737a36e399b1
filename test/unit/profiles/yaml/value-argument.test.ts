import { expect, test } from "vitest";
import { parseValueArgument } from "../../../../src/profiles/yaml/value-argument.ts";

const brackets = (count: number) => `${"[".repeat(count)}1${"]".repeat(count)}`;
const braces = (count: number) => `${"{a: ".repeat(count)}1${"}".repeat(count)}`;
const nested = (count: number): unknown => (count === 0 ? 1 : [nested(count - 1)]);

test.each<[string, unknown]>([
  ["8", 8],
  ["1.0", 1],
  ["true", true],
  ["~", null],
  ["text", "text"],
  ["'8'", "8"],
  ["[CUDA0, CUDA1]", ["CUDA0", "CUDA1"]],
  ["{ hf: a/b, quant: Q4_0 }", { hf: "a/b", quant: "Q4_0" }],
  ["[]", []],
  ["{}", {}],
  [brackets(63), nested(63)],
])("%j is the YAML value %j", (typed, value) => {
  expect(parseValueArgument(typed, false).value).toEqual(value);
});

test.each([
  ["a map without braces", "GLM: fast"],
  ["a comment behind it", "a # b"],
  ["a comment alone", "# b"],
  ["a list without brackets", "- a"],
  ["an alias", "*.gguf"],
  ["an anchor", "&a 1"],
  ["a tag", "!x 1"],
  ["a tag that YAML does not know", "!x"],
  ["a tag in a list", "[!x a]"],
  ["a document of its own", "--- 8"],
  ["a bracket too few", "[a, b"],
  ["a bracket too many", "[a]]"],
  ["something behind a list", "[a] b"],
  ["a space before it", " 8"],
  ["a space behind it", "8 "],
  ["nothing", ""],
  ["spaces alone", "  "],
  ["a line break", "two\nlines"],
  ["a carriage return in a list", "[a,\rb]"],
  ["a line break in a list", "[a,\nb]"],
  ["more brackets than any value of a profile has", brackets(64)],
  ["more braces than any value of a profile has", braces(64)],
  ["so many brackets that a parser may end the process", brackets(100_000)],
])("text with %s is text", (_, typed) => {
  expect(parseValueArgument(typed, false).value).toBe(typed);
});

test.each([
  ["0", "0"],
  ["true", "true"],
  ["[a]", "[a]"],
  ["'0'", "0"],
  ['"a\\tb"', "a\tb"],
  ["text", "text"],
])("for a key that takes only text, %j is the text %j", (typed, value) => {
  expect(parseValueArgument(typed, true).value).toBe(value);
});

test.each([
  ["8", false, ["8", "8"]],
  ["0x10", false, ["0x10", "16"]],
  ["[a,b]", false, ["[a,b]", "[a, b]"]],
  ["{a: 1}", false, ["{a: 1}", "{ a: 1 }"]],
  ["it's", false, ["it's", "it's", '"it\'s"', "'it''s'"]],
  ["'8'", false, ["'8'", "8", '"8"', "'8'"]],
  ["8", true, ["8", '"8"', "'8'"]],
  ["a # b", false, ["a # b", '"a # b"', "'a # b'"]],
  ['"a\\u001bb"', false, ['"a\\u001bb"', '"a\\eb"']],
  ["a\u0085b", false, ['"a\\u0085b"']],
  ["[a\u0085b]", false, ['["a\\u0085b"]']],
  ["two\nlines", false, ['"two\\nlines"']],
])(
  "%j (text only: %s) is spelled the user's way first, and never with a control character",
  (typed, isText, spellings) => {
    expect(parseValueArgument(typed, isText).spellings).toEqual(spellings);
  },
);
