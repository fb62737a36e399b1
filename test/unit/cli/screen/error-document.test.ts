import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LlmctlError, type Problem } from "../../../../src/base/errors.ts";
import { exitCodes, type ExitName } from "../../../../src/base/exit-codes.ts";
import type { Fix } from "../../../../src/base/fix.ts";
import { describeError, errorDocumentVersion } from "../../../../src/cli/screen/error-document.ts";

const { fix: anyFix } = fc.letrec<{ fix: Fix }>((tie) => ({
  fix: fc.oneof(
    { maxDepth: 2 },
    fc.string(),
    fc.record(
      { run: fc.array(fc.string()), before: fc.string(), after: fc.string(), or: tie("fix") },
      { requiredKeys: ["run"], noNullPrototype: true },
    ),
  ),
}));
const anyProblem: fc.Arbitrary<Problem> = fc.record(
  { message: fc.string(), at: fc.string(), fix: anyFix },
  { requiredKeys: ["message"], noNullPrototype: true },
);
const exits = Object.keys(exitCodes) as ExitName[];

test("lists every problem in order, with place and fix unchanged; unknown values are null", () => {
  fc.assert(
    fc.property(fc.array(anyProblem, { minLength: 1, maxLength: 4 }), fc.constantFrom(...exits), (problems, exit) => {
      const [first = { message: "" }, ...more] = problems;
      const { document, exitCode } = describeError(
        new LlmctlError("some-code", first.message, { ...first, exit }, more),
      );
      const told = problems.map(({ message, at = null, fix = null }) => ({ message, at, fix }));
      expect(JSON.parse(JSON.stringify(document))).toEqual({
        version: errorDocumentVersion,
        error: { code: "some-code", ...told[0], problems: told },
      });
      expect(exitCode).toBe(exitCodes[exit].code);
    }),
  );
});

describe("any other error is a bug", () => {
  test("an Error, with its stack", () => {
    const error = new TypeError("x is not a function");
    const { document, exitCode } = describeError(error);
    expect(exitCode).toBe(70);
    expect(document.error).toMatchObject({
      code: "internal-error",
      message: "x is not a function",
      at: null,
      stack: error.stack,
    });
    expect(document.error.problems).toEqual([{ message: "x is not a function", at: null, fix: document.error.fix }]);
  });

  test.each(["text", undefined, null, 7])("%j, which was thrown", (thrown) => {
    const { document, exitCode } = describeError(thrown);
    expect(exitCode).toBe(70);
    expect(document.error).toMatchObject({ code: "internal-error", message: String(thrown), stack: null });
  });
});
