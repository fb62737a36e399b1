import { TextWalker, decodeTexts } from "../../src/gguf/gguf-array.ts";
import type { GgufArray } from "../../src/gguf/gguf-array.ts";
import type { GgufHeader } from "../../src/gguf/parse-header.ts";
import { buildGguf } from "./gguf-builder.ts";
import type { Part, TensorPart } from "./gguf-builder.ts";

type VocabPart = Part | GgufArray;

/** The `tokenizer.*` keys of a model. */
export type Vocab = Readonly<Record<string, VocabPart>>;

export interface TinyBody {
  /** `glm4moe` has one trunk layer with experts; both have random weights. */
  readonly architecture?: "llama" | "glm4moe";
  /** Width of the hidden state, a multiple of 32. */
  readonly width?: number;
  /** Whether a NextN layer follows, `declared` when only the keys speak of it; `glm4moe` only. */
  readonly nextn?: "none" | "declared" | "present";
  /** The token that it always generates. */
  readonly says: number;
  /** Keys that override the others; undefined removes one. */
  readonly keys?: KeyEdits;
}

export type KeyEdits = Readonly<Record<string, VocabPart | undefined>>;

const tokensKey = "tokenizer.ggml.tokens";
const heads = 2;
const feedForward = 32;
const experts = 2;

/** The tokenizer of a model, arrays undecoded. */
export function readVocab(header: GgufHeader): Vocab {
  return Object.fromEntries([...header.metadata].filter(([key]) => key.startsWith("tokenizer.")));
}

/** A vocabulary's token texts. */
export function tokenTexts(vocab: Vocab): string[] {
  const part = vocab[tokensKey];
  if (typeof part === "object" && "count" in part) return decodeTexts(part);
  if (Array.isArray(part)) return part.map(String);
  throw new Error("this vocabulary has no list of tokens");
}

/** The first token from `from` on that is a plain word: every tokenizer turns it into text and back. */
export function findWord(vocab: Vocab, from = 100): number {
  const part = vocab[tokensKey];
  if (typeof part !== "object" || !("count" in part))
    return tokenTexts(vocab).findIndex((text, id) => id >= from && isWord(text));
  const walker = new TextWalker(part satisfies GgufArray);
  for (let id = 0; walker.next(); id += 1) if (id >= from && isWord(walker.text())) return id;
  throw new Error("this vocabulary has no word");
}

function isWord(text: string): boolean {
  return /^[Ġ▁]?[a-z]{2,8}$/.test(text);
}

/** Number of tokens that a model has rows for. */
export function countTokens(vocab: Vocab, keys: KeyEdits = {}): number {
  const part = keys[tokensKey] ?? vocab[tokensKey];
  return typeof part === "object" && "count" in part ? part.count : tokenTexts({ [tokensKey]: part ?? [] }).length;
}

/** Writes a model of one layer with random weights around a vocabulary: llama.cpp loads, runs and drafts with it. */
export function buildTinyModel(vocab: Vocab, body: TinyBody): Buffer {
  const { architecture = "llama", width = 32, nextn = "none" } = body;
  const layers = nextn === "none" ? 1 : 2;
  const metadata: Record<string, VocabPart | undefined> = {
    "general.architecture": architecture,
    ...vocab,
    ...Object.fromEntries(Object.entries(sizes(width, layers)).map(([key, part]) => [`${architecture}.${key}`, part])),
    ...(architecture === "glm4moe" ? glmKeys(layers - 1) : {}),
    ...body.keys,
  };
  const present = Object.entries(metadata).filter((entry): entry is [string, VocabPart] => entry[1] !== undefined);
  const random = new Random(width + layers);
  const tokens = countTokens(vocab, body.keys);
  const tensors = [
    { name: "token_embd.weight", ne: [width, tokens], data: random.embeddings(width, tokens, body.says) },
    random.norm("output_norm", width),
    ...layer(random, architecture, width, 0),
    ...(nextn === "present" ? [...layer(random, architecture, width, 1), ...nextnLayer(random, width, 1)] : []),
  ];
  return buildGguf({ metadata: Object.fromEntries(present), tensors });
}

