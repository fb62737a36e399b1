import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { decodeTexts } from "../../../../src/gguf/gguf-array.ts";
import { findArray } from "../../../../src/gguf/metadata.ts";
import { readModel } from "../../../../src/gguf/read-model.ts";
import type { DraftQuestion, DraftVerdict } from "../../../../src/llama/draft/draft-gate.ts";
import { decideDraft } from "../../../../src/llama/draft/draft-gate.ts";
import { vocabRuleFromFlags } from "../../../../src/llama/draft/build-vocab-rule.ts";
import type { GgufParts, Part, TensorPart } from "../../../support/gguf-builder.ts";
import { editGguf, modelFrom, modelKeys } from "../../../support/gguf-builder.ts";

const targetTensors = [{ name: "token_embd.weight", ne: [64, 32] }];
const draftTensors = [{ name: "token_embd.weight", ne: [32, 32] }];
const nextn = { name: "blk.1.nextn.eh_proj.weight", ne: [4] };

interface Sides {
  readonly target?: Record<string, Part>;
  readonly draft?: Record<string, Part>;
  readonly targetTensors?: readonly TensorPart[];
  readonly draftTensors?: readonly TensorPart[];
}

async function decide(sides: Sides, asked: Partial<DraftQuestion> = {}): Promise<DraftVerdict> {
  const target: GgufParts = {
    metadata: modelKeys(sides.target),
    tensors: [...targetTensors, ...(sides.targetTensors ?? [])],
  };
  const draft: GgufParts = {
    metadata: modelKeys(sides.draft),
    tensors: [...draftTensors, ...(sides.draftTensors ?? [])],
  };
  return decideDraft({
    target: await modelFrom(target),
    draft: await modelFrom(draft),
    type: "draft-simple",
    rule: "strict",
    ...asked,
  });
}

async function decideAlone(type: string, target: Sides = {}): Promise<DraftVerdict> {
  const model = await modelFrom({
    metadata: modelKeys(target.target),
    tensors: [...targetTensors, ...(target.targetTensors ?? [])],
  });
  return decideDraft({ target: model, type, rule: "strict" });
}

/** Tokens `token0`, `token1` … with some of them replaced. */
function vocabulary(count: number, edits: Record<number, string> = {}): Record<string, Part> {
  const tokens = Array.from({ length: count }, (_, id) => edits[id] ?? `token${id}`);
  return { "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": tokens.map(() => 1) };
}

const demo = (name: string): string => fileURLToPath(new URL(`../../../../models/${name}.gguf`, import.meta.url));

const reasonOf = (verdict: DraftVerdict): string => (verdict.verdict === "on" ? "" : verdict.reason);

