import { readFile } from "node:fs/promises";
import { systemErrorCode } from "../base/errors.ts";
import type { ProfileValues } from "../profiles/schema.ts";

type Priority = NonNullable<ProfileValues["priority"]>;

/**
 * What llama.cpp asks the kernel for: a nice value for the process, SCHED_FIFO at this priority for its threads.
 * @see `set_process_priority` in llama.cpp's common/common.cpp, `ggml_thread_apply_priority` in ggml-cpu.c
 */
const asked: Partial<Record<Priority, { readonly nice: number; readonly realtime: number }>> = {
  medium: { nice: -5, realtime: 40 },
  high: { nice: -10, realtime: 80 },
  realtime: { nice: -20, realtime: 90 },
};

/** Bit of CAP_SYS_NICE in the sets of `/proc/PID/status`; see capabilities(7). */
const sysNice = 1n << 23n;

/**
 * What a person should know when this process, and so its child, may not have the priority that a profile asks for: llama.cpp warns in its log
 * and goes on without it. Undefined when it may, or where the kernel has no `/proc`.
 */
export async function findPriorityProblem(priority: Priority | undefined): Promise<string | undefined> {
  if (priority === undefined || asked[priority] === undefined) return undefined;
  const [status, limits] = await Promise.all(["status", "limits"].map(readOwn));
  return status === undefined || limits === undefined ? undefined : explainPriority(priority, { status, limits });
}

/** @param proc The texts of `/proc/self/status` and `/proc/self/limits`. */
export function explainPriority(priority: Priority, proc: { readonly status: string; readonly limits: string }): string | undefined {
  const wanted = asked[priority];
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(proc.status)?.[1];
  if (wanted === undefined || (capabilities !== undefined && (BigInt(`0x${capabilities}`) & sysNice) !== 0n)) return undefined;
  const { nice, realtime } = wanted;
  // A nice limit counts from 1 for 19 to 40 for -20; see setrlimit(2).
  if (readLimit(proc.limits, "realtime") >= realtime && readLimit(proc.limits, "nice") >= 20 - nice) return undefined;
  return (
    `priority ${priority} is more than this user may have: the server will say so in its log and run without it; ` +
    `for a service set LimitRTPRIO=${realtime} and LimitNICE=${nice} (or AmbientCapabilities=CAP_SYS_NICE) in its unit, ` +
    `for a login rtprio ${realtime} and nice ${nice} in /etc/security/limits.conf, or write priority: normal`
  );
}

function readLimit(limits: string, which: "nice" | "realtime"): number {
  const soft = new RegExp(String.raw`^Max ${which} priority\s+(\d+|unlimited)`, "m").exec(limits)?.[1];
  return soft === "unlimited" ? Infinity : Number(soft ?? 0);
}

async function readOwn(name: string): Promise<string | undefined> {
  try {
    return await readFile(`/proc/self/${name}`, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}
