import type { Part } from "./gguf-builder.ts";

/** A tensor of a padded model. */
export type Padded<T> = T & {
  /** Its data are zeros instead. */
  readonly zero: boolean;
};

/**
 * Adds layers that compute as much as the others and change nothing: the two matrices whose products are added to the
 * stream between the layers are zero, so exact zeros are added.
 * @param tensors Of a Llama model. @param layers Number of added layers, copies of its own ones in turn.
 */
export function padLayers<T extends { readonly name: string }>(tensors: readonly T[], layers: number): Padded<T>[] {
  const count = tensors.filter(({ name }) => name.endsWith(".attn_output.weight")).length;
  const added = Array.from({ length: layers }, (_, index) => {
    const prefix = `blk.${index % count}.`;
    return tensors
      .filter(({ name }) => name.startsWith(prefix))
      .map((tensor) => {
        const part = tensor.name.slice(prefix.length);
        return { ...tensor, name: `blk.${count + index}.${part}`, zero: zeroParts.has(part) };
      });
  });
  return [...tensors.map((tensor) => ({ ...tensor, zero: false })), ...added.flat()];
}

const zeroParts: ReadonlySet<string> = new Set(["attn_output.weight", "ffn_down.weight"]);

/** The metadata of such a model. @throws when the model does not say how many layers it has. */
export function padLayerCount(metadata: Readonly<Record<string, Part>>, layers: number): Record<string, Part> {
  const count = metadata["llama.block_count"];
  if (typeof count !== "object" || !("value" in count)) throw new Error("the model has no llama.block_count");
  return { ...metadata, "llama.block_count": Number(count.value) + layers };
}