describe("draft-simple", () => {
  test("the demo pair drafts, without a warning", async () => {
    const question = {
      target: await readModel(demo("demo-target")),
      draft: await readModel(demo("demo-draft")),
      type: "draft-simple",
    };
    for (const rule of ["strict", "translate", "refuse"] as const) {
      expect(decideDraft({ ...question, rule })).toEqual({ verdict: "on", llamaCpp: "drafts", warnings: [] });
    }
  });

  test("a single token edited in the demo draft is found", async () => {
    const tokens = findArray((await readModel(demo("demo-draft"))).header, "tokenizer.ggml.tokens");
    const edited = tokens === undefined ? [] : decodeTexts(tokens).with(639, "edited");
    const draft = await editGguf(await readFile(demo("demo-draft")), (metadata) => {
      metadata["tokenizer.ggml.tokens"] = edited;
    });
    const verdict = decideDraft({
      target: await readModel(demo("demo-target")),
      draft: await modelFrom(draft),
      type: "draft-simple",
      rule: "strict",
    });
    expect(verdict).toMatchObject({
      verdict: "off",
      firstDifference: { id: 639, target: "Ot", draft: "edited" },
      warnings: [],
    });
  });

  test.each([5, 17, 31])("one differing token, id %i, is named with both texts", async (id) => {
    const verdict = await decide({ draft: vocabulary(32, { [id]: "other" }) });
    expect(verdict).toMatchObject({
      verdict: "off",
      llamaCpp: "serves-without-drafting",
      reason: `token ${id} differs: target "token${id}", draft "other"`,
      firstDifference: { id, target: `token${id}`, draft: "other" },
    });
  });

  test.each([0, 4])("llama.cpp does not compare token %i; the difference is a warning", async (id) => {
    const verdict = await decide({ draft: vocabulary(32, { [id]: "other" }) });
    expect(verdict).toMatchObject({ verdict: "on", llamaCpp: "drafts" });
    expect(verdict.warnings).toEqual([
      `token ${id} differs: target "token${id}", draft "other"; llama.cpp does not compare the first 5 tokens`,
    ]);
  });

  test("each rule does with a mismatch what its builds do", async () => {
    const sides = { draft: vocabulary(32, { 9: "other" }) };
    expect(await decide(sides, { rule: "strict" })).toMatchObject({
      verdict: "off",
      llamaCpp: "serves-without-drafting",
    });
    expect(await decide(sides, { rule: "translate" })).toMatchObject({ verdict: "off", llamaCpp: "translates" });
    expect(await decide(sides, { rule: "refuse" })).toMatchObject({ verdict: "refuse", llamaCpp: "exits" });
  });

  test("texts are compared as C strings: up to the first NUL, an empty one under its own name", async () => {
    expect(await decide({ target: vocabulary(32, { 9: "a\0b" }), draft: vocabulary(32, { 9: "a\0c" }) })).toMatchObject(
      { verdict: "on" },
    );
    expect(
      await decide({ target: vocabulary(32, { 9: "" }), draft: vocabulary(32, { 9: "[EMPTY_9]" }) }),
    ).toMatchObject({ verdict: "on" });
    expect(await decide({ target: vocabulary(32, { 9: "\0x" }), draft: vocabulary(32, { 9: "" }) })).toMatchObject({
      verdict: "on",
    });
    expect(
      await decide({ target: vocabulary(32, { 9: "" }), draft: vocabulary(32, { 9: "[EMPTY_8]" }) }),
    ).toMatchObject({
      verdict: "off",
    });
  });

  test("the byte order and version of the files do not matter", async () => {
    const target = await modelFrom({ metadata: modelKeys(), tensors: targetTensors, byteOrder: "big", version: 3 });
    const draft = await modelFrom({ metadata: modelKeys(), tensors: draftTensors, version: 1 });
    expect(decideDraft({ target, draft, type: "draft-simple", rule: "strict" })).toEqual({
      verdict: "on",
      llamaCpp: "drafts",
      warnings: [],
    });
  });

  test.each([127, 128])(
    "vocabularies that differ in size by %i pass llama.cpp and are refused by our own rule",
    async (difference) => {
      const larger = vocabulary(32 + difference);
      for (const sides of [{ target: larger }, { draft: larger }]) {
        const verdict = await decide(sides);
        expect(verdict).toMatchObject({ verdict: "refuse", llamaCpp: "breaks-requests" });
        expect(reasonOf(verdict)).toContain(String(32 + difference));
      }
    },
  );

  test("from 129 on they are llama.cpp's own mismatch", async () => {
    const verdict = await decide({ target: vocabulary(32 + 129) });
    expect(verdict).toMatchObject({ verdict: "off", llamaCpp: "serves-without-drafting" });
    expect(reasonOf(verdict)).toBe("the vocabularies differ in size by 129: target 161, draft 32 tokens");
  });

  test("a size mismatch still names the first differing token", async () => {
    expect(await decide({ target: vocabulary(32 + 129, { 7: "x" }) })).toMatchObject({
      firstDifference: { id: 7, target: "x", draft: "token7" },
    });
  });

  test("bos and eos ids count for newer builds only where they are added", async () => {
    const other = { draft: { "tokenizer.ggml.bos_token_id": 3 } };
    const adding = { "tokenizer.ggml.add_bos_token": true };
    expect(await decide(other)).toMatchObject({ verdict: "on" });
    expect(await decide(other, { rule: "translate" })).toMatchObject({ verdict: "off", llamaCpp: "translates" });
    const added = await decide({ target: adding, draft: { ...adding, ...other.draft } });
    expect(reasonOf(added)).toBe("the bos tokens differ: target 0, added, draft 3, added");
    expect(await decide({ draft: adding })).toMatchObject({ verdict: "off" });
    expect(await decide({ draft: { "tokenizer.ggml.add_eos_token": true } })).toMatchObject({ verdict: "off" });
  });

  test("absent keys count as what llama.cpp derives", async () => {
    const { "tokenizer.ggml.bos_token_id": _bos, ...rest } = modelKeys({ "tokenizer.ggml.pre": "llama-bpe" });
    const draft = await modelFrom({ metadata: rest, tensors: draftTensors });
    const explicit = modelKeys({
      "tokenizer.ggml.pre": "llama-bpe",
      "tokenizer.ggml.add_bos_token": true,
      "tokenizer.ggml.bos_token_id": 11,
    });
    const target = await modelFrom({ metadata: explicit, tensors: targetTensors });
    expect(decideDraft({ target, draft, type: "draft-simple", rule: "strict" })).toMatchObject({ verdict: "on" });
  });

  test("vocabularies of different types are a mismatch for newer builds; older ones only tell none from some", async () => {
    const spm = {
      "tokenizer.ggml.model": "llama",
      "tokenizer.ggml.add_bos_token": false,
      "tokenizer.ggml.bos_token_id": 0,
    };
    expect(reasonOf(await decide({ draft: spm }))).toBe(
      "the vocabularies are of different types: target BPE, draft SPM",
    );
    const older = await decide({ draft: spm }, { rule: "translate" });
    expect(older).toMatchObject({ verdict: "on" });
    expect(older.warnings).toContain("the vocabularies are of different types (target BPE, draft SPM)");
    expect(await decide({ draft: { "tokenizer.ggml.model": "no_vocab" } }, { rule: "refuse" })).toMatchObject({
      verdict: "refuse",
      llamaCpp: "exits",
    });
  });

  test("a draft that holds NextN tensors is a plain draft all the same", async () => {
    const air = { draft: { "llama.nextn_predict_layers": 1, "llama.embedding_length": 32 }, draftTensors: [nextn] };
    expect(await decide(air)).toMatchObject({ verdict: "on" });
  });

  test("the fix offers the target's own NextN layer where it has one", async () => {
    const verdict = await decide({
      target: { "llama.nextn_predict_layers": 1 },
      targetTensors: [nextn],
      draft: vocabulary(32, { 9: "x" }),
    });
    expect(verdict).toMatchObject({ fix: expect.stringContaining("draft.type: draft-mtp") });
  });

  test("without a draft model it is refused where some builds crash on that, else off", async () => {
    expect(await decideAlone("draft-simple")).toMatchObject({ verdict: "refuse", fix: "set draft.model" });
    expect(await decide({}, { draft: undefined, rule: "translate" })).toMatchObject({
      verdict: "off",
      llamaCpp: "serves-without-drafting",
    });
  });

  test("a head made for one target cannot draft alone", async () => {
    expect(await decide({ draft: { "general.architecture": "eagle3" } })).toMatchObject({
      verdict: "refuse",
      fix: expect.stringContaining("draft-eagle3"),
    });
  });

  test("a vocabulary that llama.cpp cannot load is refused before it is compared", async () => {
    const broken = { "tokenizer.ggml.token_type": [1] };
    expect(await decide({ draft: broken })).toMatchObject({
      verdict: "refuse",
      llamaCpp: "exits",
      reason: expect.stringContaining("the draft: "),
    });
    expect(await decide({ target: broken })).toMatchObject({
      verdict: "refuse",
      llamaCpp: "exits",
      reason: expect.stringContaining("the target: "),
    });
  });

  test("a list that is too short is refused on older builds, too, although they do not see it", async () => {
    const short = { draft: { "tokenizer.ggml.token_type": [1] } };
    expect(await decide(short, { rule: "translate" })).toMatchObject({ verdict: "refuse", llamaCpp: "drafts" });
    const absent = { draft: { ...short.draft, "tokenizer.ggml.tokens": 1 } };
    expect(await decide(absent, { rule: "translate" })).toMatchObject({ verdict: "refuse", llamaCpp: "exits" });
  });

  test("a file whose NextN layers were left out is loaded by newer builds only", async () => {
    const declared = { "llama.nextn_predict_layers": 1 };
    for (const sides of [{ target: declared }, { draft: declared }]) {
      expect(await decide(sides)).toMatchObject({ verdict: "on" });
      expect(await decide(sides, { rule: "translate" })).toMatchObject({ verdict: "refuse", llamaCpp: "exits" });
    }
  });
});

