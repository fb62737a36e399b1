import { LlmctlError } from "../../base/errors.ts";
import { findPaths, type Paths } from "../../base/files/paths.ts";
import { llmctlVersion } from "../../base/version.ts";
import { followEvents, requestRestart } from "../../control/client.ts";
import { planLaunch, type LaunchPlan } from "../../llama/plan/plan-launch.ts";
import { PlanSession } from "../../llama/plan/plan-session.ts";
import { loadInOrder } from "../../profiles/dependencies.ts";
import { loadProfile } from "../../profiles/load.ts";
import { otherVersion } from "../../supervisor/check-launch.ts";
import { findAnswering } from "../../supervisor/state/find-supervisor.ts";
import { launchVersion } from "../../supervisor/launch.ts";
import { findOrphan } from "../../supervisor/state/orphan.ts";
import { findLoadOptions } from "../options/context.ts";
import { notRunning, notRunningHere } from "./down.ts";
import { showPlanNotes } from "../look/plan.ts";
import { listProfileStates } from "../../supervisor/state/profile-states.ts";
import { reportError } from "../screen/report-error.ts";
import { waitForReady } from "../screen/show-events.ts";

interface RestartOptions {
  /** All whose supervisors run, in place of names. */
  readonly all: boolean;
  readonly timeoutMs: number | undefined;
}

/**
 * Stops servers and starts them as their profiles now say, one at a time, in the order of `up`. All profiles are
 * checked before the first running server is touched; what they depend on is left alone, unless it is named, too.
 * @returns the exit code; what comes after a failure is left as it runs.
 */
export async function restart(namesOrPaths: readonly string[], { all, timeoutMs }: RestartOptions): Promise<number> {
  const paths = findPaths();
  const { profiles, failures } = all ? await listRunning(paths) : { profiles: namesOrPaths, failures: [] };
  const plans = await planAll(profiles, paths);
  if (plans.length === 0 && failures.length === 0) process.stdout.write("nothing is running\n");
  const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  for (const [index, { launch }] of plans.entries()) {
    if (plans.length > 1) process.stdout.write(`${index === 0 ? "" : "\n"}${launch.name}\n`);
    const running = await findAnswering(paths, launch.name);
    if (running === undefined || !(await requestRestart(running.socketPath, launch))) throw notRunning(launch.name);
    const code = await waitForReady(launch, followEvents(running.socketPath, { signal: timeout }), timeout);
    if (code !== 0) return code;
  }
  // Told at the end: one that cannot be asked keeps the others from nothing.
  return failures.map(reportError)[0] ?? 0;
}

/** The files that the running profiles came from, and why others that run cannot be asked. */
async function listRunning(
  paths: Paths,
): Promise<{ readonly profiles: readonly string[]; readonly failures: readonly LlmctlError[] }> {
  const states = await listProfileStates(paths);
  return {
    profiles: states.filter(({ presence }) => presence === "live").map(({ status }) => status.profile),
    failures: states.flatMap(({ error }) => error ?? []),
  };
}

async function noSupervisor(name: string, paths: Paths): Promise<LlmctlError> {
  const orphan = await findOrphan(paths, name);
  if (orphan === undefined) return notRunningHere(name, paths);
  return new LlmctlError(
    "orphaned",
    `the server of "${name}" has outlived its supervisor (pid ${orphan.identity.pid})`,
    {
      exit: "notRunning",
      fix: {
        before: "take it over with",
        run: ["up", "-d", name],
        or: { before: "stop it with", run: ["down", name] },
      },
    },
  );
}

async function planAll(namesOrPaths: readonly string[], paths: Paths): Promise<readonly LaunchPlan[]> {
  const options = findLoadOptions(paths);
  const asked = await Promise.all(
    namesOrPaths.map(async (nameOrPath) => (await loadProfile(nameOrPath, options)).name),
  );
  const session = new PlanSession(paths, process.env);
  const plans: LaunchPlan[] = [];
  for (const profile of await loadInOrder(namesOrPaths, options)) {
    if (!asked.includes(profile.name)) continue;
    const running = await findAnswering(paths, profile.name);
    if (running === undefined) throw await noSupervisor(profile.name, paths);
    const { status } = running;
    // One from before this key could not say no, and would take a launch of another version for one of its own.
    if (status.launchVersion !== launchVersion)
      throw otherVersion(profile.name, status.llmctl, `llmctl ${llmctlVersion}`);
    const plan = await planLaunch(profile, { paths, env: process.env, session });
    showPlanNotes(plan);
    plans.push(plan);
  }
  return plans;
}
