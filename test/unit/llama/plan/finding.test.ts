import { expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { Findings } from "../../../../src/llama/plan/finding.ts";

const wrong = new LlmctlError("draft-mismatch", "it does not fit", { exit: "config" }, [{ message: "nor does this" }]);
const absent = new LlmctlError("model-missing", "it is not here", { exit: "missingFile" });

test("the plan of a start throws errors unchanged, with their cause", async () => {
  const findings = new Findings("throw");
  expect(() => findings.lack(absent)).toThrow(absent);
  await expect(findings.settle(() => Promise.reject(wrong))).rejects.toBe(wrong);
});

test("a plan that is shown collects missing parts of this machine, and throws other errors", () => {
  const findings = new Findings("mark");
  findings.lack(absent);
  expect(() => findings.fail(wrong)).toThrow(wrong);
  expect(findings.ranked).toEqual([
    { rank: "error", code: "model-missing", exit: "missingFile", message: "it is not here" },
  ]);
});

test("a check collects every problem, errors first, and a failed step has no result", async () => {
  const findings = new Findings("collect");
  findings.add("note", "no-digest", { message: "a note" });
  expect(findings.hasErrors).toBe(false);
  expect(await findings.settle(() => Promise.reject(wrong))).toBeUndefined();
  expect(await findings.settle(() => 7)).toBe(7);
  expect(findings.hasErrors).toBe(true);
  expect(findings.ranked.map(({ message }) => message)).toEqual(["it does not fit", "nor does this", "a note"]);
});

test("an error that llmctl does not know is a bug, and is never a finding", async () => {
  const bug = new TypeError("x is undefined");
  await expect(new Findings("collect").settle(() => Promise.reject(bug))).rejects.toBe(bug);
});
