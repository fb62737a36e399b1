import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isOptional, isPid, isShape, isText } from "../../base/text/check-shape.ts";
import { systemErrorCode } from "../../base/errors.ts";

/** Identifies a process, also against a later one with the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time in the system's format: clock ticks since boot on Linux. */
  readonly startTime: string;
  /** Changes at each boot; empty on systems without one. */
  readonly bootId: string;
  /**
   * Pid namespace of the pid, such as `pid:[4026531836]`; absent on systems without one and in files of older versions.
   */
  readonly pidNamespace?: string;
}

/** Whether a value from a file has the shape of an identity. */
export const isIdentity = isShape<ProcessIdentity>({
  pid: isPid,
  startTime: isText,
  bootId: isText,
  pidNamespace: isOptional(isText),
});

/**
 * Identifies a running process.
 * @returns undefined when there is none or it is a zombie.
 * @throws the system's error when it cannot tell now (EMFILE, ENOMEM …), which does not mean that the process is gone.
 */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const startTime = process.platform === "linux" ? readLinuxStartTime(pid) : readStartTime(pid);
  if (startTime === undefined) return undefined;
  const pidNamespace = readPidNamespace();
  return { pid, startTime, bootId: readBootId(), ...(pidNamespace === undefined ? {} : { pidNamespace }) };
}

/**
 * Whether exactly this process runs. A reused pid and a zombie count as gone.
 * @throws as {@link identifyProcess}.
 */
export function isRunning(identity: ProcessIdentity): boolean {
  const now = isOfHere(identity) ? identifyProcess(identity.pid) : undefined;
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

/**
 * Whether a process is in our pid namespace. One in a container that shares our folders is not: its pid means nothing
 * here, and only its lock tells whether it runs.
 */
export function isOfHere({ pidNamespace }: ProcessIdentity): boolean {
  return pidNamespace === undefined || pidNamespace === readPidNamespace();
}

/**
 * Whether a process runs as our user. Root could signal other users' processes too; they count as not ours.
 * @throws as {@link identifyProcess}.
 */
export function isOwnProcess(pid: number): boolean {
  const own = process.getuid?.();
  return own === undefined || readOwner(pid) === own;
}

/** Who a process runs as; undefined when it is gone. @throws as {@link identifyProcess}. */
export function readOwner(pid: number): number | undefined {
  // Not the owner of the /proc folder: for a program with file capabilities (setcap) that is root.
  const uid =
    process.platform === "linux"
      ? /^Uid:\s+\d+\s+(\d+)/m.exec(readIfThere(`/proc/${pid}/status`) ?? "")?.[1]
      : askPs(pid, "uid=");
  return uid === undefined || uid === "" ? undefined : Number(uid);
}

/** Whether a process's command line ends with these arguments; false when the system does not tell. */
export function hasArguments(pid: number, args: readonly string[]): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    return args.length < words.length && args.every((arg, index) => words[words.length - args.length + index] === arg);
  } catch {
    return false; // gone, or no /proc
  }
}

/** CPU time used by a process, in clock ticks; undefined when it is gone or the system does not tell. */
export function readCpuTicks(pid: number): number | undefined {
  const fields = tryReadStatFields(pid);
  const user = Number(fields?.[11]);
  const system = Number(fields?.[12]);
  return Number.isFinite(user + system) ? user + system : undefined;
}

/** Bytes taken in by a process, counted by the kernel in three ways. */
export interface BytesTaken {
  /** Read by read(2) since its start, also from the page cache. */
  readonly read: number;
  /** Fetched from a disk since its start, also by page faults. */
  readonly fetched: number;
  /** In mapped pages of files that are in memory now. */
  readonly mapped: number;
}

/** Reads the bytes taken in by a process; undefined when it is gone or the system does not tell. */
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

/** All descendants of a process, as far as the system tells. */
export function findDescendants(pid: number): readonly number[] {
  const parents = process.platform === "linux" ? readLinuxParents() : readParents();
  const found = new Set([pid]);
  // A parent may have a higher pid than its child.
  for (let before = 0; before < found.size;) {
    before = found.size;
    for (const [child, parent] of parents) if (found.has(parent)) found.add(child);
  }
  found.delete(pid);
  return [...found];
}

type Parents = readonly (readonly [child: number, parent: number])[];

function readLinuxParents(): Parents {
  return listProc()
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), Number(tryReadStatFields(Number(name))?.[1])] as const);
}

function listProc(): readonly string[] {
  try {
    return readdirSync("/proc");
  } catch {
    return []; // no /proc
  }
}

function readParents(): Parents {
  try {
    const rows = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { stdio: ["ignore", "pipe", "ignore"] });
    return rows
      .toString("latin1")
      .trim()
      .split("\n")
      .map((row) => row.trim().split(/\s+/).map(Number))
      .map(([child = 0, parent = 0]) => [child, parent] as const);
  } catch {
    return []; // no such tool, or no process can be spawned
  }
}

/**
 * Fields of /proc/PID/stat from the third (state) on. The second may hold any byte, so the text is cut after the last
 * `)`.
 */
function readStatFields(pid: number): readonly string[] | undefined {
  const text = readIfThere(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(")") + 2).split(" ");
}

function tryReadStatFields(pid: number): readonly string[] | undefined {
  try {
    return readStatFields(pid);
  } catch {
    return undefined; // the system cannot tell now
  }
}

const absentCodes = new Set(["ENOENT", "ESRCH", "ENOTDIR", "EACCES", "EPERM"]);

/** @returns undefined when the process is gone or not visible to us, and when there is no /proc. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (absentCodes.has(systemErrorCode(error) ?? "")) return undefined;
    throw error;
  }
}

function readStartTime(pid: number): string | undefined {
  const [state = "", ...start] = askPs(pid, "stat=,lstart=")?.split(/\s+/) ?? ["Z"];
  return state.startsWith("Z") ? undefined : start.join(" ");
}

function askPs(pid: number, columns: string): string | undefined {
  try {
    const output = execFileSync("ps", ["-o", columns, "-p", String(pid)], {
      env: { LC_ALL: "C" },
      stdio: ["ignore", "pipe", "ignore"],
    });
    return output.toString("latin1").trim();
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
  return readIfThere("/proc/sys/kernel/random/boot_id")?.trim() ?? ""; // no /proc
}
