import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { noteSkippedDraft } from "../../../../src/llama/draft/draft-skip-note.ts";
import { decideDrafting, type DraftDecision, findDraftingOff } from "../../../../src/llama/plan/draft-decision.ts";
import type { DraftVerdict } from "../../../../src/llama/draft/draft-gate.ts";
import { Findings } from "../../../../src/llama/plan/finding.ts";
import { ModelReader } from "../../../../src/llama/plan/model-reader.ts";
import type { ProfileModel } from "../../../../src/llama/plan/plan-session.ts";
import { FakeSession } from "../../../support/fake-session.ts";
import { makeProfile } from "../../../support/llama-help.ts";

let session: FakeSession;
let target: string;
let draft: string;
beforeEach(() => {
  session = new FakeSession();
  target = session.writeModel("target.gguf");
  draft = session.writeModel("draft.gguf");
});
afterEach(() => session[Symbol.dispose]());

const tokens = Array.from({ length: 32 }, (_, id) => `token${id}`);
const writeUnfit = () => session.writeModel("draft.gguf", { "tokenizer.ggml.tokens": tokens.with(9, "other") });
const unfit = 'token 9 differs: target "token9", draft "other"';

async function decide(
  values: Readonly<Record<string, unknown>>,
  { rule = "strict", targetIsHere = true }: { rule?: "strict" | "refuse"; targetIsHere?: boolean } = {},
): Promise<DraftDecision> {
  const profile = makeProfile({ model: target, ...values });
  const models = new ModelReader(profile, session, new Findings("mark"));
  const read = await models.read(["model"], target);
  const found: ProfileModel = targetIsHere ? read : { path: "<t>", files: [], model: undefined };
  return decideDrafting(profile, { target: found, models, rule, cacheDir: session.paths.cache });
}

const off = (reason: string): DraftDecision => ({ drafting: { wanted: false, reason }, files: [], warnings: [] });
const on = (more: Partial<DraftDecision> = {}): DraftDecision => ({
  drafting: { wanted: true, onFailure: "serve" },
  path: draft,
  files: [{ path: draft, sizeBytes: 5440 }],
  warnings: [],
  ...more,
});

describe("whether a server drafts", () => {
  test("it does not where the profile asks for none", async () => {
    expect(await decide({})).toEqual(off("the profile asks for none"));
  });

  test("it does with a draft that fits; on_mismatch says what a failed proof means", async () => {
    expect(await decide({ draft: { model: draft } })).toEqual(on());
    expect(await decide({ draft: { model: draft, on_mismatch: "fail" } })).toEqual(
      on({ drafting: { wanted: true, onFailure: "fail" } }),
    );
  });

  test("it does with a draft that fits badly, and says so", async () => {
    const warning =
      "the draft was trained for 512 tokens and the context is 4096: " +
      "beyond its length few of its tokens will be accepted";
    expect(await decide({ draft: { model: draft }, ctx_size: 4096 })).toEqual(on({ warnings: [warning] }));
  });

  test("it does without a draft model where the drafting type needs none", async () => {
    expect(await decide({ draft: { type: "ngram-simple" } })).toEqual({
      drafting: { wanted: true, onFailure: "serve" },
      files: [],
      warnings: [],
    });
  });

  test.each([
    ["the target", {}, { targetIsHere: false }],
    ["the draft", { draft: { model: "/nowhere/d.gguf" } }, {}],
  ])("it may where %s is not here: nothing is judged", async (_, values, options) => {
    draft = writeUnfit();
    const { drafting, path } = await decide({ draft: { model: draft }, ...values }, options);
    expect([drafting, path]).toEqual([{ wanted: true, onFailure: "serve" }, "draft" in values ? "<d.gguf>" : draft]);
  });

  test("it does not with a draft that does not fit", async () => {
    draft = writeUnfit();
    expect(await decide({ draft: { model: draft } })).toEqual(off(unfit));
    expect(await decide({ draft: { model: draft } }, { rule: "refuse" })).toEqual(off(unfit));
  });

  test("a profile that wants no server without drafting is refused", async () => {
    draft = writeUnfit();
    await expect(decide({ draft: { model: draft, on_mismatch: "fail" } })).rejects.toMatchObject({
      code: "draft-mismatch",
      exit: "config",
      message: `the draft cannot speed up this target: ${unfit}`,
      at: "p.yaml:draft.model",
      fix: expect.anything() as unknown,
    });
  });
});

describe("a draft that the last pull did not fetch", () => {
  const ref = { hf: "o/draft-GGUF", quant: "Q8_0" };
  const pair = (type = "draft-simple", rule: "strict" | "refuse" = "strict") => ({
    targetFiles: [{ path: target, sizeBytes: 9536 }],
    draft: ref,
    type,
    rule,
  });
  const note = () => noteSkippedDraft(session.paths.cache, pair(), "the vocabularies differ");

  test("is left out for the same reason", async () => {
    await note();
    expect(await decide({ draft: { model: ref } })).toEqual(off("the vocabularies differ"));
  });

  test.each([
    ["for another drafting type", { draft: { model: ref, type: "draft-eagle3" } }, {}],
    ["with a build of another rule", { draft: { model: ref } }, { rule: "refuse" as const }],
    ["by a profile that wants no server without it", { draft: { model: ref, on_mismatch: "fail" } }, {}],
  ])("counts as missing %s", async (_, values, options) => {
    await note();
    const decision = await decide(values, options);
    expect([decision.drafting.wanted, decision.path]).toEqual([true, "<o/draft-GGUF:Q8_0>"]);
  });

  test("is judged by its headers when it has come since then", async () => {
    await note();
    const path = session.writeModel("models/o/draft-GGUF/draft-Q8_0.gguf");
    expect(await decide({ draft: { model: ref }, model_dirs: [`${session.build.folder}/models`] })).toEqual(
      on({ path, files: [{ path, sizeBytes: 5440 }] }),
    );
  });
});

test.each<[DraftVerdict["verdict"], string | undefined]>([
  ["on", undefined],
  ["off", "a reason"],
  ["refuse", "a reason"],
])("the verdict %s: drafting is off for %s", (verdict, reason) => {
  const base = { warnings: [], llamaCpp: "exits" } as const;
  const full: DraftVerdict =
    verdict === "on" ? { ...base, verdict } : { ...base, verdict, reason: "a reason", fix: "do" };
  expect(findDraftingOff(makeProfile({ draft: { model: "/d" } }), full)).toBe(reason);
});
