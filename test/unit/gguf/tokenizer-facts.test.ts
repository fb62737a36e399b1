import { describe, expect, test } from "vitest";
import { readTokenizerFacts, type TokenizerFacts } from "../../../src/gguf/tokenizer-facts.ts";
import type { Part } from "../../support/gguf-builder.ts";
import { modelFrom } from "../../support/gguf-builder.ts";

/** Facts from the keys of `tokenizer.ggml`; a key with a dot is whole. */
async function facts(keys: Readonly<Record<string, Part>>): Promise<TokenizerFacts> {
  const metadata = Object.fromEntries(
    Object.entries(keys).map(([key, part]) => [key.includes(".") ? key : `tokenizer.ggml.${key}`, part]),
  );
  return readTokenizerFacts((await modelFrom({ metadata })).header);
}

const tokens = (count: number) => Array.from({ length: count }, (_, id) => `t${id}`);
const bpe = { model: "gpt2", pre: "gpt-2", tokens: tokens(32), merges: ["a b"] };

test("a file without a tokenizer has no facts, and does not load", async () => {
  expect(await facts({})).toEqual({
    vocabType: "unknown",
    tokenCount: 0,
    mergeCount: 0,
    addBos: false,
    addEos: false,
    fimIds: {},
    loadProblem: "it has no tokenizer (tokenizer.ggml.model is absent)",
    olderBuildsLoad: false,
  });
});

test("every fact has its key", async () => {
  const found = await facts({
    ...bpe,
    token_type: tokens(32).map(() => 1),
    add_bos_token: true,
    add_eos_token: true,
    bos_token_id: 1,
    eos_token_id: 2,
    eot_token_id: 3,
    eom_token_id: 31,
    fim_pre_token_id: 4,
    fim_suf_token_id: 5,
    fim_mid_token_id: 6,
    fim_pad_token_id: 7,
    fim_rep_token_id: 8,
    fim_sep_token_id: 0,
  });
  const shown = {
    ...found,
    tokens: found.tokens?.count,
    merges: found.merges?.count,
    tokenTypes: found.tokenTypes?.count,
  };
  expect(shown).toEqual({
    vocabType: "BPE",
    model: "gpt2",
    pre: "gpt-2",
    tokenCount: 32,
    mergeCount: 1,
    tokens: 32,
    merges: 1,
    tokenTypes: 32,
    addBos: true,
    addEos: true,
    bosId: 1,
    eosId: 2,
    eotId: 3,
    eomId: 31,
    fimIds: { pre: 4, suf: 5, mid: 6, pad: 7, rep: 8, sep: 0 },
    loadProblem: undefined,
    olderBuildsLoad: true,
  });
});

test.each(["bos", "eos", "eot", "eom", "fim_pre", "fim_sep"])(
  "the id %s outside the vocabulary is ignored",
  async (role) => {
    const idOf = async (id: Part) => {
      const found = await facts({ ...bpe, [`${role}_token_id`]: id });
      const ids: Readonly<Record<string, unknown>> = role.startsWith("fim_") ? found.fimIds : { ...found };
      return ids[role.startsWith("fim_") ? role.slice(4) : `${role}Id`];
    };
    const standard = role === "bos" || role === "eos" ? 11 : undefined;
    expect(await idOf(31)).toBe(31);
    expect(await idOf(0)).toBe(0);
    expect(await idOf(32)).toBe(standard);
    expect(await idOf({ type: "int32", value: -1 })).toBe(standard);
  },
);

test("a default outside the vocabulary is ignored", async () => {
  expect(await facts({ ...bpe, tokens: tokens(12) })).toMatchObject({ bosId: 11, eosId: 11 });
  expect(await facts({ ...bpe, tokens: tokens(11) })).toMatchObject({ bosId: undefined, eosId: undefined });
});

describe("the kind of a tokenizer", () => {
  test.each([
    ["none", "none", undefined],
    ["no_vocab", "none", undefined],
    ["llama", "SPM", undefined],
    ["gpt2", "BPE", "gpt-2"],
    ["hybriddna", "BPE", "gpt-2"],
    ["whitespace", "BPE", "gpt-2"],
    ["gemma4", "BPE", "gemma4"],
    ["bert", "WPM", undefined],
    ["t5", "UGM", undefined],
    ["rwkv", "RWKV", undefined],
    ["plamo2", "PLAMO2", undefined],
    ["new-one", "unknown", undefined],
    ["constructor", "unknown", undefined],
  ])("%s is %s, with the pre-tokenizer %s", async (model, vocabType, pre) => {
    expect(await facts({ ...bpe, model })).toMatchObject({ model, vocabType, pre });
  });

  test("none has as many tokens as the architecture says, and no list", async () => {
    const none = { model: "no_vocab", "general.architecture": "a", tokens: tokens(3), add_bos_token: true };
    expect(await facts({ ...none, "a.vocab_size": 99 })).toMatchObject({
      tokenCount: 99,
      tokens: undefined,
      addBos: false,
      addEos: false,
      loadProblem: undefined,
      olderBuildsLoad: true,
    });
    expect(await facts({ ...none, scores: "no list" })).toMatchObject({ tokenCount: 0, loadProblem: undefined });
    expect(await facts({ ...none, "a.vocab_size": 5, bos_token_id: 4, eos_token_id: 5 })).toMatchObject({
      bosId: 4,
      eosId: undefined,
    });
  });
});

