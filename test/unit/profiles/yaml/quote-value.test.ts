import { describe, expect, test } from "vitest";
import { joinOr, quote } from "../../../../src/profiles/yaml/quote-value.ts";

describe("the user's words in a message", () => {
  test.each([
    ["coder", '"coder"'],
    ["", '""'],
    ['say "x"', String.raw`"say \"x\""`],
    ["a\u001b[31m\n", String.raw`"a\u001b[31m\n"`],
    ["x".repeat(60), `"${"x".repeat(60)}"`],
    ["x".repeat(61), `"${"x".repeat(59)}…"`],
  ])("%j is quoted as %s", (text, quoted) => {
    expect(quote(text)).toBe(quoted);
  });
});

test.each([
  [[], ""],
  [["a"], "a"],
  [["a", "b"], "a or b"],
  [["a", "b", "c"], "a, b or c"],
])("the choices %j are told as %j", (words, told) => {
  expect(joinOr(words)).toBe(told);
});
