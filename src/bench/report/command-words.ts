import { quoteForShellInLine } from "../../base/text/quote-for-shell.ts";
import type { ReportedSetting } from "../bench-report.ts";

/** Arguments with the flag that they belong to: `[["--port", "8080"], ["--jinja"]]`. */
export function flagGroups(args: readonly string[]): string[][] {
  const groups: string[][] = [];
  for (const arg of args) {
    const last = groups.at(-1);
    // A value such as -1 stays with its flag.
    if (last === undefined || /^--?[A-Za-z]/.test(arg)) groups.push([arg]);
    else last.push(arg);
  }
  return groups;
}

/** Words for a shell, each flag with its values on a line of its own; it can be copied as it is. */
export function describeCommand({ file, args }: ReportedSetting["command"]): string {
  const words = [[file], ...flagGroups(args)].map((group) => group.map(quoteForShellInLine).join(" "));
  return words.join(" \\\n  ");
}

/** `type draft-simple, n_max 4`. Values that are no text or number are shown as JSON. */
export function describeDraft(draft: NonNullable<ReportedSetting["draft"]>): string {
  return Object.entries(draft)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}
