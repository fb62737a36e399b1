import { quoteForShell } from "./text/quote-for-shell.ts";

/** What to do about a problem: an llmctl command where one solves it, else text. */
export type Fix = string | CommandFix;

/**
 * An llmctl command that solves a problem. Programs read `run`; people read the whole fix as {@link describeFix} spells
 * it. It is part of the JSON of errors, findings and states, so keys are only ever added.
 */
export interface CommandFix {
  /** The arguments of `llmctl`, not quoted. */
  readonly run: readonly string[];
  /** Text before the command in place of "run", such as `delete the file, then run`; empty for no text. */
  readonly before?: string;
  /** Text after the command, such as `for what runs`. */
  readonly after?: string;
  /** The command that follows this one. */
  readonly andThen?: CommandFix;
  /** An alternative. */
  readonly or?: Fix;
}

/** A problem on one line: what happened, and the fix if there is one. */
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
  // Quotes mark the end of the command; after a colon, with no text behind it, they are not needed.
  if (before.endsWith(":") && after === "" && andThen === undefined && or === undefined) return `${before} ${command}`;
  const lead = before === "" ? "" : `${before} `;
  const gap = after === "" || /^[,;:]/.test(after) ? "" : " ";
  return `${lead}"${command}"${gap}${after}`;
}
