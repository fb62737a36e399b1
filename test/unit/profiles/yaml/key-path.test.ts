import { expect, test } from "vitest";
import { parseKey } from "../../../../src/profiles/yaml/key-path.ts";
import { showKey } from "../../../../src/profiles/yaml/located.ts";

test.each([
  ["a", ["a"]],
  ["draft.devices[1]", ["draft", "devices", 1]],
  ["a[0][12]", ["a", 0, 12]],
  ["a[9999].b-c.d_e", ["a", 9999, "b-c", "d_e"]],
  ["env.A1", ["env", "A1"]],
  ["8", ["8"]],
])("%s is parsed as messages show it", (text, path) => {
  expect(parseKey(text)).toEqual(path);
  expect(showKey(path)).toBe(text);
});

test.each(["", ".a", "a..b", "a.", "a[x]", "a[]", "a[12345]", "[0]", "a b", "-a", "a.-b", " a", "a ", "a\n", "a[0]b"])(
  "%j is no key",
  (text) => {
    expect(parseKey(text)).toBeUndefined();
  },
);
