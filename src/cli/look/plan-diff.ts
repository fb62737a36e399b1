import { printableLine } from "../../base/text/printable.ts";
import type { Command } from "../../llama/plan/plan-launch.ts";
import type { Status } from "../../control/messages.ts";
import { paint } from "../screen/paint.ts";
import { quoteForShellInLine } from "../../base/text/quote-for-shell.ts";

/** The changes that a restart would make to a running command. Flags with their values, as on the command line. */
export interface CommandDiff {
  readonly removed: readonly (readonly string[])[];
  readonly added: readonly (readonly string[])[];
  /** The program that runs, and the one that is planned; undefined when they are the same. */
  readonly file?: { readonly from: string; readonly to: string };
  /** Something else of the launch differs, such as its health checks or its environment. */
  readonly otherSettings: boolean;
}

type Running = Required<Pick<Status, "command" | "hash">>;

/** @param planned The command with its flags apart, and the hash of its launch. */
export function diffCommands(
  running: Running,
  planned: Pick<Command, "file"> & { readonly flags: readonly (readonly string[])[]; readonly hash: string },
): CommandDiff {
  const before = splitFlags(running.command.args);
  const removed = without(before, planned.flags);
  const added = without(planned.flags, before);
  const sameFile = running.command.file === planned.file;
  const sameCommand = sameFile && removed.length === 0 && added.length === 0;
  return {
    removed,
    added,
    ...(sameFile ? {} : { file: { from: running.command.file, to: planned.file } }),
    otherSettings: sameCommand && running.hash !== planned.hash,
  };
}

/** A flag begins with a letter behind its dashes; `-1` is a value. */
function splitFlags(args: readonly string[]): string[][] {
  const flags: string[][] = [];
  for (const word of args) {
    if (/^-{1,2}[A-Za-z]/.test(word) || flags.length === 0) flags.push([word]);
    else flags.at(-1)?.push(word);
  }
  return flags;
}

function without(flags: readonly (readonly string[])[], others: readonly (readonly string[])[]): (readonly string[])[] {
  const known = new Set(others.map((flag) => flag.join("\0")));
  return flags.filter((flag) => !known.has(flag.join("\0")));
}

/**
 * One line for each change: `-` for the running command, `+` for the planned one. Else a sentence that there is none.
 */
export function describeDiff(name: string, { removed, added, file, otherSettings }: CommandDiff): string {
  const removedLine = (text: string) => paint("red", `- ${printableLine(text)}`, process.stdout);
  const addedLine = (text: string) => paint("green", `+ ${printableLine(text)}`, process.stdout);
  const shell = (flag: readonly string[]) => flag.map(quoteForShellInLine).join(" ");
  const lines = [
    ...(file === undefined ? [] : [removedLine(file.from), addedLine(file.to)]),
    ...removed.map((flag) => removedLine(shell(flag))),
    ...added.map((flag) => addedLine(shell(flag))),
  ];
  const restart = `"llmctl restart ${name}" takes it up`;
  if (lines.length > 0)
    return `${[`# ${name}: what runs (-) and what is planned (+); ${restart}`, ...lines].join("\n")}\n`;
  return otherSettings
    ? `the command of "${name}" is the one that runs; other settings of the profile differ: ${restart}\n`
    : `"${name}" runs as planned\n`;
}
