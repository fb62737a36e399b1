import { LlmctlError } from "../errors.ts";

/** A name that is safe as a file name and short enough for a socket path; `up NAME` and the profile's file share it. */
export const profileNamePattern = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/**
 * Checks the name of a profile that has run or may run; its state is in a folder of that name.
 * @throws LlmctlError `bad-name`
 */
export function expectProfileName(name: string): void {
  if (profileNamePattern.test(name)) return;
  throw new LlmctlError("bad-name", `"${name}" is not a profile name`, {
    exit: "usage",
    fix: { before: "see", run: ["ps", "--all"], after: "for the names of profiles that have run" },
  });
}
