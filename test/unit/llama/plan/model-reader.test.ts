import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LlmctlError } from "../../../../src/base/errors.ts";
import { Findings } from "../../../../src/llama/plan/finding.ts";
import { ModelReader } from "../../../../src/llama/plan/model-reader.ts";
import type { ProfileModel } from "../../../../src/llama/plan/plan-session.ts";
import type { ModelRef } from "../../../../src/profiles/schema/schema.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

/** A session whose models cannot be read, for the given reason. */
class FailingSession extends FakeSession {
  failure: Error = new Error("none");

  override async readModel(): Promise<ProfileModel> {
    throw this.failure;
  }
}

let session: FailingSession;
beforeEach(() => {
  session = new FailingSession();
});
afterEach(() => session[Symbol.dispose]());

const fail = (code: string, at?: string) =>
  new LlmctlError(code, "a reason", { exit: "permission", ...(at === undefined ? {} : { at }), fix: "do" }, [
    { message: "another reason" },
  ]);

function reader(findings: Findings, values: Readonly<Record<string, unknown>> = {}): ModelReader {
  return new ModelReader(makeProfile(values), session, findings);
}

describe("an error about a model", () => {
  test.each([
    [undefined, "p.yaml:draft.model"],
    ["p.yaml:draft.model", "p.yaml:draft.model"],
    ["/m.gguf", "p.yaml:draft.model (/m.gguf)"],
  ])("at %s has the place %s, and everything else unchanged", async (at, place) => {
    session.failure = fail("permission-denied", at);
    const findings = new Findings("collect");
    expect(await reader(findings).read(["draft", "model"], "/m/draft.gguf")).toEqual({
      path: "<draft.gguf>",
      files: [],
      model: undefined,
    });
    expect(findings.ranked).toEqual([
      { rank: "error", code: "permission-denied", exit: "permission", message: "a reason", at: place, fix: "do" },
      { rank: "error", code: "permission-denied", exit: "permission", message: "another reason" },
    ]);
  });

  test("keeps its cause, which tells a supervisor what may come", async () => {
    session.failure = fail("permission-denied");
    await expect(reader(new Findings("throw")).read(["model"], "/m.gguf")).rejects.toMatchObject({
      code: "permission-denied",
      cause: session.failure,
    });
  });

  test.each([
    ["model-missing", "throw"],
    ["permission-denied", "mark"],
  ] as const)("%s ends a plan with the policy %s", async (code, policy) => {
    session.failure = fail(code);
    await expect(reader(new Findings(policy)).read(["model"], "/m.gguf")).rejects.toMatchObject({ code });
  });

  test("about a missing model does not end a plan that is shown", async () => {
    session.failure = fail("model-missing");
    const findings = new Findings("mark");
    await reader(findings).read(["model"], "/m.gguf");
    expect(findings.ranked.map(({ rank, code }) => [rank, code])).toEqual([
      ["error", "model-missing"],
      ["error", "model-missing"],
    ]);
  });

  test("that llmctl does not know is a bug", async () => {
    session.failure = new TypeError("x is undefined");
    await expect(reader(new Findings("collect")).read(["model"], "/m.gguf")).rejects.toBe(session.failure);
    await expect(reader(new Findings("collect")).lacks("/m.gguf")).rejects.toBe(session.failure);
  });
});

test.each<[ModelRef, string]>([
  ["/m/target.gguf", "<target.gguf>"],
  [{ hf: "o/r-GGUF", quant: "Q8_0" }, "<o/r-GGUF:Q8_0>"],
  [{ hf: "o/r-GGUF", file: "a/b.gguf" }, "<o/r-GGUF:a/b.gguf>"],
  [{ url: "https://example.org/a/b.gguf?key=s3cret" }, "<b.gguf>"],
])("a missing model %j stands in the command as %s", async (ref, path) => {
  session.failure = fail("model-missing");
  expect((await reader(new Findings("mark")).read(["model"], ref)).path).toBe(path);
});

describe("a model is lacking", () => {
  test.each([
    ["model-missing", true],
    ["model-empty", false],
    ["permission-denied", false],
  ])("after %s: %s", async (code, isLacking) => {
    session.failure = fail(code);
    const findings = new Findings("throw");
    expect(await reader(findings).lacks("/m.gguf")).toBe(isLacking);
  });

  test("not when it can be read", async () => {
    using other = new FakeSession();
    const models = new ModelReader(makeProfile({}), other, new Findings("throw"));
    expect(await models.lacks(other.writeModel("target.gguf"))).toBe(false);
  });
});

describe("the projector and the adapters", () => {
  test("are files and paths by key; plain paths are looked for and not opened", async () => {
    session.failure = fail("model-missing");
    const findings = new Findings("mark");
    const plain = session.write("plain.gguf", "not opened");
    const values = {
      mmproj: { hf: "o/r-GGUF", file: "mm.gguf" },
      lora: [plain, { url: "https://example.org/l.gguf" }],
    };
    const { paths, files } = await reader(findings, values).readSidecars();
    expect(Object.fromEntries(paths)).toEqual({ mmproj: "<o/r-GGUF:mm.gguf>", "lora.1": "<l.gguf>" });
    expect(files).toEqual([{ path: plain, sizeBytes: 10 }]);
    expect(findings.ranked.filter(({ at }) => at !== undefined).map(({ at }) => at)).toEqual([
      "p.yaml:mmproj",
      "p.yaml:lora.1",
    ]);
  });

  test("that are missing at a plain path are errors at their keys", async () => {
    const findings = new Findings("mark");
    const { paths, files } = await reader(findings, {
      mmproj: "/nowhere/mm.gguf",
      lora: ["/nowhere/l.gguf"],
    }).readSidecars();
    expect([paths.size, files]).toEqual([0, []]);
    expect(findings.ranked.map(({ code, at }) => [code, at])).toEqual([
      ["model-missing", "p.yaml:mmproj"],
      ["model-missing", "p.yaml:lora.0"],
    ]);
  });

  test("that can be read have the files of all of them", async () => {
    using other = new FakeSession();
    const [mmproj, lora] = [other.writeModel("mmproj.gguf"), other.writeModel("lora.gguf")];
    const models = new ModelReader(makeProfile({ mmproj, lora: [lora] }), other, new Findings("throw"));
    const sizeBytes = 9536;
    expect((await models.readSidecars()).files).toEqual([
      { path: mmproj, sizeBytes },
      { path: lora, sizeBytes },
    ]);
  });
});
