import { type Clock, systemClock } from "../../base/clock.ts";
import type { Paths } from "../../base/files/paths.ts";
import { launchSettings } from "../../llama/plan/launch-settings.ts";
import { planLaunch, type LaunchPlan } from "../../llama/plan/plan-launch.ts";
import { explainPlanFailure } from "../../llama/plan/plan-failure.ts";
import { ensureModels } from "../../models/ensure-models.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import type { ExitCause, Launch } from "../../supervisor/launch.ts";
import type { StartHost } from "./start-host.ts";

export interface PlanStartOptions {
  readonly paths: Paths;
  readonly env: NodeJS.ProcessEnv;
  /** Fetch missing models before anything is started. */
  readonly fetch: boolean;
  /** Read once the content of models that another program has fetched. */
  readonly verify: boolean;
  readonly host: StartHost;
  readonly clock?: Pick<Clock, "sleep">;
}

/** The hash of a launch that is not planned yet. */
export const unplannedHash = "";

/** Makes the models ready, then plans. @throws LlmctlError as `ensureModels` and `planLaunch`. */
export async function makePlan(profile: Profile, options: PlanStartOptions): Promise<LaunchPlan> {
  const { paths, env, fetch, verify, host } = options;
  const { onEvent, whileModels = runUninterrupted } = host;
  await whileModels((signal) =>
    ensureModels(profile, {
      paths,
      env,
      fetch,
      verify,
      signal,
      onEvent: (event) => onEvent({ kind: "model", event }),
    }),
  );
  return planLaunch(profile, { paths, env });
}

function runUninterrupted(action: (signal: AbortSignal) => Promise<void>): Promise<void> {
  return action(new AbortController().signal);
}

/** What a service is started with. */
export interface ServiceStart {
  readonly launch: Launch;
  /** Makes the launch of a service that could not be planned yet, as `supervise` wants it. */
  readonly plan?: () => Promise<Launch | ExitCause>;
  readonly isPlanning: () => boolean;
}

/**
 * Plans a start that nobody watches. Where the plan lacks something that may come by itself, the launch is a
 * placeholder: there is then a supervisor that can be asked and stopped, and that supervisor plans again.
 * @throws LlmctlError of what will not come.
 */
export async function planService(profile: Profile, options: PlanStartOptions): Promise<ServiceStart> {
  const first = await planOrExplain(profile, options);
  if (!("permanent" in first)) return { launch: first, isPlanning: () => false };
  let isFirst = true;
  let last = first;
  let running = 0;
  const planAgain = async (): Promise<Launch | ExitCause> => {
    running += 1;
    try {
      const now = await planOrExplain(profile, options, "all");
      if (!("permanent" in now)) return now;
      // A file that has just come may still be copied: only a cause that stays the same is final.
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
      return isKnown ? first : planAgain();
    },
    isPlanning: () => running > 0,
  };
}

/**
 * Plans what a service depends on, and retries while the plan lacks something that may come; systemd is told why the
 * start takes long.
 * @throws LlmctlError of what will not come.
 */
export async function planPatiently(profile: Profile, options: PlanStartOptions): Promise<LaunchPlan> {
  const { host, clock = systemClock } = options;
  const { backoffMs, backoffMaxMs } = launchSettings(profile).restart;
  for (let waits = 0; ; waits += 1) {
    try {
      return await makePlan(profile, options);
    } catch (error) {
      const cause = explainPlanFailure(error);
      if (cause?.mayCome !== true) throw error;
      await waitFor(profile, cause, { host, clock, delayMs: Math.min(backoffMs * 2 ** waits, backoffMaxMs) });
    }
  }
}

interface Wait {
  readonly host: StartHost;
  readonly clock: Pick<Clock, "sleep">;
  readonly delayMs: number;
}

async function waitFor({ name }: Profile, cause: ExitCause, { host, clock, delayMs }: Wait): Promise<void> {
  host.onEvent({ kind: "waiting", name, cause });
  const held = host.holdStart?.(`"${name}", which it depends on, waits: ${cause.message}`);
  try {
    await clock.sleep(delayMs);
  } finally {
    held?.close();
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
    options.host.onEvent({ kind: "plan", plan });
    return plan.launch;
  } catch (error) {
    const cause = explainPlanFailure(error);
    if (cause === undefined || (explained === "what may come" && cause.mayCome !== true)) throw error;
    return cause;
  }
}

function unplanned(profile: Profile): Launch {
  const proof = { wanted: false, reason: "nothing is planned yet" } as const;
  return {
    ...launchSettings(profile),
    file: "",
    args: [],
    env: {},
    files: [],
    proof,
    build: "",
    hash: unplannedHash,
  };
}
