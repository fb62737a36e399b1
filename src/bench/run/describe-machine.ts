import { availableParallelism, cpus, release, totalmem, type } from "node:os";
import type { PlanSession } from "../../llama/plan/plan-session.ts";
import type { BenchReport } from "../bench-report.ts";
import type { BenchSetting } from "../servers/plan-setting.ts";

/** The machine, as far as it decides about speed. */
export async function describeMachine({ launch }: BenchSetting, session: PlanSession): Promise<BenchReport["machine"]> {
  const devices = await session.listDevices(launch.file, launch.env);
  return {
    processor: cpus()[0]?.model ?? "unknown",
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    devices: devices.map(({ name, description }) => `${name}: ${description}`),
    system: `${type()} ${release()}`,
  };
}
