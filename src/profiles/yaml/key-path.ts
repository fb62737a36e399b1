import type { KeyPath } from "./located.ts";

/** Reads a key as `showKey` writes it: `draft.n_max`, `devices[0]`. @returns undefined for text that is not a key. */
export function parseKey(text: string): KeyPath | undefined {
  if (!/^\w[\w-]*(?:\.\w[\w-]*|\[\d{1,4}\])*$/.test(text)) return undefined;
  return [...text.matchAll(/\[(\d+)\]|[\w-]+/g)].map(([word, index]) => (index === undefined ? word : Number(index)));
}