describe("warnings that llama.cpp does not give", () => {
  test.each<[string, Sides]>([
    ["the pre-tokenizers differ", { draft: { "tokenizer.ggml.pre": "qwen2" } }],
    ["the merges differ", { draft: { "tokenizer.ggml.merges": ["t o", "to ken"] } }],
    [
      "the token types differ",
      { draft: { "tokenizer.ggml.token_type": Array.from({ length: 32 }, (_, id) => (id === 9 ? 3 : 1)) } },
    ],
    ["the chat templates differ", { draft: { "tokenizer.chat_template": "{{ messages }}" } }],
    ["the eot tokens differ (target 2, draft 4)", { draft: { "tokenizer.ggml.eot_token_id": 4 } }],
    ["the eom tokens differ (target none, draft 4)", { draft: { "tokenizer.ggml.eom_token_id": 4 } }],
    ["the fim_pre tokens differ (target 3, draft none)", { target: { "tokenizer.ggml.fim_pre_token_id": 3 } }],
    ["the draft has no fewer parameters", { draftTensors: [{ name: "more", ne: [64, 64] }] }],
    ["the draft was trained for 256 tokens and the context is 512", { draft: { "llama.context_length": 256 } }],
  ])("%s", async (warning, sides) => {
    const verdict = await decide(sides);
    expect(verdict.verdict).toBe("on");
    expect(verdict.warnings).toEqual([expect.stringContaining(warning)]);
  });

  test("a draft's context is held against the one that is wanted", async () => {
    const sides = { draft: { "llama.context_length": 256 } };
    expect((await decide(sides, { ctxSize: 256 })).warnings).toEqual([]);
    expect((await decide(sides, { ctxSize: 0 })).warnings).toHaveLength(1);
    expect((await decide(sides, { ctxSize: 300 })).warnings).toEqual([expect.stringContaining("the context is 300")]);
  });
});

