import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../src/base/files/atomic-write.ts";
import type { Part, TensorPart } from "./gguf-builder.ts";
import { buildGguf, readParts } from "./gguf-builder.ts";
import { buildsPrefix } from "./llama-builds.ts";
import { demoDraft, demoTarget } from "./temp-home.ts";

/** Raised when {@link padModel} makes another file of the same model. */
const recipe = 1;

/** The number with which the demo draft pays on a CPU, most with three to six drafted tokens. */
export const payingLayers = 76;

export interface PaddedPair {
  readonly target: string;
  readonly draft: string;
}

/**
 * The demo pair with a target that generates the same text and is far dearer, so that drafting pays: 38 MB with the
 * usual number of added layers. The file is built when the cache folder, outside the checkout, lacks it.
 * @param layers Number of added layers; a layer costs as much as one of the demo target's four.
 */
export async function ensurePaddedPair(layers: number = payingLayers): Promise<PaddedPair> {
  const original = await readFile(demoTarget);
  const digest = createHash("sha256").update(`${recipe} ${layers} `).update(original).digest("hex");
  const target = join(buildsPrefix(), "models", `demo-target-padded-${layers}-${digest.slice(0, 12)}.gguf`);
  // Several processes may build it at once: each renames a whole file into place.
  if (!existsSync(target)) await writeFileAtomic(target, await padModel(original, layers));
  return { target, draft: demoDraft };
}

/**
 * Adds layers that compute as much as the others and change nothing: what they add to the stream between the layers
 * are exact zeros. Every logit stays the same to the last bit.
 * @param bytes A Llama model in one file.
 */
export async function padModel(bytes: Uint8Array, layers: number): Promise<Buffer> {
  const parts = await readParts(bytes);
  const count = blockCount(parts.metadata);
  const added = Array.from({ length: layers }, (_, index) => paddingLayer(parts.tensors, index % count, count + index));
  return buildGguf({
    ...parts,
    metadata: { ...parts.metadata, "llama.block_count": count + layers, "general.name": "demo-target-padded" },
    tensors: [...parts.tensors, ...added.flat()],
  });
}

function blockCount(metadata: Readonly<Record<string, Part>>): number {
  const count = metadata["llama.block_count"];
  if (typeof count === "object" && "value" in count) return Number(count.value);
  throw new Error("the model has no llama.block_count");
}

/** A copy of a layer; the two matrices whose products are added to the stream are zero. */
function paddingLayer(tensors: readonly TensorPart[], from: number, to: number): TensorPart[] {
  const prefix = `blk.${from}.`;
  return tensors
    .filter(({ name }) => name.startsWith(prefix))
    .map((tensor) => {
      const part = tensor.name.slice(prefix.length);
      const copy = { ...tensor, name: `blk.${to}.${part}` };
      // In the formats that occur here, F32, F16 and Q8_0, zero bytes are zeros.
      return zeroParts.has(part) ? { ...copy, data: Buffer.alloc(tensor.data?.length ?? 0) } : copy;
    });
}

const zeroParts: ReadonlySet<string> = new Set(["attn_output.weight", "ffn_down.weight"]);
