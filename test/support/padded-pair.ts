import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../../src/base/files/atomic-write.ts";
import { buildGguf, readParts } from "./gguf-builder.ts";
import { buildsPrefix } from "./llama-builds.ts";
import { padLayerCount, padLayers } from "./pad-layers.ts";
import { demoDraft, demoTarget } from "./temp-home.ts";

/** Raised when {@link padModel} makes another file of the same model. */
const recipe = 1;

/** The number with which the demo draft pays on a CPU, most with three to six drafted tokens. */
const payingLayers = 76;

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

/** The same function with more layers; every logit stays the same to the last bit. @param bytes One file. */
async function padModel(bytes: Uint8Array, layers: number): Promise<Buffer> {
  const { metadata, tensors, ...parts } = await readParts(bytes);
  return buildGguf({
    ...parts,
    metadata: { ...padLayerCount(metadata, layers), "general.name": "demo-target-padded" },
    // In the formats of the demo models, F32 and Q8_0, zero bytes are zeros.
    tensors: padLayers(tensors, layers).map(({ zero, ...tensor }) =>
      zero ? { ...tensor, data: Buffer.alloc(tensor.data?.length ?? 0) } : tensor,
    ),
  });
}
