import type { RemoteModelRef } from "../../profiles/schema/schema.ts";

/** A reference as text for people: `"unsloth/GLM-4.7-GGUF" (UD-Q2_K_XL)`, or an address. */
export function describeRef(ref: RemoteModelRef): string {
  if ("url" in ref) return `"${describeUrl(ref.url)}"`;
  const revision = ref.revision === undefined ? "" : ` at ${ref.revision}`;
  const which = ref.quant ?? ref.file;
  return `"${ref.hf}"${which === undefined ? "" : ` (${which})`}${revision}`;
}

/** An address for messages: without its query, which may be a signature. */
export function describeUrl(address: string | URL): string {
  const { origin, pathname } = new URL(address);
  return `${origin}${pathname}`;
}
