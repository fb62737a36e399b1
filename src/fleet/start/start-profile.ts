import { systemClock } from "../../base/clock.ts";
import { LlmctlError } from "../../base/errors.ts";
import { planLaunch, type LaunchPlan } from "../../llama/plan/plan-launch.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { isService } from "../../services/notify.ts";
import type { Launch } from "../../supervisor/launch.ts";
import { findAnswering } from "../../supervisor/state/find-supervisor.ts";
import { attach, attachSoon } from "./attach.ts";
import { makePlan, planPatiently, planService, type PlanStartOptions } from "./plan-start.ts";
import { runsElsewhere } from "./runs-elsewhere.ts";
import { startDetached } from "./start-detached.ts";
import type { RunHere, StartHost } from "./start-host.ts";
import { waitForReady, type WaitOptions } from "./wait-for-ready.ts";

export interface StartOptions extends PlanStartOptions {
  /** Longest wait for ready, in milliseconds; the server goes on loading after it. */
  readonly timeoutMs: number | undefined;
}

/**
 * Starts one profile, whatever it depends on, and waits until it is ready: makes its models ready, plans, joins a
 * supervisor that runs already, else starts one. Safe to repeat.
 * @returns the exit code.
 */
export async function startProfile(profile: Profile, { timeoutMs, ...options }: StartOptions): Promise<number> {
  const { paths, env, host, clock = systemClock } = options;
  const { onEvent, runHere } = host;
  if (runHere !== undefined && isService(env)) return serve(profile, options, runHere);
  const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  const waiting = { paths, timeout, onEvent, clock };
  const plan = await planWatched(profile, options);
  const attached = await attach(plan.launch, waiting);
  if (attached !== undefined) return attached;
  onEvent({ kind: "plan", plan });
  for (let starts = 1; ; starts += 1) {
    try {
      const { launch } = plan;
      return await (runHere === undefined ? runDetached(launch, host, waiting) : runHere({ launch, paths }));
    } catch (error) {
      // Another start of the same profile was a moment faster: its server is the wanted one.
      const lost = error instanceof LlmctlError && error.code === "already-running";
      const joined = lost ? await attachSoon(plan.launch, waiting) : undefined;
      if (joined !== undefined) return joined;
      // The faster one may have failed, as on a full disk: the next try then finds the cause itself.
      if (!lost || starts === mostStarts) throw error;
    }
  }
}

/** Races that are lost to supervisors which then fail are rare. */
const mostStarts = 3;

async function planWatched(profile: Profile, options: PlanStartOptions): Promise<LaunchPlan> {
  const { paths, env } = options;
  if ((await findAnswering(paths, profile.name)) !== undefined) return planLaunch(profile, { paths, env });
  // A dependency of a unit that has no unit of its own is as patient as that unit.
  if (isService(env)) return planPatiently(profile, options);
  // Here and not in the supervisor: the person who asked for the start sees the progress, and Ctrl-C ends it.
  return makePlan(profile, options);
}

/**
 * Starts a profile for systemd, which wants this process to be the supervisor: nobody watches, so the start waits for
 * what may come.
 * @throws LlmctlError `already-running` when a supervisor runs that is not this unit's.
 */
async function serve(profile: Profile, options: PlanStartOptions, runHere: RunHere): Promise<number> {
  const { paths } = options;
  const elsewhere = await runsElsewhere(profile.name, paths);
  if (elsewhere !== undefined) throw elsewhere;
  const { launch, plan, isPlanning } = await planService(profile, options);
  try {
    return await runHere({ launch, paths, ...(plan === undefined ? {} : { plan }), isPlanning });
  } catch (error) {
    const lost = error instanceof LlmctlError && error.code === "already-running";
    throw (lost ? await runsElsewhere(profile.name, paths) : undefined) ?? error;
  }
}

function runDetached(launch: Launch, { whileDetached }: StartHost, waiting: WaitOptions): Promise<number> {
  const wait = () => waitForReady(launch, startDetached(launch, waiting.paths, waiting.timeout), waiting);
  return whileDetached === undefined ? wait() : whileDetached(launch.name, wait);
}
