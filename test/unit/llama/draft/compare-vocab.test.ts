import { describe, expect, test } from "vitest";
import type { TokenizerFacts } from "../../../../src/gguf/tokenizer-facts.ts";
import type { VocabRule } from "../../../../src/llama/draft/build-vocab-rule.ts";
import {
  describeDifference,
  findMismatch,
  findTokenDifference,
  type VocabMismatch,
} from "../../../../src/llama/draft/compare-vocab.ts";
import { textArray, tokenizer } from "../../../support/tokenizer.ts";

type Facts = Partial<TokenizerFacts>;

const rules = ["strict", "translate", "refuse"] as const;
const older = ["translate", "refuse"] as const;

const mismatch = (kind: VocabMismatch["kind"], reason: string): VocabMismatch => ({ kind, reason });
const types = (target: string, draft: string) =>
  mismatch("type", `the vocabularies are of different types: target ${target}, draft ${draft}`);

describe("two vocabularies", () => {
  const differ = (role: "bos" | "eos", target: string, draft: string) =>
    mismatch(role, `the ${role} tokens differ: target ${target}, draft ${draft}`);
  const size = (target: number, draft: number) =>
    mismatch("size", `the vocabularies differ in size by 129: target ${target}, draft ${draft} tokens`);
  const none: Facts = { vocabType: "none" };
  const unknown = (model: string): Facts => ({ vocabType: "unknown", model });

  test.each<[string, readonly VocabRule[], Facts, Facts, VocabMismatch | undefined]>([
    ["that are alike match", rules, {}, {}, undefined],
    ["of two types do not match", ["strict"], {}, { vocabType: "SPM" }, types("BPE", "SPM")],
    ["of two types match on older builds", older, {}, { vocabType: "SPM" }, undefined],
    ["of which the draft's is absent do not match", rules, {}, none, types("BPE", "none")],
    ["of which the target's is absent do not match", rules, none, {}, types("none", "BPE")],
    ["that are both absent match", rules, none, none, undefined],
    ["of one known type match, whatever the names of their tokenizers", ["strict"], {}, { model: "x" }, undefined],
    ["of one unknown tokenizer match", rules, unknown("x"), unknown("x"), undefined],
    ["of two unknown tokenizers do not match", ["strict"], unknown("x"), unknown("y"), types('"x"', '"y"')],
    ["of two unknown tokenizers match on older builds", older, unknown("x"), unknown("y"), undefined],
    [
      "of an unknown tokenizer without a name and a known type do not match",
      ["strict"],
      { vocabType: "unknown", model: undefined },
      {},
      types('""', "BPE"),
    ],
    ["with other bos ids match when neither is added", ["strict"], { bosId: 1 }, { bosId: 3 }, undefined],
    ["with other eos ids match when neither is added", ["strict"], { eosId: 1 }, { eosId: 3 }, undefined],
    [
      "with other bos ids do not match on older builds",
      older,
      { bosId: 1 },
      { bosId: 3 },
      differ("bos", "1, not added", "3, not added"),
    ],
    [
      "with other eos ids do not match on older builds",
      older,
      { eosId: 1 },
      { eosId: undefined },
      differ("eos", "1, not added", "none, not added"),
    ],
    [
      "with other bos ids do not match when they are added",
      rules,
      { addBos: true, bosId: 1 },
      { addBos: true, bosId: 3 },
      differ("bos", "1, added", "3, added"),
    ],
    [
      "with other eos ids do not match when they are added",
      rules,
      { addEos: true, eosId: 1 },
      { addEos: true, eosId: 3 },
      differ("eos", "1, added", "3, added"),
    ],
    ["with one bos that both add match", rules, { addBos: true }, { addBos: true }, undefined],
    ["with one eos that both add match", rules, { addEos: true }, { addEos: true }, undefined],
    [
      "of which only the target adds bos do not match",
      rules,
      { addBos: true },
      {},
      differ("bos", "1, added", "1, not added"),
    ],
    [
      "of which only the draft adds eos do not match",
      rules,
      {},
      { addEos: true },
      differ("eos", "2, not added", "2, added"),
    ],
    ["with 128 more tokens in the draft match", rules, {}, { tokenCount: 1128 }, undefined],
    ["with 128 more tokens in the target match", rules, { tokenCount: 1128 }, {}, undefined],
    ["with 129 more tokens in the draft do not match", rules, {}, { tokenCount: 1129 }, size(1000, 1129)],
    ["with 129 more tokens in the target do not match", rules, { tokenCount: 1129 }, {}, size(1129, 1000)],
  ])("%s (%j)", (_, which, target, draft, expected) => {
    for (const rule of which)
      expect(findMismatch(tokenizer(target), tokenizer(draft), rule, undefined)).toEqual(expected);
  });

  const other = { id: 9, target: "a", draft: "b" };
  // The same pair has one fault more in each row: the first that llama.cpp finds is told.
  test.each<[Facts, VocabMismatch["kind"]]>([
    [{}, "text"],
    [{ tokenCount: 2000 }, "size"],
    [{ tokenCount: 2000, addEos: true }, "eos"],
    [{ tokenCount: 2000, addEos: true, addBos: true }, "bos"],
    [{ tokenCount: 2000, addEos: true, addBos: true, vocabType: "none" }, "type"],
  ])("with the faults %j: llama.cpp names the %s", (draft, kind) => {
    for (const rule of rules) expect(findMismatch(tokenizer(), tokenizer(draft), rule, other)?.kind).toBe(kind);
  });

  test("with a token of another text do not match, and the reason names it", () => {
    expect(findMismatch(tokenizer(), tokenizer(), "strict", other)).toEqual(
      mismatch("text", 'token 9 differs: target "a", draft "b"'),
    );
  });
});

