import type { Profile } from "../../profiles/schema/schema.ts";
import { addMissingDevices } from "./device-findings.ts";
import { addRpcWarning } from "./plan-warnings.ts";
import { planWorker, type WorkerPlan } from "./plan-worker.ts";
import type { Planning } from "./prepare-command.ts";

/** Plans a worker and checks its devices. @returns undefined where there is no plan; the errors say why. */
export async function checkWorker(profile: Profile, planning: Planning): Promise<WorkerPlan | undefined> {
  const { session, findings } = planning;
  const plan = await findings.settle(() => planWorker(profile, session));
  if (plan !== undefined) await addMissingDevices(profile, { server: plan.server, env: plan.env }, planning);
  addRpcWarning(profile, findings);
  return plan;
}
