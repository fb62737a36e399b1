import type { FlagCatalogue } from "../ask/flag-catalogue.ts";
import type { RenderedFlag } from "./flag-rule.ts";

/** Keys that do not change how much memory a model takes, or that are not about the target. */
const irrelevant =
  /^(?:alias|draft|threads\w*|fit\w*|numa|priority|sampling|server|jinja|reasoning\w*|chat_template\w*)(?:\.|$)/;

/** A server's flags in so far as llama-fit-params has them and they matter to it. */
export function fitArguments(flags: readonly RenderedFlag[], catalogue: FlagCatalogue): string[] {
  return flags
    .filter(({ key, args: [name = ""] }) => !irrelevant.test(key) && catalogue.has(name))
    .flatMap(({ args }) => args);
}
