import type { FlagCatalogue } from "../ask/flag-catalogue.ts";
import type { RenderedFlag } from "./flag-rule.ts";

/** Keys that do not change how much memory the target needs. */
const irrelevant =
  /^(?:alias|draft|threads\w*|fit\w*|numa|priority|sampling|server|jinja|reasoning\w*|chat_template\w*)(?:\.|$)/;

/** The flags of a server that llama-fit-params has, too, and that change how much memory the target needs. */
export function fitArguments(flags: readonly RenderedFlag[], catalogue: FlagCatalogue): string[] {
  return flags
    .filter(({ key, args: [name = ""] }) => !irrelevant.test(key) && catalogue.has(name))
    .flatMap(({ args }) => args);
}