describe("draft-mtp", () => {
  const declared = { "llama.nextn_predict_layers": 1 };

  test("drafts with the target's own NextN layer", async () => {
    expect(await decideAlone("draft-mtp", { target: declared, targetTensors: [nextn] })).toMatchObject({
      verdict: "on",
    });
  });

  test("is refused where there is none, or where its tensors were left out", async () => {
    expect(await decideAlone("draft-mtp")).toMatchObject({ verdict: "refuse", llamaCpp: "exits" });
    expect(await decideAlone("draft-mtp", { target: declared })).toMatchObject({
      verdict: "refuse",
      llamaCpp: "aborts",
    });
  });

  test("takes a head of the target's width only", async () => {
    const head = { draft: declared, draftTensors: [nextn] };
    expect(await decide(head, { type: "draft-mtp" })).toMatchObject({ verdict: "on" });
    const narrow = { draft: { ...declared, "llama.embedding_length": 32 }, draftTensors: [nextn] };
    expect(await decide(narrow, { type: "draft-mtp" })).toMatchObject({ verdict: "refuse", llamaCpp: "aborts" });
    expect(await decide({}, { type: "draft-mtp" })).toMatchObject({ verdict: "refuse", llamaCpp: "exits" });
  });

  test("does not exist in older builds", async () => {
    expect(await decide({}, { type: "draft-mtp", rule: "translate" })).toMatchObject({
      verdict: "refuse",
      llamaCpp: "exits",
    });
  });
});

