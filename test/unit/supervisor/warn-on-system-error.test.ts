import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { LlmctlError } from "../../../src/base/errors.ts";
import { warnOnSystemError } from "../../../src/supervisor/warn-on-system-error.ts";

test("errors of the system and known errors become warnings", () => {
  const told: string[] = [];
  const warn = (text: string) => told.push(text);
  expect(warnOnSystemError("cannot read", () => readFileSync("/none"), warn)).toBeUndefined();
  warnOnSystemError(
    "cannot stop",
    () => {
      throw new LlmctlError("x", "known", { exit: "io" });
    },
    warn,
  );
  expect(told).toEqual([expect.stringMatching(/^cannot read: ENOENT/), "cannot stop: known"]);
  expect(warnOnSystemError("cannot add", () => 1 + 1, warn)).toBe(2);
});

test.each<() => unknown>([
  () => readFileSync(undefined as unknown as string), // a TypeError with a code
  () => (undefined as unknown as string).length,
])("a bug does not become a warning", (mistake) => {
  expect(() => warnOnSystemError("cannot", mistake, () => undefined)).toThrow(TypeError);
});
