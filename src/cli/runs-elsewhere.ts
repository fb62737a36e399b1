import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/paths.ts";
import { fetchStatus } from "../control/client.ts";
import { controlSocketPath } from "../control/socket-path.ts";

/** Why a unit cannot be started: the profile has a supervisor already. @returns undefined when none is found. */
export async function runsElsewhere(name: string, paths: Paths): Promise<LlmctlError | undefined> {
  const pid = await findSupervisor(name, paths);
  if (pid === undefined) return undefined;
  return new LlmctlError("already-running", `"${name}" already runs, but not by this unit: its supervisor is pid ${pid}`, {
    exit: "busy",
    fix: `stop it with "llmctl down ${name}", then start the unit`,
  });
}

async function findSupervisor(name: string, paths: Paths): Promise<number | "not known" | undefined> {
  try {
    return (await fetchStatus(controlSocketPath(paths.runtime, name)))?.supervisorPid;
  } catch (error) {
    if (error instanceof LlmctlError && error.code === "unresponsive") return "not known";
    throw error;
  }
}
