import { availableParallelism, cpus } from "node:os";
import { LlmctlError } from "../../base/errors.ts";
import type { Device } from "./devices.ts";

/** As {@link describeComputing} says it, for one build with its variables. */
export type DescribeMachine = () => Promise<readonly string[] | undefined>;

/**
 * What a server computes on: the processor, and the devices that its build finds with its variables.
 * @param listDevices As `listDevices` of that build.
 * @returns undefined where the build cannot list its devices.
 */
export async function describeComputing(
  listDevices: () => Promise<readonly Device[]>,
): Promise<readonly string[] | undefined> {
  try {
    const devices = await listDevices();
    const processors = `${availableParallelism()} × ${cpus()[0]?.model ?? "unknown"}`;
    return [processors, ...devices.map(({ name, description }) => `${name}: ${description}`)];
  } catch (error) {
    if (error instanceof LlmctlError) return undefined;
    throw error;
  }
}
