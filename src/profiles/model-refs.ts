import type { ModelRef } from "./schema/schema-model.ts";
import type { ProfileValues } from "./schema/schema.ts";
import type { KeyPath } from "./yaml/located.ts";

/** A file that a profile names, and its key. */
interface NamedRef {
  readonly key: KeyPath;
  readonly ref: ModelRef;
}

/** All model files of a profile: target, draft and sidecars. */
export function listModelRefs(values: ProfileValues): NamedRef[] {
  const { model } = values;
  const draft = values.draft?.model;
  return [
    ...(model === undefined ? [] : [{ key: ["model"], ref: model }]),
    ...(draft === undefined ? [] : [{ key: ["draft", "model"], ref: draft }]),
    ...listSidecars(values),
  ];
}

/** The sidecars: projector and adapters. */
export function listSidecars({ mmproj, lora = [] }: Pick<ProfileValues, "mmproj" | "lora">): NamedRef[] {
  const adapters = lora.map((one, index) => ({ key: ["lora", index], ref: adapterRef(one) }));
  return [...(mmproj === undefined ? [] : [{ key: ["mmproj"], ref: mmproj }]), ...adapters];
}

type Adapter = NonNullable<ProfileValues["lora"]>[number];

/** The file of an adapter, without its scale. */
export function adapterRef(adapter: Adapter): ModelRef {
  if (typeof adapter === "string") return adapter;
  if ("path" in adapter) return adapter.path;
  if ("url" in adapter)
    return { url: adapter.url, ...(adapter.sha256 === undefined ? {} : { sha256: adapter.sha256 }) };
  return {
    hf: adapter.hf,
    file: adapter.file,
    ...(adapter.revision === undefined ? {} : { revision: adapter.revision }),
  };
}
