import { readFileSync } from "node:fs";
import { systemErrorCode } from "./errors.ts";

/**
 * The soft limit of this process for one resource, as Linux reports it.
 * @param name As in `/proc/self/limits`: `Max open files`.
 * @returns undefined on another system, and when the file cannot be opened now.
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
