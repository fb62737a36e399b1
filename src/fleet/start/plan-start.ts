import { setTimeout as sleep } from "node:timers/promises";
import type { Paths } from "../../base/files/paths.ts";
import { printableSentence } from "../../base/text/printable.ts";
import { launchSettings } from "../../llama/plan/launch-settings.ts";
import { planLaunch, type LaunchPlan } from "../../llama/plan/plan-launch.ts";
import { explainPlanFailure } from "../../llama/plan/plan-failure.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import type { ExitCause, Launch } from "../../supervisor/launch.ts";
import { showPlanNotes } from "../../cli/look/plan.ts";
import { prepareModels } from "../../cli/get/prepare-models.ts";
import { holdStart } from "../../cli/run/systemd-reporter.ts";

export interface PlanStartOptions {
  readonly paths: Paths;
  /** Fetch what is missing, before anything is started. */
  readonly fetch: boolean;
  /** Read, once, what another program has fetched. */
  readonly verify: boolean;
}

/** The hash of a launch that is not planned yet. */
export const unplannedHash = "";

/** Makes the models ready, then plans. @throws LlmctlError as `prepareModels` and `planLaunch`. */
export async function makePlan(profile: Profile, options: PlanStartOptions): Promise<LaunchPlan> {
  await prepareModels(profile, options);
  return planLaunch(profile, { paths: options.paths, env: process.env });
}

/** What a service is started with. */
export interface ServiceStart {
  readonly launch: Launch;
  /** Makes the launch of a service that could not be planned yet, as `supervise` wants it. */
  readonly plan?: () => Promise<Launch | ExitCause>;
  readonly isPlanning: () => boolean;
}

/**
 * Plans a start that nobody watches. Where something lacks that may come by itself, the launch is one for show, so that
 * there is a supervisor that can be asked and stopped, and the plan is left to it.
 * @throws LlmctlError of what will not come.
 */
export async function planService(profile: Profile, options: PlanStartOptions): Promise<ServiceStart> {
  const first = await planOrExplain(profile, options);
  if (!("permanent" in first)) return { launch: first, isPlanning: () => false };
  let isFirst = true;
  let last = first;
  let running = 0;
  const look = async (): Promise<Launch | ExitCause> => {
    running += 1;
    try {
      const now = await planOrExplain(profile, options, "all");
      if (!("permanent" in now)) return now;
      // What has just come may still be on its way, such as a file that is being copied: only what stays the same is
      // final.
      const isNew = now.message !== last.message;
      last = now;
      return isNew ? { ...now, mayCome: true } : now;
    } finally {
      running -= 1;
    }
  };
  return {
    launch: unplanned(profile),
    plan: async () => {
      const isKnown = isFirst;
      isFirst = false;
      return isKnown ? first : look();
    },
    isPlanning: () => running > 0,
  };
}

/**
 * Plans what a service depends on, as often as it takes; systemd is told why it takes long.
 * @throws LlmctlError of what will not come.
 */
export async function planPatiently(profile: Profile, options: PlanStartOptions): Promise<LaunchPlan> {
  const { backoffMs, backoffMaxMs } = launchSettings(profile).restart;
  for (let waits = 0; ; waits += 1) {
    try {
      return await makePlan(profile, options);
    } catch (error) {
      const cause = explainPlanFailure(error);
      if (cause?.mayCome !== true) throw error;
      await waitFor(profile, cause, Math.min(backoffMs * 2 ** waits, backoffMaxMs));
    }
  }
}

async function waitFor({ name }: Profile, { message }: ExitCause, delayMs: number): Promise<void> {
  const held = holdStart(process.env);
  try {
    process.stdout.write(`"${name}" waits: ${printableSentence(message)}\n`);
    held.status(`"${name}", which it depends on, waits: ${message}`);
    await sleep(delayMs);
  } finally {
    held.close();
  }
}

/**
 * @param explained Which failures are returned; the others are thrown.
 * @returns the launch, or why there is none.
 */
async function planOrExplain(
  profile: Profile,
  options: PlanStartOptions,
  explained: "what may come" | "all" = "what may come",
): Promise<Launch | ExitCause> {
  try {
    const plan = await makePlan(profile, options);
    showPlanNotes(plan);
    return plan.launch;
  } catch (error) {
    const cause = explainPlanFailure(error);
    if (cause === undefined || (explained === "what may come" && cause.mayCome !== true)) throw error;
    return cause;
  }
}

function unplanned(profile: Profile): Launch {
  const drafting = { wanted: false, reason: "nothing is planned yet" } as const;
  return {
    ...launchSettings(profile),
    file: "",
    args: [],
    env: {},
    files: [],
    drafting,
    build: "",
    hash: unplannedHash,
  };
}