describe("the tokens that llama.cpp takes when no key names them", () => {
  test.each([
    ["llama", { vocabType: "SPM", bosId: 1, eosId: 2, addBos: true, addEos: false }],
    ["gpt2", { vocabType: "BPE", bosId: 11, eosId: 11, addBos: false, addEos: false }],
    ["gemma4", { vocabType: "BPE", bosId: undefined, eosId: undefined, addBos: true, addEos: false }],
    ["bert", { vocabType: "WPM", bosId: 101, eosId: undefined, addBos: true, addEos: false }],
    ["t5", { vocabType: "UGM", bosId: undefined, eosId: 1, addBos: false, addEos: true }],
    ["rwkv", { vocabType: "RWKV", bosId: undefined, eosId: undefined, addBos: false, addEos: false }],
    ["plamo2", { vocabType: "PLAMO2", bosId: 1, eosId: 2, addBos: false, addEos: false }],
    ["no_vocab", { vocabType: "none", bosId: undefined, eosId: undefined, addBos: false, addEos: false }],
  ])("tokenizer %s", async (model, expected) => {
    expect(await facts({ ...bpe, model, tokens: tokens(200) })).toMatchObject({ ...expected, loadProblem: undefined });
  });
});

describe("a token is added", () => {
  test.each([
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "falcon-h1",
    "pixtral",
    "midm-2.0",
    "lfm2",
    "jina-v5-nano",
    "tekken",
    "chameleon",
  ])("at the start by the pre-tokenizer %s, unless a key says otherwise", async (pre) => {
    expect(await facts({ ...bpe, pre })).toMatchObject({ addBos: true, addEos: false, bosId: 11 });
    expect(await facts({ ...bpe, pre, add_bos_token: false })).toMatchObject({ addBos: false });
    expect(await facts({ ...bpe, model: "rwkv", pre })).toMatchObject({ addBos: false });
  });

  test.each(["gemma4", "granite-embed-multi-311m"])("at the start by %s, whatever the key says", async (pre) => {
    expect(await facts({ ...bpe, pre, add_bos_token: false })).toMatchObject({ addBos: true });
  });

  test.each(["glm4", "chatglm-bpe"])("by %s only when its id has a key", async (pre) => {
    expect(await facts({ ...bpe, pre })).toMatchObject({ bosId: undefined, eosId: 11 });
    expect(await facts({ ...bpe, pre, bos_token_id: 3 })).toMatchObject({ bosId: 3 });
  });

  test.each([
    ["llama", { addBos: true, addEos: false }],
    ["bert", { addBos: true, addEos: false }],
    ["t5", { addBos: false, addEos: true }],
    ["gpt2", { addBos: false, addEos: false }],
  ])("by %s as llama.cpp does, unless its keys say otherwise", async (model, standard) => {
    expect(await facts({ ...bpe, model })).toMatchObject(standard);
    for (const value of [true, false])
      expect(await facts({ ...bpe, model, add_bos_token: value, add_eos_token: value })).toMatchObject({
        addBos: value,
        addEos: value,
      });
  });
});

describe("the end of a turn", () => {
  const withTexts = (...texts: string[]) => facts({ ...bpe, tokens: ["first", ...texts, ...tokens(20)] });

  test.each([
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
  ])("is the only token %s", async (text) => {
    expect((await withTexts(text)).eotId).toBe(1);
    expect((await withTexts("x", text)).eotId).toBe(2);
    expect((await withTexts(`${text}x`, `x${text}`, text.replace("E", "e").slice(1))).eotId).toBeUndefined();
    expect((await withTexts(text, text)).eotId).toBeUndefined();
    expect((await facts({ ...bpe, tokens: [text, ...tokens(9)], eot_token_id: 5 })).eotId).toBe(5);
  });

  test("is not known where two tokens may be it", async () => {
    expect((await withTexts("<|im_end|>", "[EOT]")).eotId).toBeUndefined();
  });

  test("is not another token of the same length", async () => {
    expect((await withTexts("<|im_enD|>", "x<|im_end|>")).eotId).toBeUndefined();
  });

  test("of a message has one text, and a key", async () => {
    expect(await withTexts("<|eom_id|>")).toMatchObject({ eomId: 1, eotId: undefined });
    expect((await withTexts("x<|eom_id|>")).eomId).toBeUndefined();
    expect((await facts({ ...bpe, tokens: ["<|eom_id|>", ...tokens(9)], eom_token_id: 5 })).eomId).toBe(5);
  });
});

