import { findPaths } from "../../base/files/paths.ts";
import { printableJson, printableSentence } from "../../base/text/printable.ts";
import { formatSize } from "../../base/text/units.ts";
import { TextWalker } from "../../gguf/gguf-array.ts";
import type { GgufArray } from "../../gguf/gguf-array.ts";
import type { ModelFacts } from "../../gguf/model-facts.ts";
import { readModelFacts } from "../../gguf/model-facts.ts";
import type { GgufModel } from "../../gguf/read-model.ts";
import { readModelHeaders, type ModelHeaders } from "../../hub/find/read-model-headers.ts";
import { jsonText } from "../screen/json-text.ts";
import { formatTraffic, headerOptions } from "./header-access.ts";
import { parseModelArgument } from "../options/model-argument.ts";
import { print } from "../screen/print.ts";

/**
 * `llmctl inspect MODEL`: the content of a model's headers, for a person or as JSON.
 * @param name A file, an address, or `hf:owner/repo[:quant]`.
 */
export async function inspect(name: string, options: { readonly json?: boolean }): Promise<void> {
  const { model, traffic } = await readModelHeaders(parseModelArgument(name), headerOptions(findPaths()));
  const bytesRead = traffic?.bytesRead ?? 0;
  if (options.json === true) print(jsonText({ ...toJson(model), bytesRead }));
  else print(`${formatModel(model)}${describeTraffic(traffic)}`);
}

function describeTraffic(traffic: ModelHeaders["traffic"]): string {
  return traffic === undefined ? "" : `\nread ${formatTraffic(traffic)}\n`;
}

/** The facts as plain data: tokens and merges as their counts only. */
export function toJson(model: GgufModel): Record<string, unknown> {
  const { tokenizer, ...facts } = readModelFacts(model);
  const { tokens: _tokens, merges: _merges, tokenTypes: _types, ...plain } = tokenizer;
  const { version, byteOrder } = model.header;
  return { ...facts, tokenizer: plain, format: { version, byteOrder } };
}

/** One `key  value` line for each fact that the model has. */
export function formatModel(model: GgufModel): string {
  const facts = readModelFacts(model);
  const rows = [...fileRows(model, facts), ...sizeRows(facts), ...tokenizerRows(facts)];
  const known = rows.flatMap(([key, value]) => (value === undefined ? [] : [[key, printableSentence(value)] as const]));
  const width = Math.max(...known.map(([key]) => key.length));
  return known.map(([key, value]) => `${key.padEnd(width)}  ${value}\n`).join("");
}

type Row = readonly [string, string | undefined];

function fileRows(model: GgufModel, facts: ModelFacts): Row[] {
  const { version, byteOrder, metadata } = model.header;
  const files = facts.shards.length === 1 ? "1 file" : `${facts.shards.length} shards`;
  const count = model.shards.reduce((sum, shard) => sum + shard.tensors.length, 0);
  const tensors = count === 1 ? "1 tensor" : `${count} tensors`;
  return [
    ["file", `${facts.shards[0]?.path} (${files}, ${formatSize(facts.sizeBytes)})`],
    ["format", `GGUF version ${version}, ${byteOrder}-endian, ${metadata.size} keys, ${tensors}`],
    ["name", facts.name],
    ["architecture", facts.architecture],
  ];
}

function sizeRows(facts: ModelFacts): Row[] {
  const bits =
    facts.parameters === 0 ? "" : ` (${((facts.sizeBytes * 8) / facts.parameters).toFixed(1)} bits for each parameter)`;
  const kvHeads = facts.kvHeads === facts.heads ? "" : `, ${facts.kvHeads} for keys and values`;
  const window = facts.slidingWindow === undefined ? "" : `, less with its sliding window of ${facts.slidingWindow}`;
  return [
    ["parameters", facts.parameters === 0 ? undefined : formatCount(facts.parameters)],
    ["quant", facts.quant === undefined ? undefined : `${facts.quant}${bits}`],
    ["layers", facts.layers === undefined ? undefined : String(facts.layers)],
    ["MTP layers", formatNextn(facts)],
    ["context", facts.contextLength === undefined ? undefined : `${facts.contextLength} tokens`],
    ["width", facts.embeddingLength === undefined ? undefined : String(facts.embeddingLength)],
    ["heads", facts.heads === undefined ? undefined : `${facts.heads}${kvHeads}`],
    [
      "experts",
      facts.experts === undefined ? undefined : `${facts.experts}, ${facts.expertsUsed ?? "?"} used for each token`,
    ],
    [
      "KV cache",
      facts.kvBytesPerToken === undefined
        ? undefined
        : `${formatSize(facts.kvBytesPerToken)} for each token (f16)${window}`,
    ],
  ];
}

function formatNextn({ nextnLayers, hasNextnTensors }: ModelFacts): string {
  if (nextnLayers === 0) return "none";
  return hasNextnTensors ? String(nextnLayers) : `${nextnLayers} declared, but their tensors are not in the file`;
}

function tokenizerRows({ tokenizer, chatTemplateHash }: ModelFacts): Row[] {
  const { model, pre, tokenCount, mergeCount, tokens, loadProblem } = tokenizer;
  const merges = mergeCount === 0 ? "" : `, ${mergeCount} merges`;
  const kind = pre === undefined ? model : `${model} (${pre})`;
  return [
    ["tokenizer", model === undefined ? "none" : `${kind}, ${tokenCount} tokens${merges}`],
    ["bos", formatRole(tokens, tokenizer.bosId, tokenizer.addBos)],
    ["eos", formatRole(tokens, tokenizer.eosId, tokenizer.addEos)],
    ["eot", tokenizer.eotId === undefined ? undefined : formatToken(tokens, tokenizer.eotId)],
    ["chat template", chatTemplateHash === undefined ? "none" : `sha256 ${chatTemplateHash.slice(0, 16)}`],
    ["problem", loadProblem === undefined ? undefined : `llama.cpp will not load it: ${loadProblem}`],
  ];
}

function formatRole(tokens: GgufArray | undefined, id: number | undefined, isAdded: boolean): string {
  return `${id === undefined ? "none" : formatToken(tokens, id)}, ${isAdded ? "added to prompts" : "not added"}`;
}

function formatToken(tokens: GgufArray | undefined, id: number): string {
  const walker = tokens === undefined ? undefined : new TextWalker(tokens);
  let index = -1;
  while (index < id && walker?.next() === true) index += 1;
  return index === id && walker !== undefined ? `${id} ${printableJson(walker.text())}` : String(id);
}

/** A count for people: `640`, `1.89 M`, `355.00 B`. */
function formatCount(count: number): string {
  if (count < 1e6) return String(count);
  return count < 1e9 ? `${(count / 1e6).toFixed(2)} M` : `${(count / 1e9).toFixed(2)} B`;
}
