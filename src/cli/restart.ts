import { findPaths } from "../base/paths.ts";
import { fetchStatus, followEvents, requestRestart } from "../control/client.ts";
import { controlSocketPath } from "../control/socket-path.ts";
import { planLaunch } from "../llama/plan-launch.ts";
import { openProfile } from "./context.ts";
import { notRunning } from "./down.ts";
import { showPlanNotes } from "./plan.ts";
import { waitForReady } from "./show-events.ts";

/**
 * Stops the server and starts it as the profile now says. The profile is checked before the running server is touched.
 * @returns the exit code.
 */
export async function restart(nameOrPath: string, timeoutMs: number | undefined): Promise<number> {
  const paths = findPaths();
  const profile = await openProfile(nameOrPath, paths);
  const socketPath = controlSocketPath(paths.runtime, profile.name);
  if ((await fetchStatus(socketPath)) === undefined) throw notRunning(profile.name);
  const plan = await planLaunch(profile, { paths, env: process.env });
  showPlanNotes(plan);
  if (!(await requestRestart(socketPath, plan.launch))) throw notRunning(profile.name);
  const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  return waitForReady(profile.name, followEvents(socketPath, timeout), timeout);
}
