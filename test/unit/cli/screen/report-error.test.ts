import { beforeEach, expect, test, vi } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { reportError, reportErrorAsJson } from "../../../../src/cli/screen/report-error.ts";

let written: { stdout: string; stderr: string };

beforeEach(() => {
  written = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      written[name] += String(text);
      return true;
    });
});

const refused = new LlmctlError(
  "bad-profile",
  "two\nkeys",
  { exit: "config", at: "p.yaml:1:1", fix: { run: ["check", "p"] } },
  [{ message: "no fix is known" }],
);

test("every problem is told on stderr, with its place and what to do, and decides the exit code", () => {
  expect(reportError(refused)).toBe(78);
  expect(written).toEqual({
    stdout: "",
    stderr:
      "llmctl: error: two\\nkeys\n  at:  p.yaml:1:1\n" +
      '  fix: run "llmctl check p"\nllmctl: error: no fix is known\n',
  });
});

test("an error of ours is a bug: exit code 70, its stack, and a request to report it", () => {
  const error = new TypeError("x is not a function");
  expect(reportError(error)).toBe(70);
  expect(written).toEqual({
    stdout: "",
    stderr:
      `llmctl: internal error: ${error.stack}\n` +
      "  fix: this is a bug in llmctl; please report it with the lines above\n",
  });
});

test.each([
  ["text that was thrown", "no", "no"],
  ["an error without a stack", Object.assign(new Error("no"), { stack: undefined }), "no"],
])("%s is a bug, too", (_, thrown, words) => {
  expect(reportError(thrown)).toBe(70);
  expect(written.stderr.split("\n")[0]).toBe(`llmctl: internal error: ${words}`);
});

test("with --json an error is one line on stdout", () => {
  expect(reportErrorAsJson(refused)).toBe(78);
  expect(written.stderr).toBe("");
  expect(written.stdout).toMatch(/^[^\n]+\n$/);
  expect(JSON.parse(written.stdout)).toMatchObject({ error: { code: "bad-profile", message: "two\nkeys" } });
});
