import { isSystemError, LlmctlError } from "../base/errors.ts";

/**
 * Runs a step of a timer, a watch or an event, which nobody else catches. What fails outside this program (a disk, a
 * right, a limit) is told and costs this one step; a mistake of ours still ends the process with its stack.
 * @param what The step that failed, for people: `cannot read the server's log`.
 */
export function warnOnSystemError<T>(what: string, step: () => T, warn: (text: string) => void): T | undefined {
  try {
    return step();
  } catch (error) {
    warn(describeSystemError(what, error));
    return undefined;
  }
}

/** @throws the error itself when it is a mistake of ours. */
export function describeSystemError(what: string, error: unknown): string {
  if (!isSystemError(error) && !(error instanceof LlmctlError)) throw error;
  return `${what}: ${error.message}`;
}

/**
 * As {@link warnOnSystemError}, for work that nobody waits for. Our own mistake ends the process with its stack, and
 * the kernel ends the server with it.
 */
export function runInBackground(work: Promise<void>, warn: (text: string) => void): void {
  work.catch((error: unknown) =>
    setImmediate(() => warn(describeSystemError("something failed beside the server", error))),
  );
}