describe("a vocabulary", () => {
  const without = (key: keyof typeof bpe) => Object.fromEntries(Object.entries(bpe).filter(([name]) => name !== key));

  test.each<readonly [string, Readonly<Record<string, Part>>, string]>([
    ["without a tokenizer", without("model"), "it has no tokenizer (tokenizer.ggml.model is absent)"],
    ["without tokens", without("tokens"), "it has no list of tokens"],
    ["with numbers for tokens", { ...bpe, tokens: [1, 2] }, "it has no list of tokens"],
    ["without merges", without("merges"), "its BPE tokenizer has no merges"],
    ["with one text for merges", { ...bpe, merges: "a b" }, "its BPE tokenizer has no merges"],
    ["with a flag that is a number", { ...bpe, add_bos_token: 1 }, "tokenizer.ggml.add_bos_token is uint32, not bool"],
    [
      "with another flag that is text",
      { ...bpe, add_eos_token: "yes" },
      "tokenizer.ggml.add_eos_token is string, not bool",
    ],
  ])("%s does not load, in older builds, too", async (_, keys, loadProblem) => {
    expect(await facts(keys)).toMatchObject({ loadProblem, olderBuildsLoad: false });
  });

  test.each(
    (
      "bos eos eot eom unknown seperator padding mask prefix suffix middle " +
      "fim_pre fim_suf fim_mid fim_pad fim_rep fim_sep"
    ).split(" "),
  )("with the id %s as int32 does not load", async (role) => {
    const key = `tokenizer.ggml.${role}_token_id`;
    expect(await facts({ ...bpe, [key]: { type: "int32", value: 1 } })).toMatchObject({
      loadProblem: `${key} is int32, not uint32`,
      olderBuildsLoad: false,
    });
    expect(await facts({ ...bpe, [key]: 1 })).toMatchObject({ loadProblem: undefined, olderBuildsLoad: true });
  });

  const floats = (count: number): Part => ({
    type: "array",
    elementType: "float32",
    values: tokens(count).map(() => 0),
  });

  test.each<readonly [string, Readonly<Record<string, Part>>, string]>([
    [
      "too few types",
      { token_type: tokens(31).map(() => 1) },
      "tokenizer.ggml.token_type has 31 entries for 32 tokens",
    ],
    ["too few scores", { scores: floats(31) }, "tokenizer.ggml.scores has 31 entries for 32 tokens"],
    ["scores that are text", { scores: ["x"] }, "tokenizer.ggml.scores is string, not a list of float32 or int32"],
    ["types that are no list", { token_type: 1 }, "tokenizer.ggml.token_type is uint32, not a list of int32"],
    [
      "one type of the right kind",
      { token_type: { type: "int32", value: 1 } },
      "tokenizer.ggml.token_type is int32, not a list of int32",
    ],
    [
      "types that are fractions",
      { token_type: floats(32) },
      "tokenizer.ggml.token_type is float32, not a list of int32",
    ],
  ])("with %s does not load, but older builds try to", async (_, keys, loadProblem) => {
    expect(await facts({ ...bpe, ...keys })).toMatchObject({ loadProblem, olderBuildsLoad: true });
  });

  test.each<readonly [string, Readonly<Record<string, Part>>]>([
    ["as many scores as tokens", { scores: floats(32), token_type: tokens(32).map(() => 1) }],
    ["more scores than tokens", { scores: floats(33) }],
    ["scores that are whole numbers", { scores: tokens(32).map(() => 1) }],
    ["no merges, where kimi-k2 needs none", { pre: "kimi-k2", merges: "none" }],
    ["no merges, where only BPE needs them", { model: "llama", merges: "none" }],
    ["a tokenizer that is newer than llmctl", { model: "new-one" }],
  ])("with %s loads", async (_, keys) => {
    expect(await facts({ ...bpe, ...keys })).toMatchObject({ loadProblem: undefined, olderBuildsLoad: true });
  });

  test("without merges has none", async () => {
    expect(await facts({ ...bpe, merges: [1, 2] })).toMatchObject({ mergeCount: 0, merges: undefined });
  });
});
