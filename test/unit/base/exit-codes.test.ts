import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { exitCodes } from "../../../src/base/exit-codes.ts";

/** The rows `| 0 | done |` of the README's section on exit codes. */
function readDocumentedCodes(): [number, string][] {
  const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
  const section = /^#+ Exit codes$([^]*?)(?=^#|(?![^]))/m.exec(readme)?.[1] ?? "";
  return [...section.matchAll(/^\| *`?(\d+)`? *\| *(.*?) *\|$/gm)].map(([, code, meaning]) => [
    Number(code),
    meaning ?? "",
  ]);
}

describe("exit codes", () => {
  test("are those of the README's table", () => {
    expect(readDocumentedCodes()).toEqual(Object.values(exitCodes).map(({ code, meaning }) => [code, meaning]));
  });

  test("are all different and in order", () => {
    const codes = Object.values(exitCodes).map(({ code }) => code);
    expect(codes).toEqual([...new Set(codes)].toSorted((a, b) => a - b));
  });
});
