import { vocabRuleFromFlags } from "../../llama/draft/build-vocab-rule.ts";
import type { CostKeys } from "../../llama/draft/launch-costs.ts";
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
  /** Where costs of its models are kept; undefined where the binary cannot be looked at. */
  readonly costKeys: CostKeys | undefined;
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
  const { launch, flags, costKeys } = await planLaunch(measured, { paths, env, session });
  const remembers = await remembersPrompts(measured, launch, session);
  return { label, profile: measured, launch, flags, costKeys, remembers };
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

/**
 * n-gram types keep what they have seen for as long as their server lives. Builds up to b8390 keep the draft model's
 * last text of each slot, and draft from it when a prompt comes again: on b7698 58 of 58 tokens were accepted instead
 * of 49 of 53, also with another prompt in between, since a slot with a similar text is taken first. Requests of one
 * token leave that text as it is.
 * @see llama.cpp b7698 common/speculative.cpp, `prompt_dft`
 */
async function remembersPrompts(profile: Profile, launch: Launch, session: PlanSession): Promise<boolean> {
  const types = splitDraftingTypes(profile.values.draft?.type ?? "");
  const sources = types.map((type) => findDraftingType(type)?.source);
  if (sources.includes("ngram")) return true;
  if (!sources.includes("model")) return false;
  const { catalogue } = await session.findBuild(profile, "llama-server", launch.env);
  return vocabRuleFromFlags((flag) => catalogue.has(flag)) !== "strict";
}
