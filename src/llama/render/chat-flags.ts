import type { ProfileValues } from "../../profiles/schema/schema.ts";
import type { FlagCatalogue } from "../ask/flag-catalogue.ts";
import { floatRule, impossible, integerRule, leftOut, passValue, type FlagRule, valueRule } from "./flag-rule.ts";

const kwargsFlags = ["--chat-template-kwargs"];
const effortFlags = ["--reasoning-effort"];

/** Builds before September 2026 have no flag for the effort: their templates read it from the template variables. */
function templateVariables(
  { chat_template_kwargs: kwargs, reasoning_effort: effort }: ProfileValues,
  catalogue: FlagCatalogue,
): string {
  const inVariables = catalogue.findFirst(effortFlags) === undefined;
  // JSON has no undefined: without an effort there is no variable.
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
    if (kwargs !== undefined) return leftOut("passed together with chat_template_kwargs");
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
    // The first builds with the flag accept no number of tokens; their help says "currently only one of: -1 …, or 0".
    if (budget > 0 && catalogue.find("--reasoning-budget")?.entry.help.includes("only one of") === true) {
      return impossible(
        `llama.cpp ${catalogue.version} cannot limit the number of thinking tokens`,
        "write -1 or 0, or use a newer build",
      );
    }
    return passValue(catalogue, "reasoning_budget", budgetFlags, String(budget));
  },
};

/** Builds without the flag turn thinking off with a budget of 0. */
const reasoning: FlagRule = {
  key: "reasoning",
  flags: ["--reasoning"],
  shared: budgetFlags,
  render({ values, catalogue }) {
    const { reasoning: wanted, reasoning_budget: budget } = values;
    if (wanted === undefined) return undefined;
    if (catalogue.has("--reasoning")) return passValue(catalogue, "reasoning", ["--reasoning"], wanted);
    if (wanted !== "off") return leftOut("this build lets the template decide");
    if (budget !== undefined) return leftOut("passed together with reasoning_budget");
    return passValue(catalogue, "reasoning", budgetFlags, "0");
  },
};

/** How the chat template makes prompts from messages, and messages from answers. */
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
