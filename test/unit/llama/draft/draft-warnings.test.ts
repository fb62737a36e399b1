import { expect, test } from "vitest";
import type { ModelFacts } from "../../../../src/gguf/model-facts.ts";
import type { TokenizerFacts } from "../../../../src/gguf/tokenizer-facts.ts";
import { findPairWarnings } from "../../../../src/llama/draft/draft-warnings.ts";
import { textArray, tokenizer } from "../../../support/tokenizer.ts";

type Changes = Partial<Omit<ModelFacts, "tokenizer">> & { readonly tokenizer?: Partial<TokenizerFacts> };

function model(changes: Changes, parameters: number): ModelFacts {
  return {
    shards: [],
    sizeBytes: 0,
    architecture: "llama",
    name: undefined,
    parameters,
    quant: undefined,
    layers: 2,
    nextnLayers: 0,
    hasNextnTensors: false,
    contextLength: 512,
    embeddingLength: 64,
    outputLength: 64,
    heads: undefined,
    kvHeads: undefined,
    kvBytesPerToken: undefined,
    slidingWindow: undefined,
    experts: undefined,
    expertsUsed: undefined,
    chatTemplateHash: undefined,
    ...changes,
    tokenizer: tokenizer(changes.tokenizer),
  };
}

function warnings(target: Changes = {}, draft: Changes = {}, ctxSize?: number): string[] {
  return findPairWarnings(model(target, 1000), model(draft, 999), ctxSize);
}

const texts = textArray(["a", "b", "c", "d", "e", "f"]);
const numbers = (values: readonly number[]) => ({
  type: "array" as const,
  elementType: "int32" as const,
  count: values.length,
  bytes: new Uint8Array(new Int32Array(values).buffer),
  littleEndian: true,
  lengthBytes: 8 as const,
});

const merges = "the merges differ: the draft was trained on text that was split differently";
const tokenTypes = "the token types differ: a control token of one model may be text in the other";
const templates = "the chat templates differ: the draft may not have been trained on prompts in this form";
const parameters = "the draft has no fewer parameters than the target: drafting will hardly be faster than no drafting";
const context = (length: number, wanted: number) =>
  `the draft was trained for ${length} tokens and the context is ${wanted}: ` +
  "beyond its length few of its tokens will be accepted";

test.each<[string, Changes, Changes, string[]]>([
  ["a pair that is alike", {}, {}, []],
  [
    "two types of vocabulary",
    {},
    { tokenizer: { vocabType: "SPM" } },
    ["the vocabularies are of different types (target BPE, draft SPM)"],
  ],
  [
    "a tokenizer that llmctl does not know",
    { tokenizer: { vocabType: "unknown", model: "x" } },
    { tokenizer: { vocabType: "unknown", model: "x" } },
    ['llmctl does not know the tokenizer "x"; only its tokens were compared'],
  ],
  [
    "two pre-tokenizers",
    {},
    { tokenizer: { pre: "qwen2" } },
    [
      'the pre-tokenizers differ (target "gpt-2", draft "qwen2"): ' +
        "the draft was trained on text that was split differently",
    ],
  ],
  ["other merges", { tokenizer: { merges: texts } }, { tokenizer: { merges: textArray(["a b"]) } }, [merges]],
  ["merges of the draft alone", {}, { tokenizer: { merges: texts } }, [merges]],
  ["merges of the target alone", { tokenizer: { merges: texts } }, {}, [merges]],
  [
    "the same merges in another byte order",
    { tokenizer: { merges: texts } },
    { tokenizer: { merges: textArray(["a", "b", "c", "d", "e", "f"], { littleEndian: false }) } },
    [],
  ],
  [
    "other token types",
    { tokenizer: { tokenTypes: numbers([1, 1]) } },
    { tokenizer: { tokenTypes: numbers([1, 3]) } },
    [tokenTypes],
  ],
  ["token types of one model alone", { tokenizer: { tokenTypes: numbers([1, 1]) } }, {}, [tokenTypes]],
  [
    "the first token",
    { tokenizer: { tokens: texts } },
    { tokenizer: { tokens: textArray(["x", "b", "c", "d", "e", "f"]) } },
    ['token 0 differs: target "a", draft "x"; llama.cpp does not compare the first 5 tokens'],
  ],
  [
    "the last token that llama.cpp does not compare",
    { tokenizer: { tokens: texts } },
    { tokenizer: { tokens: textArray(["a", "b", "c", "d", "x", "f"]) } },
    ['token 4 differs: target "e", draft "x"; llama.cpp does not compare the first 5 tokens'],
  ],
  [
    "the first token that llama.cpp compares",
    { tokenizer: { tokens: texts } },
    { tokenizer: { tokens: textArray(["a", "b", "c", "d", "e", "x"]) } },
    [],
  ],
  [
    "the end of a text",
    { tokenizer: { eosId: 2 } },
    { tokenizer: { eosId: 3 } },
    ["the eos tokens differ (target 2, draft 3)"],
  ],
  ["the end of a turn", { tokenizer: { eotId: 2 } }, {}, ["the eot tokens differ (target 2, draft none)"]],
  ["the end of a message", {}, { tokenizer: { eomId: 4 } }, ["the eom tokens differ (target none, draft 4)"]],
  [
    "tokens for fill-in-the-middle",
    { tokenizer: { fimIds: { pre: 3, suf: 4, mid: 5 } } },
    { tokenizer: { fimIds: { pre: 3, suf: 5, pad: 6 } } },
    [
      "the fim_suf tokens differ (target 4, draft 5)",
      "the fim_mid tokens differ (target 5, draft none)",
      "the fim_pad tokens differ (target none, draft 6)",
    ],
  ],
  ["the bos id, which is compared by llama.cpp itself", {}, { tokenizer: { bosId: 3 } }, []],
  ["another chat template", { chatTemplateHash: "a" }, { chatTemplateHash: "b" }, [templates]],
  ["a chat template of the target alone", { chatTemplateHash: "a" }, {}, [templates]],
  ["the same chat template", { chatTemplateHash: "a" }, { chatTemplateHash: "a" }, []],
  ["a draft of the same size", {}, { parameters: 1000 }, [parameters]],
  ["a larger draft", {}, { parameters: 1001 }, [parameters]],
  ["a shorter training context", {}, { contextLength: 511 }, [context(511, 512)]],
  ["a longer training context", {}, { contextLength: 513 }, []],
  ["a target of unknown training context", { contextLength: undefined }, { contextLength: 1 }, []],
  ["a draft of unknown training context", {}, { contextLength: undefined }, []],
])("%s", (_, target, draft, expected) => {
  expect(warnings(target, draft)).toEqual(expected);
});

test.each<[number | undefined, string[]]>([
  [undefined, [context(256, 512)]],
  [0, [context(256, 512)]],
  [256, []],
  [257, [context(256, 257)]],
])("the draft's context is compared with the wanted one, here %s", (ctxSize, expected) => {
  expect(warnings({}, { contextLength: 256 }, ctxSize)).toEqual(expected);
});

test("all differences are told, those of the tokenizer first", () => {
  const target = { tokenizer: { merges: texts } };
  const draft = { chatTemplateHash: "a", contextLength: 1, parameters: 2000, tokenizer: { eotId: 2 } };
  expect(warnings(target, draft)).toEqual([
    merges,
    "the eot tokens differ (target none, draft 2)",
    templates,
    parameters,
    context(1, 512),
  ]);
});
