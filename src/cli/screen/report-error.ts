import { exitCodes } from "../../base/exit-codes.ts";
import { LlmctlError, type Problem } from "../../base/errors.ts";
import { describeFix } from "../../base/fix.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { describeError } from "./error-document.ts";
import { jsonLine } from "./json-text.ts";
import { paint } from "./paint.ts";
import { mapStack } from "./source-stack.ts";

/** Prints an error on stderr. @returns its exit code. */
export function reportError(error: unknown): number {
  if (error instanceof LlmctlError) {
    for (const problem of error.problems) process.stderr.write(`${formatProblem(problem)}\n`);
    return exitCodes[error.exit].code;
  }
  const stack = error instanceof Error ? mapStack(error.stack ?? error.message) : String(error);
  const fix = "this is a bug in llmctl; please report it with the lines above";
  process.stderr.write(`${paint("red", "llmctl: internal error:")} ${stack}\n  fix: ${fix}\n`);
  return exitCodes.bug.code;
}

/** Prints an error as one line of JSON on stdout: `pull --json` and `events --json` have printed lines before it. */
export function reportErrorAsJson(error: unknown): number {
  const { document, exitCode } = describeError(error);
  process.stdout.write(jsonLine(document));
  return exitCode;
}

/** A problem for people: what happened, where, and what to do. */
export function formatProblem({ message, at, fix }: Problem): string {
  const lines = [`${paint("red", "llmctl: error:")} ${printableSentence(message)}`];
  if (at !== undefined) lines.push(`  at:  ${printableSentence(at)}`);
  if (fix !== undefined) lines.push(`  fix: ${printableSentence(describeFix(fix))}`);
  return lines.join("\n");
}
