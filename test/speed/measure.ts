import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The built command line. */
export const program = fileURLToPath(new URL("../../dist/main.js", import.meta.url));

/** A value and its upper limit. */
export interface Limit {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly unit: string;
}

/** Prints a value beside its limit. @returns whether it is within the limit. */
export function judge({ what, value, limit, unit }: Limit): boolean {
  const isWithin = value <= limit;
  console.log(`  ${what}: ${round(value)}${unit}, limit ${round(limit)}${unit}: ${isWithin ? "within" : "MISSED"}`);
  return isWithin;
}

/** Three significant digits. */
function round(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** The middle element; the greater one of two. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** @param share 0..1 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** `41.2 ms (38.0 to 55.3)`: the median, and the span from the 10th to the 90th percentile. */
export function describe(valuesMs: readonly number[]): string {
  const [low, mid, high] = [0.1, 0.5, 0.9].map((share) => quantile(valuesMs, share).toFixed(1));
  return `${mid} ms (${low} to ${high})`;
}

/** Milliseconds that a run of Node takes, from its start to its end. @throws when it fails. */
export function timeNode(args: readonly string[], env: NodeJS.ProcessEnv): number {
  const startMs = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { env, stdio: ["ignore", "ignore", "pipe"] });
  const endMs = performance.now();
  if (status !== 0) throw new Error(`node ${args.join(" ")} ended with ${status}: ${stderr.toString()}`);
  return endMs - startMs;
}

export interface NodeCost {
  readonly wallMs: number;
  /** User and system time, also of the programs that it ran and waited for. */
  readonly cpuMs: number;
}

/** The cost of a run of Node. Node does not report the CPU time of a child; bash does. @throws when it fails. */
export function timeNodeWithCpu(args: readonly string[], env: NodeJS.ProcessEnv): NodeCost {
  const script = 'TIMEFORMAT="%3R %3U %3S"; exec 3>&2 2>&1 >/dev/null; time "$@" 2>&3';
  const words = ["-c", script, "bash", process.execPath, ...args];
  const { status, stdout, stderr } = spawnSync("bash", words, { env, encoding: "utf8" });
  const [wall, user, system] = stdout
    .trim()
    .split(" ")
    .map((seconds) => Number(seconds) * 1000);
  if (status !== 0 || wall === undefined || user === undefined || system === undefined)
    throw new Error(`node ${args.join(" ")} ended with ${status}: ${stderr}`);
  return { wallMs: wall, cpuMs: user + system };
}
