import type { Profile } from "../../profiles/schema/schema.ts";
import { Findings } from "./finding.ts";
import { checkMemory } from "./memory-findings.ts";
import type { MemoryUse } from "./memory-use.ts";
import type { PlanSession } from "./plan-session.ts";
import { prepareCommand } from "./prepare-command.ts";

/**
 * The memory that a profile's server would take, beside what is free now while others run.
 * @returns empty where the build cannot tell it, or where the profile cannot be planned.
 */
export async function findMemoryNeed(profile: Profile, session: PlanSession): Promise<MemoryUse[]> {
  const findings = new Findings("collect");
  const { build, trial, target, sidecars, draft } = await prepareCommand(profile, "llama-server", {
    session,
    findings,
  });
  if (build === undefined || trial === undefined) return [];
  const files = [...target.files, ...sidecars.files];
  return checkMemory({ trial, catalogue: build.catalogue, files, draft, findings, isRunning: false }, session);
}
