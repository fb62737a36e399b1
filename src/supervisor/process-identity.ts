import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";

/** A process that can be told from a later one with the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time as the system gives it: clock ticks since boot on Linux. */
  readonly startTime: string;
  /** Changes at each boot; empty where the system has none. */
  readonly bootId: string;
  /** The pid namespace that the pid is of, such as `pid:[4026531836]`; absent where the system has none, and in files of older versions. */
  readonly pidNamespace?: string;
}

/** Identifies a running process. @returns undefined when there is none, or when it is dead and only waits to be reaped. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const startTime = process.platform === "linux" ? readLinuxStartTime(pid) : readStartTime(pid);
  if (startTime === undefined) return undefined;
  const pidNamespace = readPidNamespace();
  return { pid, startTime, bootId: readBootId(), ...(pidNamespace === undefined ? {} : { pidNamespace }) };
}

/** True while exactly this process runs. A reused pid and a zombie count as gone. */
export function isRunning(identity: ProcessIdentity): boolean {
  const now = isOfHere(identity) ? identifyProcess(identity.pid) : undefined;
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

/**
 * False for a process of another pid namespace, such as one in a container that shares our folders: its pid means nothing here, and whether it
 * runs only its lock tells.
 */
export function isOfHere({ pidNamespace }: ProcessIdentity): boolean {
  return pidNamespace === undefined || pidNamespace === readPidNamespace();
}

/** Whether a process was started with these arguments, whatever comes before them; false where the system does not tell. */
export function hasArguments(pid: number, args: readonly string[]): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    return args.length < words.length && args.every((arg, index) => words[words.length - args.length + index] === arg);
  } catch {
    return false; // gone, or no /proc
  }
}

/** CPU time that a process has used, in clock ticks; undefined when it is gone or the system does not tell. */
export function readCpuTicks(pid: number): number | undefined {
  const fields = readStatFields(pid);
  const user = Number(fields?.[11]);
  const system = Number(fields?.[12]);
  return Number.isFinite(user + system) ? user + system : undefined;
}

/** Bytes that came into a process in different ways, each counted by the kernel since its start or as it is now. */
export interface BytesTaken {
  /** By read(2), page cache included. */
  readonly read: number;
  /** From a disk, for page faults too. */
  readonly fetched: number;
  /** Pages of files that are mapped and in memory. */
  readonly mapped: number;
}

/** What a process has taken in; undefined when it is gone or the system does not tell. */
export function readBytesTaken(pid: number): BytesTaken | undefined {
  try {
    const io = readFileSync(`/proc/${pid}/io`, "latin1");
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const count = (text: string, name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
    return { read: count(io, "rchar"), fetched: count(io, "read_bytes"), mapped: 1024 * count(status, "RssFile") };
  } catch {
    return undefined; // gone, not ours, or no /proc
  }
}

function readLinuxStartTime(pid: number): string | undefined {
  const fields = readStatFields(pid);
  const state = fields?.[0];
  return state === undefined || state === "Z" || state === "X" ? undefined : fields?.[19];
}

/** Fields of /proc/PID/stat from the third (state) on. The second may hold any byte, so the text is cut after the last `)`. */
function readStatFields(pid: number): readonly string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined; // no such process, or no /proc
  }
}

function readStartTime(pid: number): string | undefined {
  try {
    const output = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], {
      env: { LC_ALL: "C" },
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [state = "", ...start] = output.toString("latin1").trim().split(/\s+/);
    return state.startsWith("Z") ? undefined : start.join(" ");
  } catch {
    return undefined; // ps exits with 1 for an unknown pid
  }
}

function readPidNamespace(): string | undefined {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return undefined; // no /proc
  }
}

function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    return ""; // no /proc
  }
}
