import { exitCodes, type ExitName } from "./exit-codes.ts";
import type { Fix } from "./fix.ts";

/** One thing that is wrong: what happened, where, and what to do about it. */
export interface Problem {
  /** What happened: lower case, no final stop, the user's own words quoted. */
  readonly message: string;
  /** Where: `file:line:column`, a command, a process. */
  readonly at?: string;
  /** What to do. */
  readonly fix?: Fix;
}

interface ErrorOptions extends Omit<Problem, "message"> {
  readonly exit: ExitName;
  readonly cause?: unknown;
}

/**
 * A failure that llmctl foresees; anything else that is thrown is a bug of llmctl.
 * Rooms throw it and never print; `main.ts` prints it once.
 */
export class LlmctlError extends Error {
  override readonly name: string = "LlmctlError";
  /** Stable, kebab-case name of the failure, for scripts (`--json`). */
  readonly code: string;
  readonly exit: ExitName;
  /** All problems found, the first of which is also this error's message. Never empty. */
  readonly problems: readonly Problem[];

  constructor(code: string, message: string, options: ErrorOptions, more: readonly Problem[] = []) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.exit = options.exit;
    this.problems = [{ message, ...placed(options) }, ...more];
  }

  get at(): string | undefined {
    return this.problems[0]?.at;
  }

  get fix(): Fix | undefined {
    return this.problems[0]?.fix;
  }
}

/** Joins failures into one error with all their problems; the code and the exit code are those of the first. */
export function joinErrors(first: LlmctlError, more: readonly LlmctlError[]): LlmctlError {
  if (more.length === 0) return first;
  const { code, message, exit, problems } = first;
  const [one = { message }, ...others] = problems;
  return new LlmctlError(code, message, { ...one, exit, cause: first }, [
    ...others,
    ...more.flatMap((error) => error.problems),
  ]);
}

/** The exit code of a command that ends with this error. What is no LlmctlError is a bug of ours. */
export function exitCodeOf(error: unknown): number {
  return exitCodes[error instanceof LlmctlError ? error.exit : "bug"].code;
}

function placed(options: ErrorOptions): Omit<Problem, "message"> {
  return {
    ...(options.at === undefined ? {} : { at: options.at }),
    ...(options.fix === undefined ? {} : { fix: options.fix }),
  };
}

/** The `code` of a Node system error (`ENOENT`, `EACCES` …), or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && !(error instanceof LlmctlError) && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

/**
 * Whether the operating system refused a request: a full disk, a missing permission, a limit. Node sets `syscall` on
 * such an error, and not on an error about wrong arguments.
 */
export function isSystemError(error: unknown): error is Error {
  return error instanceof Error && "syscall" in error;
}
