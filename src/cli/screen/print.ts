import { once } from "node:events";
import { writeExact } from "./guard-output.ts";

/*
 * The streams of this process are written here and in this folder alone. What reaches the terminal is made printable by
 * the streams themselves; see guard-output.ts.
 */

/** Writes the result of a command. @param text Whole lines. */
export function print(text: string): void {
  process.stdout.write(text);
}

/** Writes what is not the result of a command: notes, warnings, progress and errors. @param text Whole lines. */
export function printError(text: string): void {
  process.stderr.write(text);
}

/** The width for tables, in columns; unlimited where the output is no terminal. */
export function outputWidth(): number {
  return process.stdout.columns || Infinity;
}

/**
 * Prints a line of a log, and waits for a reader that is slower than the disk, so that the log does not pile up in
 * memory. A file or a program gets the bytes that the server wrote, colours included, as `cat` would give them: a
 * search has to find them. On a terminal control characters are made visible.
 */
export async function printLogLine(line: string, signal: AbortSignal): Promise<void> {
  const { stdout } = process;
  if (signal.aborted || (stdout.isTTY ? stdout.write(`${line}\n`) : writeExact(stdout, `${line}\n`))) return;
  await once(stdout, "drain", { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
