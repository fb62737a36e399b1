import { expect, test } from "vitest";
import { diffText } from "../../../../src/base/text/diff-text.ts";

test("a diff has the changed lines between three others", () => {
  const lines = ["a", "b", "c", "d", "e", "f"].map((line) => `${line}\n`);
  expect(diffText("p.yaml", lines.join(""), lines.join("").replace("e\n", "e2\n"))).toBe(
    "--- p.yaml\n+++ as it would be\n@@ -2,5 +2,5 @@\n b\n c\n d\n-e\n+e2\n f\n",
  );
});

test("no change is no text", () => {
  expect(diffText("p.yaml", "a\n", "a\n")).toBe("");
});
