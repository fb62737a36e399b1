import { spawn } from "node:child_process";
import { once } from "node:events";
import treeKill from "tree-kill";
import { systemErrorCode } from "../base/errors.ts";
import { findTool } from "../base/find-tool.ts";
import type { ExitCause, Launch } from "./launch.ts";
import { identifyProcess, type ProcessIdentity } from "./process-identity.ts";

/** How a process ended; exactly one of the two is set. */
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
 * Dies when its parent is already gone, else becomes the server under the same pid. Without the comparison a supervisor that dies between
 * fork and prctl would leave a server behind.
 */
const guard = '[ "$PPID" = "$0" ] || exit 125; exec "$@"';

/** True where the kernel ends the server together with its supervisor, however that dies. */
export function canDieWithParent(): boolean {
  return process.platform === "linux" && findTool("setpriv") !== undefined;
}

/**
 * Starts the server: own session (a Ctrl-C on our terminal never reaches it), output straight into the log, the lock inherited, and the
 * kernel's promise to kill it when this process dies.
 * @throws the system's error (ENOENT, EACCES, EAGAIN …).
 */
export async function spawnServer(launch: Launch, fds: { readonly log: number; readonly lock: number }): Promise<ServerProcess> {
  const setpriv = canDieWithParent() ? findTool("setpriv") : undefined;
  const server = [launch.file, ...launch.args];
  const [file = launch.file, ...args] =
    setpriv === undefined ? server : [setpriv, "--pdeathsig", "KILL", "--", "/bin/sh", "-c", guard, String(process.pid), ...server];
  const child = spawn(file, args, {
    cwd: launch.cwd,
    env: launch.env,
    detached: true,
    stdio: ["ignore", fds.log, fds.log, fds.lock],
  });
  const exited = new Promise<ProcessExit>((resolve) => child.on("exit", (code, signal) => resolve({ code, signal })));
  await once(child, "spawn");
  const pid = child.pid as number; // set once "spawn" has been seen
  return { pid, identity: identifyProcess(pid), exited };
}

/** Too many processes or open files pass; everything else about a program that cannot be started stays wrong. */
export function explainSpawnFailure(file: string, error: unknown): ExitCause {
  const code = systemErrorCode(error);
  const passing = code === "EAGAIN" || code === "EMFILE" || code === "ENFILE" || code === "ENOMEM";
  return {
    kind: "not-started",
    message: `cannot start ${file}: ${error instanceof Error ? error.message : String(error)}`,
    permanent: !passing,
    exit: code === "EACCES" ? "permission" : "missingFile",
  };
}

/** Asks a server to stop, once: llama-server takes a second signal as an order to exit at once. A stopped process is woken to hear it. */
export function terminate(pid: number): void {
  signal(pid, "SIGTERM");
  wake(pid);
}

/** Lets a process go on that was stopped with SIGSTOP; nothing to any other. */
export function wake(pid: number): void {
  signal(pid, "SIGCONT");
}

/** Ends a server and everything it started: first the descendants that left its group, then the group. */
export async function kill(pid: number): Promise<void> {
  // tree-kill finds descendants with ps, and takes the whole process down where there is none.
  if (findTool("ps") !== undefined) await new Promise<void>((resolve) => treeKill(pid, "SIGKILL", () => resolve()));
  killGroup(pid);
}

/** Ends what is left of a server's process group. */
export function killGroup(pid: number): void {
  signal(-pid, "SIGKILL");
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // ESRCH: it is gone already, which is what we want
  }
}
