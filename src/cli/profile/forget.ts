import { findPaths, type Paths } from "../../base/files/paths.ts";
import { LlmctlError } from "../../base/errors.ts";
import { expectProfileName } from "../../base/text/profile-name.ts";
import { forgetProfile } from "../../supervisor/state/forget-profile.ts";
import { listProfileStates } from "../../supervisor/state/profile-states.ts";

/**
 * Removes the state and the logs of profiles that do not run; the profiles themselves and their models stay.
 * @throws LlmctlError `still-running`, `never-run`.
 */
export async function forget(names: readonly string[], { all }: { readonly all: boolean }): Promise<number> {
  for (const name of names) expectProfileName(name);
  const paths = findPaths();
  const wanted = all ? await listGone(paths) : names;
  if (all && wanted.length === 0) process.stdout.write("there is nothing to forget\n");
  for (const name of wanted) {
    if (!(await forgetProfile(paths, name))) throw neverRun(name);
    process.stdout.write(`forgot "${name}": its state and its logs\n`);
  }
  return 0;
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
