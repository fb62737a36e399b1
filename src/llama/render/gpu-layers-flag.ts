import type { FlagCatalogue } from "../ask/flag-catalogue.ts";
import { leftOut, noFlag, type RenderOutcome, passed, passValue } from "./flag-rule.ts";

/** More layers than any model has; llama.cpp then uses all that there are. */
const allLayers = "999";

/** Builds before 2026 take only a number. Newer ones also take the words, which their help lists. */
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
    ? passed([match.name, allLayers], "this build has no word that means all layers")
    : leftOut("this build has no automatic choice; its own default applies");
}
