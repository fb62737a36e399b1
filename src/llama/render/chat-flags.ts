import { adapterRef } from "../../profiles/model-refs.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";
import type { FlagCatalogue, KnownFlag } from "../ask/flag-catalogue.ts";
import {
  sidecarPath,
  floatRule,
  formatFloat,
  impossible,
  integerRule,
  leftOut,
  noFlag,
  type RenderOutcome,
  pairRule,
  passed,
  passValue,
  type ModelPaths,
  type FlagRule,
  serverOnly,
  switchRule,
  valueRule,
} from "./flag-rule.ts";

const kwargsFlags = ["--chat-template-kwargs"];
const effortFlags = ["--reasoning-effort"];

/** Builds before September 2026 have no flag for the effort; their templates read it from the variables. */
function templateVariables(
  { chat_template_kwargs: kwargs, reasoning_effort: effort }: ProfileValues,
  catalogue: FlagCatalogue,
): string {
  const inVariables = effort !== undefined && catalogue.findFirst(effortFlags) === undefined;
  return JSON.stringify({ ...kwargs, ...(inVariables ? { reasoning_effort: effort } : {}) });
}

const templateKwargs: FlagRule = {
  key: "chat_template_kwargs",
  flags: kwargsFlags,
  render: ({ values, catalogue }) =>
    values.chat_template_kwargs === undefined
      ? undefined
      : passValue(catalogue, "chat_template_kwargs", kwargsFlags, templateVariables(values, catalogue)),
};

const reasoningEffort: FlagRule = {
  key: "reasoning_effort",
  flags: effortFlags,
  shared: kwargsFlags,
  render({ values, catalogue }) {
    const { reasoning_effort: effort, chat_template_kwargs: kwargs } = values;
    if (effort === undefined) return undefined;
    if (catalogue.findFirst(effortFlags) !== undefined)
      return passValue(catalogue, "reasoning_effort", effortFlags, effort);
    if (kwargs !== undefined) return leftOut("said together with chat_template_kwargs");
    return passValue(catalogue, "reasoning_effort", kwargsFlags, templateVariables(values, catalogue));
  },
};

const budgetFlags = ["--reasoning-budget"];
const reasoningBudget: FlagRule = {
  key: "reasoning_budget",
  flags: budgetFlags,
  render({ values, catalogue }) {
    const { reasoning_budget: budget } = values;
    if (budget === undefined) return undefined;
    // The first builds with the flag know all or nothing, and say "currently only one of: -1 …, or 0".
    if (budget > 0 && catalogue.find("--reasoning-budget")?.entry.help.includes("only one of") === true) {
      return impossible(
        `llama.cpp ${catalogue.version} cannot count tokens of thought`,
        "write -1 or 0, or use a build that can",
      );
    }
    return passValue(catalogue, "reasoning_budget", budgetFlags, String(budget));
  },
};

/** Before it had a flag of its own, no thinking was a budget of 0. */
const reasoning: FlagRule = {
  key: "reasoning",
  flags: ["--reasoning"],
  shared: budgetFlags,
  render({ values, catalogue }) {
    const { reasoning: wanted, reasoning_budget: budget } = values;
    if (wanted === undefined) return undefined;
    if (catalogue.has("--reasoning")) return passValue(catalogue, "reasoning", ["--reasoning"], wanted);
    if (wanted !== "off") return leftOut("this build lets the template decide");
    if (budget !== undefined) return leftOut("said together with reasoning_budget");
    return passValue(catalogue, "reasoning", budgetFlags, "0");
  },
};

/** How chats become prompts, and answers messages. */
export const chatRules: readonly FlagRule[] = [
  floatRule("sampling.presence_penalty", ["--presence-penalty"], ({ sampling }) => sampling.presence_penalty),
  floatRule("sampling.frequency_penalty", ["--frequency-penalty"], ({ sampling }) => sampling.frequency_penalty),
  floatRule("sampling.repeat_penalty", ["--repeat-penalty"], ({ sampling }) => sampling.repeat_penalty),
  integerRule("sampling.repeat_last_n", ["--repeat-last-n"], ({ sampling }) => sampling.repeat_last_n),
  valueRule("chat_template", ["--chat-template"], (values) => values.chat_template),
  valueRule("chat_template_file", ["--chat-template-file"], (values) => values.chat_template_file),
  templateKwargs,
  reasoning,
  valueRule("reasoning_format", ["--reasoning-format"], (values) => values.reasoning_format),
  reasoningBudget,
  reasoningEffort,
];

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
        `llama.cpp would take "${cut.path}" apart at its comma or colon`,
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

/** Builds before 2026 repeat the flag, with the scale as a value of its own. */
function passAdapters(match: KnownFlag, adapters: readonly Adapter[], scaled: boolean): RenderOutcome {
  const scaleOf = ({ scale = 1 }: Adapter) => formatFloat(scale);
  if (isList(match))
    return passed([match.name, adapters.map((one) => (scaled ? `${one.path}:${scaleOf(one)}` : one.path)).join(",")]);
  return passed(adapters.flatMap((one) => (scaled ? [match.name, one.path, scaleOf(one)] : [match.name, one.path])));
}

function isList({ entry }: KnownFlag): boolean {
  return entry.hints.length === 1 && entry.help.includes("comma-separated");
}

/** What is loaded beside the model, or asked of it instead of text. */
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