describe("a differing token", () => {
  const tokens = (texts: readonly string[], layout = {}) => tokenizer({ tokens: textArray(texts, layout) });
  const letters = ["a", "b", "c", "d"];

  test.each<[string, readonly string[], readonly string[], number, number | undefined, number | undefined]>([
    ["none in equal lists", letters, letters, 0, undefined, undefined],
    ["the first of two", letters, ["a", "x", "c", "y"], 0, undefined, 1],
    ["at the start of the range", letters, ["a", "x", "c", "d"], 1, undefined, 1],
    ["not before the range", letters, ["a", "x", "c", "d"], 2, undefined, undefined],
    ["at the end of the range", letters, ["a", "x", "c", "d"], 0, 2, 1],
    ["not behind the range", letters, ["a", "x", "c", "d"], 0, 1, undefined],
    ["not behind the end of the shorter list", letters, ["a", "b"], 0, undefined, undefined],
    ["… whichever is the shorter one", ["a", "b"], letters, 0, undefined, undefined],
    ["in the shorter list", letters, ["a", "x"], 0, undefined, 1],
    ["none in empty lists", [], [], 0, undefined, undefined],
  ])("%s", (_, target, draft, from, to, id) => {
    const found = id === undefined ? undefined : { id, target: target[id], draft: draft[id] };
    expect(findTokenDifference(tokens(target), tokens(draft), from, to)).toEqual(found);
  });

  test.each<[string, string, string, boolean]>([
    ["texts end at their first NUL", "a\0b", "a\0c", true],
    ["… and differ before it", "a\0b", "c\0b", false],
    ["… and are longer without one", "a", "a\0", true],
    ["an empty text is [EMPTY_id]", "", "[EMPTY_1]", true],
    ["… with its own id", "", "[EMPTY_0]", false],
    ["a text that begins with NUL is empty", "\0x", "", true],
    ["texts may differ in their end only", "ab", "ac", false],
    ["… or be the beginning of the other", "ab", "a", false],
  ])("%s: %j and %j", (_, ours, theirs, same) => {
    for (const [target, draft] of [
      [ours, theirs],
      [theirs, ours],
    ] as const)
      expect(findTokenDifference(tokens(["x", target]), tokens(["x", draft]), 0) === undefined).toBe(same);
  });

  test("has the texts that llama.cpp compares", () => {
    expect(findTokenDifference(tokens(["", "\0"]), tokens(["ü\0more", ""]), 0)).toEqual({
      id: 0,
      target: "[EMPTY_0]",
      draft: "ü",
    });
  });

  test("is found in files of other byte orders and versions", () => {
    for (const layout of [{ lengthBytes: 4 }, { littleEndian: false }, { lengthBytes: 4, littleEndian: false }]) {
      expect(findTokenDifference(tokens(letters), tokens(letters, layout), 0)).toBeUndefined();
      expect(findTokenDifference(tokens(letters), tokens(["a", "b", "x", "d"], layout), 0)?.id).toBe(2);
    }
  });

  test("needs a list of tokens on both sides", () => {
    expect(findTokenDifference(tokens(letters), tokenizer(), 0)).toBeUndefined();
    expect(findTokenDifference(tokenizer(), tokens(letters), 0)).toBeUndefined();
  });

  test("is described in quotes, cut after 60 characters, without control characters", () => {
    const describe = (target: string, draft: string) => describeDifference({ id: 7, target, draft });
    expect(describe("x".repeat(60), "x".repeat(61))).toBe(
      `token 7 differs: target "${"x".repeat(60)}", draft "${"x".repeat(60)}…"`,
    );
    expect(describe('"', "\u001b[2J")).toBe(String.raw`token 7 differs: target "\"", draft "\u001b[2J"`);
  });
});