function sizes(width: number, layers: number): Record<string, Part> {
  return {
    block_count: layers,
    context_length: 4096,
    embedding_length: width,
    feed_forward_length: feedForward,
    "attention.head_count": heads,
    "attention.head_count_kv": heads,
    "attention.layer_norm_rms_epsilon": { type: "float32", value: 1e-5 },
    "rope.dimension_count": width / heads,
  };
}

function glmKeys(nextnLayers: number): Record<string, Part> {
  return {
    "glm4moe.attention.key_length": 16,
    "glm4moe.attention.value_length": 16,
    "glm4moe.rope.dimension_count": 16,
    "glm4moe.expert_count": experts,
    "glm4moe.expert_used_count": 1,
    "glm4moe.expert_shared_count": 1,
    // Builds of early 2026 do not start without this key.
    "glm4moe.expert_weights_scale": { type: "float32", value: 1 },
    "glm4moe.expert_feed_forward_length": feedForward,
    "glm4moe.leading_dense_block_count": 0,
    "glm4moe.nextn_predict_layers": nextnLayers,
  };
}

function layer(random: Random, architecture: "llama" | "glm4moe", width: number, index: number): TensorPart[] {
  const prefix = `blk.${index}.`;
  const attention = architecture === "llama" ? width : 16 * heads;
  const common = [
    random.norm(`${prefix}attn_norm`, width),
    random.matrix(`${prefix}attn_q`, width, attention),
    random.matrix(`${prefix}attn_k`, width, attention),
    random.matrix(`${prefix}attn_v`, width, attention),
    random.matrix(`${prefix}attn_output`, attention, width),
  ];
  if (architecture === "llama")
    return [...common, random.norm(`${prefix}ffn_norm`, width), ...feedForwardLayer(random, prefix, "", width)];
  return [
    ...common,
    random.norm(`${prefix}post_attention_norm`, width),
    random.matrix(`${prefix}ffn_gate_inp`, width, experts),
    { name: `${prefix}exp_probs_b.bias`, ne: [experts] },
    ...feedForwardLayer(random, prefix, "_exps", width, experts),
    ...feedForwardLayer(random, prefix, "_shexp", width),
  ];
}

function feedForwardLayer(random: Random, prefix: string, suffix: string, width: number, count?: number): TensorPart[] {
  const more = count === undefined ? [] : [count];
  return [
    random.matrix(`${prefix}ffn_gate${suffix}`, width, feedForward, ...more),
    random.matrix(`${prefix}ffn_up${suffix}`, width, feedForward, ...more),
    random.matrix(`${prefix}ffn_down${suffix}`, feedForward, width, ...more),
  ];
}

function nextnLayer(random: Random, width: number, index: number): TensorPart[] {
  const prefix = `blk.${index}.nextn.`;
  return [
    random.matrix(`${prefix}eh_proj`, 2 * width, width),
    random.norm(`${prefix}enorm`, width),
    random.norm(`${prefix}hnorm`, width),
    random.norm(`${prefix}shared_head_norm`, width),
  ];
}

/** Weights from a seed, so that a model is the same each time. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** -1 to 1, from a linear congruential generator. @see Numerical Recipes, "Quick and dirty generators" */
  #next(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) | 0;
    return this.#state / 2 ** 31;
  }

  matrix(name: string, ...ne: readonly number[]): TensorPart {
    const values = Float32Array.from(
      { length: ne.reduce((product, length) => product * length, 1) },
      () => 0.02 * this.#next(),
    );
    return { name: `${name}.weight`, ne, data: bytesOf(values) };
  }

  norm(name: string, width: number): TensorPart {
    return { name: `${name}.weight`, ne: [width], data: bytesOf(new Float32Array(width).fill(1)) };
  }

  /** Rows in nearly the same direction, so that after any input the longest row is the generated token. */
  embeddings(width: number, rows: number, says: number): Uint8Array {
    const values = new Float32Array(width * rows);
    for (let index = 0; index < values.length; index += 1) values[index] = 1 + 0.3 * this.#next();
    values.fill(8, width * says, width * (says + 1));
    return bytesOf(values);
  }
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer);
}
