import { LlmctlError } from "../../base/errors.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { Findings } from "./finding.ts";
import { addPort, isProfileRunning } from "./port-findings.ts";
import type { ProfileCheck } from "./check-profile.ts";
import type { PlanSession } from "./plan-session.ts";
import { findMissingDevices, namedDevices } from "../ask/devices.ts";
import { noDraftAsked } from "./plan-launch.ts";
import { planWorker } from "./plan-worker.ts";

/** All that can be known of a worker before its start: its program, its flags, its devices and its port. */
export async function checkWorkerProfile(profile: Profile, session: PlanSession): Promise<ProfileCheck> {
  const findings = new Findings();
  const plan = await findings.settle(() => planWorker(profile, session));
  if (plan !== undefined) {
    for (const key of namedDevices(profile.values)) {
      const devices = await findings.settle(() => session.listDevices(plan.server, plan.env));
      if (devices === undefined) continue;
      for (const { name: _name, ...problem } of findMissingDevices(profile, key, devices)) {
        findings.fail(new LlmctlError("device-missing", problem.message, { exit: "unavailable", ...problem }));
      }
    }
  }
  if (!(await isProfileRunning(profile, session.paths, findings))) await addPort(profile, findings);
  return {
    profile,
    build: plan?.build,
    files: [],
    flags: plan?.flags ?? [],
    notes: [],
    drafting: { wanted: false, reason: noDraftAsked },
    memory: [],
    findings: findings.ranked,
  };
}
