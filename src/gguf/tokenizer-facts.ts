import { TextWalker } from "./gguf-array.ts";
import type { GgufArray } from "./gguf-array.ts";
import { findArray, findBoolean, findInteger, findText } from "./metadata.ts";
import type { GgufHeader } from "./gguf-header.ts";

/** The vocabulary types of llama.cpp; `unknown` is a tokenizer that is not in this table. */
type VocabType = "none" | "SPM" | "BPE" | "WPM" | "UGM" | "RWKV" | "PLAMO2" | "unknown";

/** A model's tokenizer as llama.cpp sees it, with its defaults for absent keys. */
export interface TokenizerFacts {
  readonly vocabType: VocabType;
  /** `tokenizer.ggml.model`. */
  readonly model: string | undefined;
  /** Pre-tokenizer; only BPE vocabularies have one. */
  readonly pre: string | undefined;
  readonly tokenCount: number;
  readonly mergeCount: number;
  /** Undecoded; undefined when the vocabulary has no list of tokens. */
  readonly tokens: GgufArray | undefined;
  readonly merges: GgufArray | undefined;
  readonly tokenTypes: GgufArray | undefined;
  readonly addBos: boolean;
  readonly addEos: boolean;
  /** Undefined means that the vocabulary has no such token. */
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** End of turn and end of message: from their keys, else by the usual texts if exactly one of them is a token. */
  readonly eotId: number | undefined;
  readonly eomId: number | undefined;
  /** Fill-in-the-middle roles that have a key, by role. */
  readonly fimIds: Readonly<Record<string, number>>;
  /** The reason for which llama.cpp would refuse this vocabulary, as far as the header shows. */
  readonly loadProblem: string | undefined;
  /** Whether older builds, and builds that translate between vocabularies, miss the problem and read past a list. */
  readonly olderBuildsLoad: boolean;
}

interface Defaults {
  readonly vocabType: VocabType;
  readonly bosId?: number;
  readonly eosId?: number;
  readonly addBos?: true;
  readonly addEos?: true;
}

const bpe: Defaults = { vocabType: "BPE", bosId: 11, eosId: 11 };

/** Defaults by `tokenizer.ggml.model`. @see llama.cpp src/llama-vocab.cpp `llama_vocab::impl::load`, v0.5.0 */
const defaultsByModel: Readonly<Record<string, Defaults>> = {
  none: { vocabType: "none" },
  no_vocab: { vocabType: "none" },
  llama: { vocabType: "SPM", bosId: 1, eosId: 2, addBos: true },
  gpt2: bpe,
  hybriddna: bpe,
  whitespace: bpe,
  gemma4: { vocabType: "BPE" },
  bert: { vocabType: "WPM", bosId: 101, addBos: true },
  t5: { vocabType: "UGM", eosId: 1, addEos: true },
  rwkv: { vocabType: "RWKV" },
  plamo2: { vocabType: "PLAMO2", bosId: 1, eosId: 2 },
};

/** Pre-tokenizers that add a bos token unless a key says otherwise. */
const preWithBos = new Set([
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
]);

/** Pre-tokenizers without the default bos token of BPE. */
const preWithoutBosId = new Set(["glm4", "chatglm-bpe"]);

/** Pre-tokenizers that add a bos token even where a key says not to. */
const preForcingBos = new Set(["gemma4", "granite-embed-multi-311m"]);

/** Texts that make a token the end of a turn when `eot_token_id` is absent. */
const eotTexts = [
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
];

const fimRoles = ["pre", "suf", "mid", "pad", "rep", "sep"] as const;

export function readTokenizerFacts(header: GgufHeader): TokenizerFacts {
  const model = findText(header, "tokenizer.ggml.model");
  const defaults = findDefaults(model);
  const pre =
    defaults.vocabType !== "BPE" ? undefined : model === "gemma4" ? "gemma4" : findText(header, "tokenizer.ggml.pre");
  const tokens = defaults.vocabType === "none" ? undefined : findTexts(header, "tokenizer.ggml.tokens");
  const merges = findTexts(header, "tokenizer.ggml.merges");
  const tokenTypes = findArray(header, "tokenizer.ggml.token_type");
  const tokenCount = defaults.vocabType === "none" ? dummyTokenCount(header) : (tokens?.count ?? 0);
  const loadProblem = findLoadProblem(header, defaults.vocabType);
  const listProblem = defaults.vocabType === "none" ? undefined : findListProblem(header, tokenCount);
  return {
    vocabType: defaults.vocabType,
    model,
    pre,
    tokenCount,
    mergeCount: merges?.count ?? 0,
    tokens,
    merges,
    tokenTypes,
    ...readAdding(header, defaults, pre),
    bosId: findId(header, "bos", tokenCount, preWithoutBosId.has(pre ?? "") ? undefined : defaults.bosId),
    eosId: findId(header, "eos", tokenCount, defaults.eosId),
    eotId: findId(header, "eot", tokenCount, undefined) ?? findOnlyToken(tokens, eotTexts),
    eomId: findId(header, "eom", tokenCount, undefined) ?? findOnlyToken(tokens, ["<|eom_id|>"]),
    fimIds: readFimIds(header, tokenCount),
    loadProblem: loadProblem ?? listProblem,
    olderBuildsLoad: loadProblem === undefined,
  };
}

function findDefaults(model: string | undefined): Defaults {
  const known = model !== undefined && Object.hasOwn(defaultsByModel, model) ? defaultsByModel[model] : undefined;
  return known ?? { vocabType: "unknown" };
}

