import { readFileSync } from "node:fs";
import type { Problem } from "../../base/errors.ts";
import { systemErrorCode } from "../../base/errors.ts";
import type { ProfileValues } from "../../profiles/schema/schema.ts";

type Priority = NonNullable<ProfileValues["priority"]>;

/**
 * The request of `--prio` to the kernel: a niceness for the process, and SCHED_FIFO at this priority for the threads
 * that compute. When the kernel refuses, llama.cpp warns and goes on.
 * @see llama.cpp v0.5.0 common/common.cpp `set_process_priority` (not called by b7698), ggml-cpu.c
 *   `ggml_thread_apply_priority`
 */
const asked: Readonly<Partial<Record<Priority, { readonly niceness: number; readonly fifo: number }>>> = {
  medium: { niceness: -5, fifo: 40 },
  high: { niceness: -10, fifo: 80 },
  realtime: { niceness: -20, fifo: 90 },
};

/** The request of a priority; undefined for one that needs no permission. */
export function askedPriority(
  priority: Priority | undefined,
): { readonly niceness: number; readonly fifo: number } | undefined {
  return priority === undefined ? undefined : asked[priority];
}

/** The priorities that the kernel permits to a server started by this process. */
export interface PriorityRights {
  /** CAP_SYS_NICE, which permits everything. */
  readonly mayAll: boolean;
  /** Highest SCHED_FIFO priority (RLIMIT_RTPRIO). */
  readonly fifo: number;
  /** Lowest niceness (20 - RLIMIT_NICE). */
  readonly niceness: number;
}

/** The permissions that a child of this process has; undefined on a system without /proc. */
export function readPriorityRights(): PriorityRights | undefined {
  try {
    const [limits, status, uidMap] = ["limits", "status", "uid_map"].map((name) =>
      readFileSync(`/proc/self/${name}`, "utf8"),
    );
    return parsePriorityRights({ limits: limits ?? "", status: status ?? "", uidMap: uidMap ?? "" });
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

/** `CAP_SYS_NICE` in the kernel's capability sets. @see linux/capability.h */
const sysNice = 1n << 23n;

/** Parses three files of `/proc/PID`. */
export function parsePriorityRights(files: {
  readonly limits: string;
  readonly status: string;
  readonly uidMap: string;
}): PriorityRights {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(files.status)?.[1];
  // The capabilities that a child has after exec: the bounding set for root, the ambient set for everyone else.
  const set = new RegExp(`^${uid === "0" ? "CapBnd" : "CapAmb"}:\\s+([0-9a-f]+)$`, "m").exec(files.status)?.[1];
  // Root of a user namespace has capabilities over the namespace only; the scheduler wants them over the machine.
  const isWholeMachine = /^\s*0\s+0\s+4294967295\s*$/.test(files.uidMap);
  return {
    mayAll: isWholeMachine && (BigInt(`0x${set ?? "0"}`) & sysNice) !== 0n,
    fifo: readLimit(files.limits, "Max realtime priority"),
    niceness: 20 - readLimit(files.limits, "Max nice priority"),
  };
}

function readLimit(limits: string, name: string): number {
  const soft = new RegExp(`^${name}\\s+(\\d+|unlimited)`, "m").exec(limits)?.[1];
  return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft ?? 0);
}

/** Why the kernel refuses this priority to a server started by this process; undefined when it permits it. */
export function findPriorityProblem(priority: Priority, rights: PriorityRights): Omit<Problem, "at"> | undefined {
  const wanted = asked[priority];
  if (wanted === undefined || rights.mayAll) return undefined;
  const lacking = [
    ...(rights.fifo < wanted.fifo ? [`RLIMIT_RTPRIO is ${rights.fifo}, ${wanted.fifo} is needed`] : []),
    ...(rights.niceness > wanted.niceness
      ? [`RLIMIT_NICE is ${20 - rights.niceness}, ${20 - wanted.niceness} is needed`]
      : []),
  ];
  if (lacking.length === 0) return undefined;
  return {
    message:
      `this user has no permission to start a server with priority "${priority}" (${lacking.join("; ")}): ` +
      "llama.cpp will warn and run at normal priority",
    fix:
      `for a service set LimitRTPRIO=${wanted.fifo} and LimitNICE=${wanted.niceness}, without RestrictRealtime, ` +
      'as "llmctl systemd show" does; ' +
      `for a login set rtprio ${wanted.fifo} and nice ${wanted.niceness} in /etc/security/limits.conf; ` +
      "or write priority: normal",
  };
}