describe("heads made for one target", () => {
  const eagle = (overrides: Record<string, Part> = {}): Sides => ({
    draft: {
      "general.architecture": "eagle3",
      "eagle3.target_hidden_size": 64,
      "eagle3.target_layers": [0, 1, 2],
      ...overrides,
    },
  });

  test("an eagle3 head drafts for a target of its width and depth", async () => {
    expect(await decide(eagle(), { type: "draft-eagle3" })).toMatchObject({ verdict: "on" });
    expect(await decide(eagle({ "eagle3.target_hidden_size": 128 }), { type: "draft-eagle3" })).toMatchObject({
      verdict: "refuse",
      llamaCpp: "aborts",
    });
    expect(await decide(eagle({ "eagle3.target_layers": [0, 1, 3] }), { type: "draft-eagle3" })).toMatchObject({
      verdict: "refuse",
    });
  });

  test("a whole model is no head", async () => {
    expect(await decide({}, { type: "draft-eagle3" })).toMatchObject({
      verdict: "off",
      llamaCpp: "serves-without-drafting",
    });
    expect(await decide({}, { type: "draft-dflash" })).toMatchObject({ verdict: "refuse", llamaCpp: "aborts" });
    expect(await decideAlone("draft-eagle3")).toMatchObject({ verdict: "off", fix: "set draft.model" });
  });

  test("a dflash head has the width of its target", async () => {
    const head = {
      draft: { "general.architecture": "dflash", "dflash.embedding_length": 64, "dflash.target_layers": [1] },
    };
    expect(await decide(head, { type: "draft-dflash" })).toMatchObject({ verdict: "on" });
    expect(await decide({ ...head, target: { "llama.embedding_length": 96 } }, { type: "draft-dflash" })).toMatchObject(
      {
        verdict: "refuse",
      },
    );
  });
});

describe("other drafting types", () => {
  test("ngram types need no draft model, and a draft model without use is reported", async () => {
    expect(await decideAlone("ngram-mod")).toEqual({ verdict: "on", llamaCpp: "drafts", warnings: [] });
    expect((await decide({}, { type: "ngram-mod,ngram-cache" })).warnings).toEqual([
      expect.stringContaining("the draft model is never used"),
    ]);
  });

  test("in a list, the failing type decides", async () => {
    const sides = { draft: vocabulary(32, { 9: "other" }) };
    expect(await decide(sides, { type: "ngram-mod,draft-simple" })).toMatchObject({ verdict: "off" });
    expect(await decide({}, { type: "ngram-mod,draft-simple" })).toEqual({
      verdict: "on",
      llamaCpp: "drafts",
      warnings: [],
    });
  });

  test("none is off", async () => {
    expect(await decideAlone("none")).toMatchObject({ verdict: "off" });
  });

  test("an unknown type is not judged, and a warning says so", async () => {
    expect((await decideAlone("draft-new")).warnings).toEqual([
      'llmctl does not know the drafting type "draft-new"; the models were not compared',
    ]);
  });
});

test("the rule of a build follows from its flags", () => {
  const flags = (...names: string[]) => vocabRuleFromFlags((flag) => names.includes(flag));
  expect(flags("--model-draft", "--draft-max")).toBe("refuse");
  expect(flags("--model-draft", "--draft-max", "--spec-replace")).toBe("translate");
  expect(flags("--model-draft", "--spec-draft-n-max", "--spec-type")).toBe("strict");
});
