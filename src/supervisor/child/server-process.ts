import { once } from "node:events";
import { isSystemError, LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { findTool } from "../../base/files/find-tool.ts";
import { mayDumpCore } from "./core-dumps.ts";
import { mayComeCodes, shortageCodes } from "../file-check.ts";
import type { ExitCause, Launch } from "../launch.ts";
import type { ProcessIdentity } from "../state/process-identity.ts";
import { type Processes, type System, systemProcesses } from "./system.ts";

/** How a process ended: exactly one is set, or neither for an adopted process. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running server, leader of its own session and process group. */
export interface ServerProcess {
  readonly pid: number;
  readonly identity: ProcessIdentity | undefined;
  readonly exited: Promise<ProcessExit>;
}

/**
 * Exits when its parent is already gone, otherwise becomes the server under the same pid. Without this check a
 * supervisor that dies between fork and prctl would leave a server behind.
 */
const parentGuard = '[ "$PPID" = "$0" ] || exit 125; exec "$@"';

/** Prefix of both guards: the server writes no core file, which would contain API keys and prompts. */
const withoutCore = "ulimit -S -c 0; ";

/**
 * For systems without a parent-death signal, or without `setpriv`: a background shell waits for the end of a pipe,
 * which comes when this process is gone, and then kills the server's group, itself included. It starts before the
 * server, and inherits neither the server's lock nor its log.
 */
const pipeGuard =
  `(exec /bin/sh -c 'read -r _; kill -s KILL -- "-$0"' "$$" <&4 >/dev/null 2>&1 3>&- 4>&-) & ` + `exec 4>&-; exec "$@"`;

/** The command that starts a server, tied to the life of this process unless the launch says `keep`. */
function guarded({ file, args, orphan }: Launch): {
  readonly command: readonly [string, ...string[]];
  readonly needsPipe: boolean;
} {
  if (orphan === "keep") return { command: [file, ...args], needsPipe: false };
  const first = mayDumpCore() ? "" : withoutCore;
  const setpriv = process.platform === "linux" ? findTool("setpriv") : undefined;
  return setpriv === undefined
    ? { command: ["/bin/sh", "-c", first + pipeGuard, "sh", file, ...args], needsPipe: true }
    : {
        command: [
          setpriv,
          "--pdeathsig",
          "KILL",
          "--",
          "/bin/sh",
          "-c",
          first + parentGuard,
          String(process.pid),
          file,
          ...args,
        ],
        needsPipe: false,
      };
}

/**
 * Spawns the server: in its own session (Ctrl-C on our terminal never reaches it), with its output going directly into
 * the log, with the lock inherited, and, unless `orphan` is `keep`, killed when this process dies.
 * @throws the system's error (ENOENT, EACCES, EAGAIN …).
 */
export async function spawnServer(
  launch: Launch,
  fds: { readonly log: number; readonly lock: number },
  processes: Processes,
): Promise<ServerProcess> {
  const { command, needsPipe } = guarded(launch);
  const [file, ...args] = command;
  const child = processes.spawn(file, args, {
    cwd: launch.cwd,
    env: launch.env,
    detached: true,
    stdio: ["ignore", fds.log, fds.log, fds.lock, ...(needsPipe ? (["pipe"] as const) : [])],
  });
  const exited = new Promise<ProcessExit>((resolve) => child.on("exit", (code, signal) => resolve({ code, signal })));
  await once(child, "spawn");
  const pid = child.pid as number; // set once "spawn" has been seen
  return { pid, identity: identifyIfTold(pid, processes), exited };
}

/** A running server is kept even when the system does not tell its start time. */
function identifyIfTold(pid: number, processes: Processes): ProcessIdentity | undefined {
  try {
    return processes.identify(pid);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return undefined;
  }
}

/** The exit of a process that is not our child must be polled; a poll takes some 20 µs. */
const lookEveryMs = 50;

/** A server that an earlier supervisor has started. Its exit code cannot be known. */
export function adoptServer(identity: ProcessIdentity, system: Pick<System, "clock" | "processes">): ServerProcess {
  return { pid: identity.pid, identity, exited: untilGone(identity, system) };
}

async function untilGone(
  identity: ProcessIdentity,
  { clock, processes }: Pick<System, "clock" | "processes">,
): Promise<ProcessExit> {
  do await clock.sleep(lookEveryMs);
  while (mayRun(identity, processes));
  return { code: null, signal: null };
}

/** An error of the system, such as no free descriptor, does not mean that the server is gone. */
function mayRun(identity: ProcessIdentity, processes: Processes): boolean {
  try {
    return processes.isRunning(identity);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return true;
  }
}

/**
 * Explains why a server could not be spawned. A shortage of processes or descriptors is temporary, and a missing file
 * `mayCome`; everything else is permanent.
 */
export function explainSpawnFailure(file: string, error: unknown): ExitCause {
  const code = systemErrorCode(error);
  // Node's argument errors quote the arguments, including the environment: never show them.
  const why =
    isSystemError(error) || error instanceof LlmctlError
      ? error.message
      : (code ?? "for a reason that Node does not tell");
  return {
    kind: "not-started",
    message: `cannot start ${file}: ${why}`,
    permanent: code === undefined || !shortageCodes.has(code),
    ...(code !== undefined && mayComeCodes.has(code) ? { mayCome: true } : {}),
    exit: code === "EACCES" ? "permission" : "missingFile",
  };
}

/** Sends SIGTERM, then SIGCONT: a stopped process handles SIGTERM only after it is continued. */
export function terminate(pid: number, processes = systemProcesses): void {
  signal(pid, "SIGTERM", processes);
  wake(pid, processes);
}

/** Continues a process that was stopped with SIGSTOP; no effect on others. */
export function wake(pid: number, processes = systemProcesses): void {
  signal(pid, "SIGCONT", processes);
}

/**
 * Kills a server and its descendants, including those that left its process group.
 * @throws as {@link killGroup}, after all were tried.
 */
export function kill(pid: number, processes = systemProcesses): void {
  const failures: unknown[] = [];
  for (const target of [...processes.findDescendants(pid), -pid]) {
    try {
      signal(target, "SIGKILL", processes);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** Kills a server's process group. @throws LlmctlError `not-permitted`. */
export function killGroup(pid: number, processes = systemProcesses): void {
  signal(-pid, "SIGKILL", processes);
}

/** @throws LlmctlError `not-permitted`: the process has changed its user, or a sandbox forbids signals. */
function signal(pid: number, name: NodeJS.Signals, processes: Processes): void {
  try {
    processes.signal(pid, name);
  } catch (cause) {
    if (systemErrorCode(cause) === "ESRCH") return; // already gone
    if (!isSystemError(cause)) throw cause;
    const fix = "stop it as the user that owns it, or as root";
    throw new LlmctlError("not-permitted", `cannot send ${name} to process ${Math.abs(pid)}: ${cause.message}`, {
      exit: "permission",
      fix,
      cause,
    });
  }
}
