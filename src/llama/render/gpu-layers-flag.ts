import type { FlagCatalogue } from "../ask/flag-catalogue.ts";
import { leftOut, noFlag, type RenderOutcome, passed, passValue } from "./flag-rule.ts";

/** More layers than any model has; llama.cpp takes what there is. */
const allLayers = "999";

/** Builds before 2026 take a number only; newer ones also the words, and say so in their help. */
export function renderGpuLayers(
  catalogue: FlagCatalogue,
  key: string,
  flags: readonly string[],
  layers: number | "auto" | "all",
): RenderOutcome {
  const match = catalogue.findFirst(flags);
  if (match === undefined) return noFlag(catalogue, key);
  if (typeof layers === "number" || match.entry.help.includes(`'${layers}'`))
    return passValue(catalogue, key, flags, String(layers));
  return layers === "all"
    ? passed([match.name, allLayers], "this build has no word for all layers")
    : leftOut("this build cannot choose by itself; its own default applies");
}
