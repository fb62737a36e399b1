import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isOptional, isPid, isShape, isText } from "../../base/text/check-shape.ts";
import { systemErrorCode } from "../../base/errors.ts";

/** A process that can be told from a later one with the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time as the system gives it: clock ticks since boot on Linux. */
  readonly startTime: string;
  /** Changes at each boot; empty where the system has none. */
  readonly bootId: string;
  /**
   * The pid namespace that the pid is of, such as `pid:[4026531836]`; absent where the system has none, and in files of
   * older versions.
   */
  readonly pidNamespace?: string;
}

/** Whether a value that was read from a file has the shape of an identity. */
export const isIdentity = isShape<ProcessIdentity>({
  pid: isPid,
  startTime: isText,
  bootId: isText,
  pidNamespace: isOptional(isText),
});

/**
 * Identifies a running process.
 * @returns undefined when there is none, or when it is dead and only waits to be reaped.
 * @throws the system's error when it cannot tell now (EMFILE, ENOMEM …): a process is not gone for that.
 */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const startTime = process.platform === "linux" ? readLinuxStartTime(pid) : readStartTime(pid);
  if (startTime === undefined) return undefined;
  const pidNamespace = readPidNamespace();
  return { pid, startTime, bootId: readBootId(), ...(pidNamespace === undefined ? {} : { pidNamespace }) };
}

/**
 * True while exactly this process runs. A reused pid and a zombie count as gone.
 * @throws as {@link identifyProcess}.
 */
export function isRunning(identity: ProcessIdentity): boolean {
  const now = isOfHere(identity) ? identifyProcess(identity.pid) : undefined;
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

/**
 * False for a process of another pid namespace, such as one in a container that shares our folders: its pid means
 * nothing here, and whether it runs only its lock tells.
 */
export function isOfHere({ pidNamespace }: ProcessIdentity): boolean {
  return pidNamespace === undefined || pidNamespace === readPidNamespace();
}

/**
 * Whether a process is ours, or another user's whom a signal of root's would reach, too. A process that has taken on
 * another user is that user's.
 * @throws as {@link identifyProcess}.
 */
export function isOwnProcess(pid: number): boolean {
  const own = process.getuid?.();
  return own === undefined || readOwner(pid) === own;
}

/** Who a process runs as; undefined when it is gone. @throws as {@link identifyProcess}. */
export function readOwner(pid: number): number | undefined {
  // Not the owner of the folder in /proc: of a program with rights of its own (setcap) that is root.
  const uid =
    process.platform === "linux"
      ? /^Uid:\s+\d+\s+(\d+)/m.exec(readIfThere(`/proc/${pid}/status`) ?? "")?.[1]
      : askPs(pid, "uid=");
  return uid === undefined || uid === "" ? undefined : Number(uid);
}

/**
 * Whether a process was started with these arguments, whatever comes before them; false where the system does not tell.
 */
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
  const fields = tryReadStatFields(pid);
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

/** The processes that a process has started, and those that they have, as far as the system tells. */
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
    return []; // no such tool, or no process can be made
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

const notThere = new Set(["ENOENT", "ESRCH", "ENOTDIR", "EACCES", "EPERM"]);

/** @returns undefined of a process that is gone or not ours to see, and where there is no /proc. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (notThere.has(systemErrorCode(error) ?? "")) return undefined;
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
