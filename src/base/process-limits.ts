import { readFileSync } from "node:fs";
import { systemErrorCode } from "./errors.ts";

/**
 * What the system allows this process now, as Linux tells it.
 * @param name As in `/proc/self/limits`: `Max open files`.
 * @returns undefined where the system does not tell, or cannot open its answer now.
 */
export function readSoftLimit(name: string): number | undefined {
  try {
    const line = readFileSync("/proc/self/limits", "latin1")
      .split("\n")
      .find((one) => one.startsWith(name));
    const [soft] = line?.slice(name.length).trim().split(/\s+/) ?? [];
    return soft === "unlimited" ? Infinity : soft === undefined ? undefined : Number(soft);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}
