import { createInterface } from "node:readline/promises";
import { LlmctlError } from "../../base/errors.ts";
import { describeInLine } from "../../base/fix.ts";
import { printable, printableSentence } from "../../base/text/printable.ts";
import { forLineEditor } from "./guard-output.ts";

/** Whether a person can be asked: input and errors are a terminal. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/**
 * Asks one question on the terminal.
 * @returns the trimmed answer.
 * @throws LlmctlError `interrupted` for Ctrl-C and for the end of the input.
 */
async function ask(question: string): Promise<string> {
  // Questions go to stderr: stdout carries the result, which a script may read.
  const lines = createInterface({ input: process.stdin, output: forLineEditor(process.stderr) });
  const over = new AbortController();
  lines.on("SIGINT", () => over.abort());
  lines.on("close", () => over.abort());
  try {
    return (await lines.question(printable(question), { signal: over.signal })).trim();
  } catch (cause) {
    if (!over.signal.aborted) throw cause;
    process.stderr.write("\n");
    throw new LlmctlError("interrupted", "no answer, nothing was changed", { exit: "interrupted", cause });
  } finally {
    lines.close();
  }
}

/**
 * Asks until the answer is valid.
 * @param read Turns the answer into a value, or throws an LlmctlError with the reason why it is not valid.
 */
export async function askFor<T>(question: string, read: (answer: string) => T | Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask(question);
    try {
      return await read(answer);
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      process.stderr.write(`  ${printableSentence(describeInLine(error))}\n`);
    }
  }
}
