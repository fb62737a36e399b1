import { exitCodes } from "../../base/exit-codes.ts";
import { LlmctlError } from "../../base/errors.ts";
import type { Fix } from "../../base/fix.ts";
import { mapStack } from "./source-stack.ts";

/** Version of {@link ErrorDocument}: counts up when a key changes its meaning or goes, not when one is added. */
export const errorDocumentVersion = 1;

interface ProblemEntry {
  readonly message: string;
  /** Null where the problem has no place. */
  readonly at: string | null;
  /** Null where no fix is known. */
  readonly fix: Fix | null;
}

/** What every command that has `--json` prints when it fails. */
export interface ErrorDocument {
  readonly version: typeof errorDocumentVersion;
  readonly error: ProblemEntry & {
    readonly code: string;
    /** All problems; the first one is the error itself. Never empty. */
    readonly problems: readonly ProblemEntry[];
    /** Only with `internal-error`; null where the thrown value is not an Error. */
    readonly stack?: string | null;
  };
}

/** The document and the exit code of an error. Anything but an LlmctlError is a bug in llmctl. */
export function describeError(error: unknown): { readonly document: ErrorDocument; readonly exitCode: number } {
  if (!(error instanceof LlmctlError)) return { document: describeBug(error), exitCode: exitCodes.bug.code };
  const problems = error.problems.map(({ message, at = null, fix = null }) => ({ message, at, fix }));
  const { message, at = null, fix = null } = error;
  const document = { version: errorDocumentVersion, error: { code: error.code, message, at, fix, problems } } as const;
  return { document, exitCode: exitCodes[error.exit].code };
}

function describeBug(error: unknown): ErrorDocument {
  const isError = error instanceof Error;
  const problem = {
    message: isError ? error.message : String(error),
    at: null,
    fix: "this is a bug in llmctl; please report it with its stack",
  };
  const stack = isError && error.stack !== undefined ? mapStack(error.stack) : null;
  return { version: errorDocumentVersion, error: { code: "internal-error", ...problem, problems: [problem], stack } };
}
