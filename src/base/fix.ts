import { quoteForShell } from "./text/quote-for-shell.ts";

/** What to do about a problem: one command of ours where one mends it, else words for people. */
export type Fix = string | CommandFix;

/**
 * A command of ours that mends a problem: programs take `run`, and people read all of it, as {@link describeFix} spells
 * it. Part of the JSON of errors, findings and states, so keys are only ever added.
 */
export interface CommandFix {
  /** The words after `llmctl`, each as the program gets it: not quoted. */
  readonly run: readonly string[];
  /** Words in the place of "run" before the command, such as `delete the file, then run`; none where empty. */
  readonly before?: string;
  /** Words after the command, such as `for what runs`. */
  readonly after?: string;
  /** The command that follows this one. */
  readonly andThen?: CommandFix;
  /** What else would do. */
  readonly or?: Fix;
}

/** A problem in one line: what happened, and what to do where that is known. */
export function describeInLine({ message, fix }: { readonly message: string; readonly fix?: Fix | undefined }): string {
  return fix === undefined ? message : `${message}; ${describeFix(fix)}`;
}

/** A fix as people read it: `run "llmctl pull coder"`. */
export function describeFix(fix: Fix): string {
  if (typeof fix === "string") return fix;
  const next = fix.andThen === undefined ? "" : `, then ${describeFix(fix.andThen)}`;
  const other = fix.or === undefined ? "" : `, or ${describeFix(fix.or)}`;
  return `${describeCommand(fix)}${next}${other}`;
}

function describeCommand({ run, before = "run", after = "", andThen, or }: CommandFix): string {
  const command = ["llmctl", ...run].map(quoteForShell).join(" ");
  // Quotes say where the command ends: after a colon, with nothing behind it, there is no need.
  if (before.endsWith(":") && after === "" && andThen === undefined && or === undefined) return `${before} ${command}`;
  const lead = before === "" ? "" : `${before} `;
  const gap = after === "" || /^[,;:]/.test(after) ? "" : " ";
  return `${lead}"${command}"${gap}${after}`;
}
