import { exitCodeOf, LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/files/paths.ts";
import { llmctlVersion } from "../base/version.ts";
import { followEvents, requestRestart } from "../control/client.ts";
import { planLaunch, type LaunchPlan } from "../llama/plan/plan-launch.ts";
import { PlanSession } from "../llama/plan/plan-session.ts";
import { loadInOrder } from "../profiles/dependencies.ts";
import { loadProfile, type LoadOptions } from "../profiles/load.ts";
import { otherVersion } from "../supervisor/check-launch.ts";
import { findAnswering } from "../supervisor/state/find-supervisor.ts";
import { launchVersion } from "../supervisor/launch.ts";
import { findOrphan } from "../supervisor/state/orphan.ts";
import { listProfileStates } from "../supervisor/state/profile-states.ts";
import { notRunning, notRunningHere } from "./not-running.ts";
import type { OnStartEvent } from "./start/start-event.ts";
import { waitForReady } from "./start/wait-for-ready.ts";

interface RestartOptions {
  readonly paths: Paths;
  readonly env: NodeJS.ProcessEnv;
  /** Where profiles are looked for. */
  readonly load: LoadOptions;
  /** All whose supervisors run, in place of names. */
  readonly all: boolean;
  /** Longest wait for all of them, in milliseconds; the servers go on loading after it. */
  readonly timeoutMs: number | undefined;
  readonly onEvent: OnStartEvent;
}

/**
 * Stops servers and starts them as their profiles now say, one at a time, in the order of a start. All profiles are
 * checked before the first running server is touched. Their dependencies are left alone, unless they are named as well.
 * @returns the exit code; after a failure, the profiles that come later are left as they run.
 * @throws LlmctlError of a profile or of a supervisor.
 */
export async function restartProfiles(namesOrPaths: readonly string[], options: RestartOptions): Promise<number> {
  const { paths, all, timeoutMs, onEvent } = options;
  const { profiles, failures } = all ? await listRunning(paths) : { profiles: namesOrPaths, failures: [] };
  const plans = await planAll(profiles, options);
  if (plans.length === 0 && failures.length === 0) onEvent({ kind: "nothing-running" });
  const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  for (const [index, { launch }] of plans.entries()) {
    if (plans.length > 1) onEvent({ kind: "profile", name: launch.name, isFirst: index === 0 });
    const running = await findAnswering(paths, launch.name);
    if (running === undefined || !(await requestRestart(running.socketPath, launch))) throw notRunning(launch.name);
    const events = followEvents(running.socketPath, { signal: timeout });
    const code = await waitForReady(launch, events, { paths, timeout, onEvent });
    if (code !== 0) return code;
  }
  // Reported at the end: one that cannot be asked does not keep the others from being restarted.
  for (const error of failures) onEvent({ kind: "error", error });
  return failures.map(exitCodeOf)[0] ?? 0;
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

async function planAll(
  namesOrPaths: readonly string[],
  { paths, env, load, onEvent }: RestartOptions,
): Promise<readonly LaunchPlan[]> {
  const asked = await Promise.all(namesOrPaths.map(async (nameOrPath) => (await loadProfile(nameOrPath, load)).name));
  const session = new PlanSession(paths, env);
  const plans: LaunchPlan[] = [];
  for (const profile of await loadInOrder(namesOrPaths, load)) {
    if (!asked.includes(profile.name)) continue;
    const running = await findAnswering(paths, profile.name);
    if (running === undefined) throw await noSupervisor(profile.name, paths);
    const { status } = running;
    // A supervisor of before this key takes any launch for one of its own version; it cannot refuse one.
    if (status.launchVersion !== launchVersion)
      throw otherVersion(profile.name, status.llmctl, `llmctl ${llmctlVersion}`);
    const plan = await planLaunch(profile, { paths, env, session });
    onEvent({ kind: "plan", plan });
    plans.push(plan);
  }
  return plans;
}
