import { createHash } from "node:crypto";
import { findFileType, findGgmlType } from "./ggml-types.ts";
import { decodeNumbers } from "./gguf-array.ts";
import { findArray, findInteger, findText } from "./metadata.ts";
import type { GgufHeader, TensorInfo } from "./gguf-header.ts";
import { countElements } from "./gguf-header.ts";
import type { GgufModel } from "./read-model.ts";
import type { TokenizerFacts } from "./tokenizer-facts.ts";
import { readTokenizerFacts } from "./tokenizer-facts.ts";

/** Facts about a model from its headers. A fact that is not in the file is undefined. */
export interface ModelFacts {
  /** All files, first shard first. */
  readonly shards: readonly { readonly path: string; readonly sizeBytes: number }[];
  readonly sizeBytes: number;
  readonly architecture: string | undefined;
  readonly name: string | undefined;
  /** Elements of all tensors. */
  readonly parameters: number;
  /** Weight format such as `Q4_K_M`: from its key, else the type of most weights. */
  readonly quant: string | undefined;
  /** Layers, including those that predict further tokens (NextN, MTP). */
  readonly layers: number | undefined;
  /** Layers that predict further tokens, as declared; 0 for most models. */
  readonly nextnLayers: number;
  /** Whether the files hold the tensors of such layers; some converters leave them out. */
  readonly hasNextnTensors: boolean;
  /** Context of the training, in tokens. */
  readonly contextLength: number | undefined;
  readonly embeddingLength: number | undefined;
  /** Width of the hidden state that other heads get; in a few models not `embeddingLength`. */
  readonly outputLength: number | undefined;
  /** The largest number, when layers differ. */
  readonly heads: number | undefined;
  readonly kvHeads: number | undefined;
  /**
   * Bytes of the keys and values of one token in all trunk layers, as f16. A model with sliding-window layers needs
   * less: they count in full.
   */
  readonly kvBytesPerToken: number | undefined;
  readonly slidingWindow: number | undefined;
  readonly experts: number | undefined;
  readonly expertsUsed: number | undefined;
  readonly tokenizer: TokenizerFacts;
  /** SHA-256 of the chat template, hex. */
  readonly chatTemplateHash: string | undefined;
}

export function readModelFacts(model: GgufModel): ModelFacts {
  const { header, shards } = model;
  const tensors = shards.flatMap((shard) => shard.tensors);
  const own = ownKeys(header);
  const embeddingLength = own.integer("embedding_length");
  return {
    shards: shards.map(({ name, sizeBytes }) => ({ path: name, sizeBytes })),
    sizeBytes: shards.reduce((sum, shard) => sum + shard.sizeBytes, 0),
    architecture: findText(header, "general.architecture"),
    name: findText(header, "general.name"),
    parameters: tensors.reduce((sum, tensor) => sum + countElements(tensor), 0),
    quant: findQuant(header, tensors),
    layers: own.integer("block_count"),
    nextnLayers: own.integer("nextn_predict_layers") ?? 0,
    hasNextnTensors: tensors.some((tensor) => tensor.name.includes("nextn.")),
    contextLength: own.integer("context_length"),
    embeddingLength,
    outputLength: own.integer("embedding_length_out") ?? embeddingLength,
    heads: own.largest("attention.head_count"),
    kvHeads: own.largest("attention.head_count_kv") ?? own.largest("attention.head_count"),
    kvBytesPerToken: findKvBytes(own),
    slidingWindow: own.integer("attention.sliding_window"),
    experts: own.integer("expert_count"),
    expertsUsed: own.largest("expert_used_count"),
    tokenizer: readTokenizerFacts(header),
    chatTemplateHash: hash(findText(header, "tokenizer.chat_template")),
  };
}

/** {@link ModelFacts.contextLength} alone. */
export function readContextLength({ header }: GgufModel): number | undefined {
  return ownKeys(header).integer("context_length");
}

/** Reads the keys that start with the architecture's name. */
interface OwnKeys {
  readonly integer: (key: string) => number | undefined;
  /** A value for each layer, from one value for all or from a list. */
  readonly perLayer: (key: string, layers: number) => number[] | undefined;
  readonly largest: (key: string) => number | undefined;
}

function ownKeys(header: GgufHeader): OwnKeys {
  const architecture = findText(header, "general.architecture");
  const integer = (key: string) => findInteger(header, `${architecture}.${key}`);
  const list = (key: string) => {
    const array = findArray(header, `${architecture}.${key}`);
    return array === undefined ? undefined : decodeNumbers(array, mostLayers);
  };
  return {
    integer,
    perLayer: (key, layers) => {
      const one = integer(key);
      return one === undefined ? list(key) : Array.from({ length: layers }, () => one);
    },
    largest: (key) => integer(key) ?? list(key)?.reduce((most, value) => Math.max(most, value), 0),
  };
}

/** The limit of llama.cpp. @see LLAMA_MAX_LAYERS */
export const mostLayers = 512;

/** @see llama.cpp src/llama-model.cpp `load_hparams` and src/llama-kv-cache.cpp, v0.5.0 */
function findKvBytes(own: OwnKeys): number | undefined {
  const layers = own.integer("block_count");
  if (layers === undefined || layers > mostLayers) return undefined;
  const kvHeads = own.perLayer("attention.head_count_kv", layers) ?? own.perLayer("attention.head_count", layers);
  const width = own.integer("embedding_length");
  const heads = own.perLayer("attention.head_count", layers)?.[0];
  const standard = width === undefined || heads === undefined || heads === 0 ? undefined : Math.floor(width / heads);
  const keyLength = own.integer("attention.key_length") ?? standard;
  const valueLength = own.integer("attention.value_length") ?? standard;
  if (kvHeads === undefined || keyLength === undefined || valueLength === undefined) return undefined;
  // Multi-head latent attention keeps one compressed row for both keys and values.
  const isLatent =
    own.integer("attention.key_length_mla") !== undefined && own.integer("attention.value_length_mla") !== undefined;
  const perHead = 2 * (keyLength + (isLatent ? 0 : valueLength));
  return perHead * cachedLayers(own, kvHeads.slice(0, layers)).reduce((sum, count) => sum + count, 0);
}

/** KV heads of the layers with a cache of their own: no NextN layers, recurrent layers, or layers that share one. */
function cachedLayers(own: OwnKeys, kvHeads: readonly number[]): number[] {
  const skipped = (own.integer("nextn_predict_layers") ?? 0) + (own.integer("attention.shared_kv_layers") ?? 0);
  const trunk = kvHeads.slice(0, Math.max(0, kvHeads.length - skipped));
  const interval = own.integer("full_attention_interval") ?? 1;
  return trunk.filter((_, layer) => interval <= 1 || (layer + 1) % interval === 0);
}

function findQuant(header: GgufHeader, tensors: readonly TensorInfo[]): string | undefined {
  const fileType = findInteger(header, "general.file_type");
  const named = fileType === undefined ? undefined : findFileType(fileType);
  if (named !== undefined) return named;
  const elements = new Map<number, number>();
  for (const tensor of tensors) elements.set(tensor.type, (elements.get(tensor.type) ?? 0) + countElements(tensor));
  const [most] = [...elements].toSorted(([, a], [, b]) => b - a);
  return most === undefined ? undefined : findGgmlType(most[0])?.name;
}

function hash(text: string | undefined): string | undefined {
  return text === undefined ? undefined : createHash("sha256").update(text).digest("hex");
}
