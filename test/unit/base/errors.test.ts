import { open } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { LlmctlError, systemErrorCode } from "../../../src/base/errors.ts";

describe("LlmctlError", () => {
  test("is its own first problem", () => {
    const error = new LlmctlError("profile-unknown", 'there is no profile "codr"', {
      exit: "config",
      at: "here",
      fix: 'did you mean "coder"?',
    });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ code: "profile-unknown", exit: "config", at: "here", fix: 'did you mean "coder"?' });
    expect(error.problems).toEqual([
      { message: 'there is no profile "codr"', at: "here", fix: 'did you mean "coder"?' },
    ]);
  });

  test("carries further problems after its own", () => {
    const more = [{ message: "second", at: "a.yaml:3:1" }];
    expect(new LlmctlError("profile-invalid", "first", { exit: "config" }, more).problems).toEqual([
      { message: "first" },
      ...more,
    ]);
  });

  test("has no place, fix or cause by default", () => {
    const error = new LlmctlError("failed", "it failed", { exit: "failed" });
    expect([error.at, error.fix]).toEqual([undefined, undefined]);
    expect("cause" in error).toBe(false);
  });

  test("keeps its cause", () => {
    const cause = new Error("below");
    expect(new LlmctlError("io", "above", { exit: "io", cause }).cause).toBe(cause);
  });
});

describe("systemErrorCode", () => {
  test("names a system error", async () => {
    const error: unknown = await open("/nonexistent/file").catch((reason: unknown) => reason);
    expect(systemErrorCode(error)).toBe("ENOENT");
  });

  test.each([
    [new Error("plain")],
    ["ENOENT"],
    [{ code: "ENOENT" }],
    [Object.assign(new Error("odd"), { code: 5 })],
    [undefined],
  ])("is undefined for %j", (error) => {
    expect(systemErrorCode(error)).toBeUndefined();
  });
});
