import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { planContainer } from "../../src/export/plan-container.ts";
import { loadProfile } from "../../src/profiles/load.ts";
import type { ModelRef } from "../../src/profiles/schema/schema.ts";
import { targetModel } from "../../src/profiles/target.ts";
import type { ContainerFile, ContainerSpec } from "../../src/export/container.ts";
import { readCatalogue } from "./llama-help.ts";

const folder = join(import.meta.dirname, "../../profiles");

export const shippedProfiles = readdirSync(folder).map((file) => basename(file, ".yaml"));

/** A shipped profile as a container, with its models in `/data`. */
export async function readShippedSpec(name: string): Promise<ContainerSpec> {
  const profile = await loadProfile(name, { folders: [folder], env: {} });
  const { draft } = profile.values;
  const models = {
    target: place(targetModel(profile)),
    ...(draft?.model === undefined ? {} : { draft: place(draft.model) }),
  };
  return planContainer(profile, models, { catalogue: readCatalogue("v0.5.0"), release: "v0.5.0" });
}

function place(ref: ModelRef): ContainerFile[] {
  if (typeof ref === "object" && "url" in ref) throw new Error("no shipped profile names an address");
  const names =
    typeof ref === "string" ? [basename(ref)] : [1, 2].map((i) => `${ref.hf}/${ref.quant}-0000${i}-of-00002.gguf`);
  return names.map((name) => ({ name, source: `/data/${name}`, sizeBytes: 3_000_000 }));
}
