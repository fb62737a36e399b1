import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import { findSupervisor } from "../../supervisor/state/find-supervisor.ts";

/** Why a unit cannot be started: the profile has a supervisor already. @returns undefined when none is found. */
export async function runsElsewhere(name: string, paths: Paths): Promise<LlmctlError | undefined> {
  const found = await findSupervisor(paths, name);
  if (found === undefined) return undefined;
  const pid = found.answers ? found.status.supervisorPid : found.pid;
  return new LlmctlError(
    "already-running",
    `"${name}" already runs, but not by this unit: its supervisor is pid ${pid ?? "not known"}`,
    {
      exit: "busy",
      fix: { before: "stop it with", run: ["down", name], after: ", then start the unit" },
    },
  );
}