function findTexts(header: GgufHeader, key: string): GgufArray | undefined {
  const array = findArray(header, key);
  return array?.elementType === "string" ? array : undefined;
}

function dummyTokenCount(header: GgufHeader): number {
  return findInteger(header, `${findText(header, "general.architecture")}.vocab_size`) ?? 0;
}

function readAdding(
  header: GgufHeader,
  defaults: Defaults,
  pre: string | undefined,
): { addBos: boolean; addEos: boolean } {
  if (defaults.vocabType === "none") return { addBos: false, addEos: false };
  const standard = defaults.addBos ?? preWithBos.has(pre ?? "");
  const addBos = preForcingBos.has(pre ?? "") || (findBoolean(header, "tokenizer.ggml.add_bos_token") ?? standard);
  return { addBos, addEos: findBoolean(header, "tokenizer.ggml.add_eos_token") ?? defaults.addEos ?? false };
}

/** An id outside the vocabulary is ignored, whether it is a default or the value of a key. */
function findId(
  header: GgufHeader,
  role: string,
  tokenCount: number,
  standard: number | undefined,
): number | undefined {
  const value = findInteger(header, `tokenizer.ggml.${role}_token_id`);
  if (value !== undefined && value >= 0 && value < tokenCount) return value;
  return standard !== undefined && standard < tokenCount ? standard : undefined;
}

function readFimIds(header: GgufHeader, tokenCount: number): Record<string, number> {
  const ids: Record<string, number> = {};
  for (const role of fimRoles) {
    const id = findId(header, `fim_${role}`, tokenCount, undefined);
    if (id !== undefined) ids[role] = id;
  }
  return ids;
}

/**
 * The token with one of these texts, if there is exactly one. Of several, llama.cpp takes the first of its hash table,
 * whose order a header does not show.
 */
function findOnlyToken(tokens: GgufArray | undefined, texts: readonly string[]): number | undefined {
  if (tokens === undefined) return undefined;
  // Searching the bytes is much faster than walking over the tokens, and most texts are not in them.
  const bytes = Buffer.from(tokens.bytes.buffer, tokens.bytes.byteOffset, tokens.bytes.byteLength);
  const present = texts.map((text) => Buffer.from(text)).filter((text) => bytes.includes(text));
  if (present.length === 0) return undefined;
  const lengths = new Set(present.map((text) => text.length));
  const walker = new TextWalker(tokens);
  let found: number | undefined;
  for (let id = 0; walker.next(); id += 1) {
    if (!lengths.has(walker.end - walker.start) || !present.some((text) => isAt(text, walker))) continue;
    if (found !== undefined) return undefined;
    found = id;
  }
  return found;
}

/** Compares byte by byte: decoding, or a call for each token, would be slow for millions of tokens. */
function isAt(text: Uint8Array, { bytes, start, end }: TextWalker): boolean {
  if (end - start !== text.length) return false;
  for (let index = 0; index < text.length; index += 1) if (bytes[start + index] !== text[index]) return false;
  return true;
}

function findLoadProblem(header: GgufHeader, type: VocabType): string | undefined {
  if (type === "none") return undefined;
  if (findText(header, "tokenizer.ggml.model") === undefined)
    return "it has no tokenizer (tokenizer.ggml.model is absent)";
  if (findTexts(header, "tokenizer.ggml.tokens") === undefined) return "it has no list of tokens";
  const needsMerges = type === "BPE" && findText(header, "tokenizer.ggml.pre") !== "kimi-k2";
  if (needsMerges && findTexts(header, "tokenizer.ggml.merges") === undefined) return "its BPE tokenizer has no merges";
  return findWrongType(header);
}

/** These lists have one element for each token. They may be absent, but not too short or of another type. */
function findListProblem(header: GgufHeader, tokenCount: number): string | undefined {
  const types: Readonly<Record<string, readonly string[]>> = { scores: ["float32", "int32"], token_type: ["int32"] };
  for (const [key, wanted] of Object.entries(types)) {
    const value = header.metadata.get(`tokenizer.ggml.${key}`);
    if (value === undefined) continue;
    const type = value.type === "array" ? value.elementType : value.type;
    if (value.type !== "array" || !wanted.includes(type))
      return `tokenizer.ggml.${key} is ${type}, not a list of ${wanted.join(" or ")}`;
    if (value.count < tokenCount) return `tokenizer.ggml.${key} has ${value.count} entries for ${tokenCount} tokens`;
  }
  return undefined;
}

const idKeys = [
  "bos",
  "eos",
  "eot",
  "eom",
  "unknown",
  "seperator",
  "padding",
  "mask",
  "prefix",
  "suffix",
  "middle",
  ...fimRoles.map((role) => `fim_${role}`),
];

/** llama.cpp accepts these keys with one type only, and refuses the model otherwise. */
function findWrongType(header: GgufHeader): string | undefined {
  const ids = idKeys.map((role) => [`tokenizer.ggml.${role}_token_id`, "uint32"] as const);
  const flags = ["bos", "eos"].map((role) => [`tokenizer.ggml.add_${role}_token`, "bool"] as const);
  for (const [key, wanted] of [...ids, ...flags]) {
    const type = header.metadata.get(key)?.type ?? wanted;
    if (type !== wanted) return `${key} is ${type}, not ${wanted}`;
  }
  return undefined;
}
