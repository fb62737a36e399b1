import { findTraceFlag, traceVerbosity } from "../../llama/draft/offered-types.ts";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { type BenchSetting, type DraftValues, planSetting } from "../servers/plan-setting.ts";

/** The longest draft of a trace: what is drafted beyond it is not known. */
export const tracedLength = 16;

/**
 * Plans a server that drafts as much as it can and logs each drafted token.
 * @returns undefined for a build that has no such log.
 * @throws LlmctlError as `planSetting`.
 */
export async function planTraced(
  profile: Profile,
  draft: NonNullable<DraftValues>,
  { label, session }: { readonly label: string; readonly session: PlanSession },
): Promise<BenchSetting | undefined> {
  const eager = { ...draft, n_max: tracedLength, n_min: 0, p_min: 0 };
  const setting = await planSetting(profile, eager, { label, session });
  const { launch } = setting;
  const { catalogue } = await session.findBuild(profile, "llama-server", launch.env);
  const flag = findTraceFlag(catalogue);
  return flag === undefined
    ? undefined
    : { ...setting, launch: { ...launch, args: [...launch.args, flag, traceVerbosity] } };
}
