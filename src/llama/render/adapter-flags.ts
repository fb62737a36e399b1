import { adapterRef } from "../../profiles/model-refs.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";
import type { KnownFlag } from "../ask/flag-catalogue.ts";
import {
  formatFloat,
  impossible,
  noFlag,
  type RenderOutcome,
  pairRule,
  passed,
  passValue,
  sidecarPath,
  type ModelPaths,
  type FlagRule,
  serverOnly,
  switchRule,
  valueRule,
} from "./flag-rule.ts";

interface Adapter {
  readonly path: string;
  readonly scale?: number | undefined;
}

const loraFlags = ["--lora"];
const scaledFlags = ["--lora-scaled"];
const lora: FlagRule = {
  key: "lora",
  flags: [...loraFlags, ...scaledFlags],
  render({ values, models, catalogue }) {
    if (values.lora === undefined) return undefined;
    const adapters = listAdapters(values.lora, models);
    const scaled = adapters.some(({ scale }) => scale !== undefined);
    const match = catalogue.findFirst(scaled ? scaledFlags : loraFlags);
    if (match === undefined) return noFlag(catalogue, "lora");
    const cut = adapters.find(({ path }) => (scaled ? /[,:]/ : /,/).test(path));
    if (cut !== undefined && isList(match)) {
      return impossible(
        `llama.cpp would split the path "${cut.path}" at its comma or colon`,
        "rename the file or its folder",
      );
    }
    return passAdapters(match, adapters, scaled);
  },
};

function listAdapters(lora: NonNullable<ProfileValues["lora"]>, models: ModelPaths): Adapter[] {
  return lora.map((one, index) => ({
    path: sidecarPath(models, `lora.${index}`, adapterRef(one)),
    ...(typeof one === "object" && "scale" in one ? { scale: one.scale } : {}),
  }));
}

const mmprojFlags = ["--mmproj"];
const mmproj: FlagRule = {
  key: "mmproj",
  flags: mmprojFlags,
  render({ values, models, catalogue }) {
    if (values.mmproj === undefined) return undefined;
    return passValue(catalogue, "mmproj", mmprojFlags, sidecarPath(models, "mmproj", values.mmproj));
  },
};

/** Builds before 2026 repeat the flag for each adapter, with the scale as a second value. */
function passAdapters(match: KnownFlag, adapters: readonly Adapter[], scaled: boolean): RenderOutcome {
  const scaleOf = ({ scale = 1 }: Adapter) => formatFloat(scale);
  if (isList(match))
    return passed([match.name, adapters.map((one) => (scaled ? `${one.path}:${scaleOf(one)}` : one.path)).join(",")]);
  return passed(adapters.flatMap((one) => (scaled ? [match.name, one.path, scaleOf(one)] : [match.name, one.path])));
}

function isList({ entry }: KnownFlag): boolean {
  return entry.help.includes("comma-separated");
}

/** Files that are loaded together with the model, and modes in which it makes embeddings instead of text. */
export const adapterRules: readonly FlagRule[] = [
  lora,
  mmproj,
  pairRule(
    "mmproj_offload",
    { on: ["--mmproj-offload"], off: ["--no-mmproj-offload"] },
    (values) => values.mmproj_offload,
  ),
  serverOnly(switchRule("embeddings", ["--embeddings"], (values) => values.embeddings)),
  serverOnly(switchRule("rerank", ["--rerank", "--reranking"], (values) => values.rerank)),
  serverOnly(valueRule("pooling", ["--pooling"], (values) => values.pooling)),
];
