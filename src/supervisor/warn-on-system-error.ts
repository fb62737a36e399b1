import { isSystemError, LlmctlError } from "../base/errors.ts";

/**
 * Runs a step of a timer, a watch or an event handler, whose errors nobody else catches. An error from outside this
 * program (disk, permission, limit) becomes a warning and skips this one step. A bug still ends the process with its
 * stack.
 * @param what The failed step, for people: `cannot read the server's log`.
 */
export function warnOnSystemError<T>(what: string, step: () => T, warn: (text: string) => void): T | undefined {
  try {
    return step();
  } catch (error) {
    warn(describeSystemError(what, error));
    return undefined;
  }
}

/** @throws the error itself when it is a bug. */
export function describeSystemError(what: string, error: unknown): string {
  if (!isSystemError(error) && !(error instanceof LlmctlError)) throw error;
  return `${what}: ${error.message}`;
}

/** Like {@link warnOnSystemError}, for work that nobody awaits. A bug ends the process, and the kernel the server. */
export function runInBackground(work: Promise<void>, warn: (text: string) => void): void {
  work.catch((error: unknown) =>
    setImmediate(() => warn(describeSystemError("a background task of the supervisor failed", error))),
  );
}
