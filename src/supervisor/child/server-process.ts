import { spawn } from "node:child_process";
import { once } from "node:events";
import { isSystemError, LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { findTool } from "../../base/files/find-tool.ts";
import { mayDumpCore } from "./core-dumps.ts";
import { mayComeCodes, shortageCodes } from "../file-check.ts";
import type { ExitCause, Launch } from "../launch.ts";
import { findDescendants, identifyProcess, isRunning, type ProcessIdentity } from "../state/process-identity.ts";

/** How a process ended; exactly one of the two is set, of a process that was adopted none. */
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
 * Dies when its parent is already gone, else becomes the server under the same pid. Without the comparison a supervisor
 * that dies between fork and prctl would leave a server behind.
 */
const parentGuard = '[ "$PPID" = "$0" ] || exit 125; exec "$@"';

/** Before a guard: its server leaves no core file, which would hold API keys and prompts. */
const withoutCore = "ulimit -S -c 0; ";

/**
 * For where the kernel does not end a process with its parent, or no tool asks it to: leaves a shell behind that waits
 * for the end of a pipe, which comes when this process is gone, and then kills the server's group, itself included. It
 * is there before the server is, and has neither the server's lock nor its words.
 */
const pipeGuard =
  `(exec /bin/sh -c 'read -r _; kill -s KILL -- "-$0"' "$$" <&4 >/dev/null 2>&1 3>&- 4>&-) & ` + `exec 4>&-; exec "$@"`;

/** The command that starts a server and ties its life to this process, or does not. */
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
 * Starts the server: own session (a Ctrl-C on our terminal never reaches it), output straight into the log, the lock
 * inherited, and, unless it shall outlive us, a promise that it dies with this process.
 * @throws the system's error (ENOENT, EACCES, EAGAIN …).
 */
export async function spawnServer(
  launch: Launch,
  fds: { readonly log: number; readonly lock: number },
): Promise<ServerProcess> {
  const { command, needsPipe } = guarded(launch);
  const [file, ...args] = command;
  const child = spawn(file, args, {
    cwd: launch.cwd,
    env: launch.env,
    detached: true,
    stdio: ["ignore", fds.log, fds.log, fds.lock, ...(needsPipe ? (["pipe"] as const) : [])],
  });
  const exited = new Promise<ProcessExit>((resolve) => child.on("exit", (code, signal) => resolve({ code, signal })));
  await once(child, "spawn");
  const pid = child.pid as number; // set once "spawn" has been seen
  return { pid, identity: identifyIfTold(pid), exited };
}

/** A server that runs is not given up because the system does not say when it started. */
function identifyIfTold(pid: number): ProcessIdentity | undefined {
  try {
    return identifyProcess(pid);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return undefined;
  }
}

/** Another process's child is seen to be gone by looking, which takes some 20 µs. */
const lookEveryMs = 50;

/** A server that an earlier supervisor has started. How it ends cannot be known. */
export function adoptServer(identity: ProcessIdentity): ServerProcess {
  const exited = new Promise<ProcessExit>((resolve) => {
    const timer = setInterval(() => {
      if (mayRun(identity)) return;
      clearInterval(timer);
      resolve({ code: null, signal: null });
    }, lookEveryMs);
  });
  return { pid: identity.pid, identity, exited };
}

/** A system that cannot say so now, as when no file can be opened, does not say that a server is gone. */
function mayRun(identity: ProcessIdentity): boolean {
  try {
    return isRunning(identity);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return true;
  }
}

/**
 * Too many processes or open files pass, which is no failure of the server's, and a file may come; everything else
 * about a program that cannot be started stays wrong.
 */
export function explainSpawnFailure(file: string, error: unknown): ExitCause {
  const code = systemErrorCode(error);
  // Node's errors about how it was called quote what it was called with, the environment too.
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

/**
 * Asks a server to stop, once: llama-server takes a second signal as an order to exit at once. A stopped process is
 * woken to hear it.
 */
export function terminate(pid: number): void {
  signal(pid, "SIGTERM");
  wake(pid);
}

/** Lets a process go on that was stopped with SIGSTOP; nothing to any other. */
export function wake(pid: number): void {
  signal(pid, "SIGCONT");
}

/**
 * Ends a server and everything it started: the descendants that left its group, too.
 * @throws as {@link killGroup}, when all were tried.
 */
export function kill(pid: number): void {
  const failures: unknown[] = [];
  for (const target of [...findDescendants(pid), -pid]) {
    try {
      signal(target, "SIGKILL");
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** Ends what is left of a server's process group. @throws LlmctlError `not-permitted`. */
export function killGroup(pid: number): void {
  signal(-pid, "SIGKILL");
}

/** @throws LlmctlError `not-permitted`: a process may have taken on another user, and a sandbox may forbid it. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (cause) {
    if (systemErrorCode(cause) === "ESRCH") return; // it is gone already, which is what we want
    if (!isSystemError(cause)) throw cause;
    const fix = "stop it as the user that it belongs to, or as root";
    throw new LlmctlError("not-permitted", `cannot send ${name} to process ${Math.abs(pid)}: ${cause.message}`, {
      exit: "permission",
      fix,
      cause,
    });
  }
}
