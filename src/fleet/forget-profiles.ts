import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/files/paths.ts";
import { expectProfileName } from "../base/text/profile-name.ts";
import { forgetProfile } from "../supervisor/state/forget-profile.ts";
import { listProfileStates } from "../supervisor/state/profile-states.ts";

interface ForgetOptions {
  readonly paths: Paths;
  /** All that do not run, in place of names. */
  readonly all: boolean;
  readonly onForgotten: (name: string) => void;
}

/**
 * Removes the state and the logs of profiles that do not run; the profiles themselves and their models stay.
 * @returns how many.
 * @throws LlmctlError `still-running`, `never-run`; the profiles before it are forgotten then.
 */
export async function forgetProfiles(names: readonly string[], options: ForgetOptions): Promise<number> {
  for (const name of names) expectProfileName(name);
  const { paths, all, onForgotten } = options;
  const wanted = all ? await listGone(paths) : names;
  for (const name of wanted) {
    if (!(await forgetProfile(paths, name))) throw neverRun(name);
    onForgotten(name);
  }
  return wanted.length;
}

async function listGone(paths: Paths): Promise<readonly string[]> {
  return (await listProfileStates(paths)).filter(({ presence }) => presence === "gone").map(({ name }) => name);
}

function neverRun(name: string): LlmctlError {
  return new LlmctlError("never-run", `there is nothing of "${name}" to forget: it has never run`, {
    exit: "notRunning",
    fix: { before: "see", run: ["ps", "--all"], after: "for what has run" },
  });
}
