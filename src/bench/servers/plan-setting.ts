import { planLaunch } from "../../llama/plan/plan-launch.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import { findDraftingType, splitDraftingTypes } from "../../profiles/rules/drafting-types.ts";
import type { Profile, ProfileValues } from "../../profiles/schema/schema.ts";
import type { RenderedFlag } from "../../llama/render/flag-rule.ts";
import type { Launch } from "../../supervisor/launch.ts";
import type { Contestant } from "../rounds/run-rounds.ts";

/** The draft of a profile; undefined for none. */
export type DraftValues = ProfileValues["draft"];

/** One way of running a model, ready to be started. */
export interface BenchSetting extends Contestant {
  readonly profile: Profile;
  readonly launch: Launch;
  readonly flags: readonly RenderedFlag[];
}

interface SettingOptions {
  readonly label: string;
  readonly session: PlanSession;
}

/**
 * Plans a server for measurements: the profile's own, on a free port of the loopback address, for nobody else.
 * @throws LlmctlError as `planLaunch`.
 */
export async function planSetting(
  profile: Profile,
  draft: DraftValues,
  { label, session }: SettingOptions,
): Promise<BenchSetting> {
  const measured = forMeasurement(profile, draft);
  const { paths, env } = session;
  const { launch, flags } = await planLaunch(measured, { paths, env, session });
  return { label, profile: measured, launch, flags, remembers: remembersPrompts(draft) };
}

/** The profile with another draft, and with the HTTP server that a measurement needs. */
export function forMeasurement(profile: Profile, draft: DraftValues): Profile {
  const { draft: _, ...values } = profile.values;
  const { threads_http: threads } = values.server;
  const server = {
    host: "127.0.0.1",
    port: "auto" as const,
    metrics: true,
    ...(threads === undefined ? {} : { threads_http: threads }),
  };
  return {
    ...profile,
    values: { ...values, server, orphan: "kill", ...(draft === undefined ? {} : { draft }) },
  };
}

/** n-gram types keep what they have seen for as long as their server lives. */
function remembersPrompts(draft: DraftValues): boolean {
  return splitDraftingTypes(draft?.type ?? "").some((type) => findDraftingType(type)?.source === "ngram");
}
