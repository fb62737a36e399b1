import { lstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { expectOwnFolder } from "../../base/files/own-folder.ts";
import type { Paths } from "../../base/files/paths.ts";
import { expectTrustedPath } from "../../base/files/trusted-path.ts";
import { fetchStatus } from "../../control/client.ts";
import type { Status } from "../../control/messages.ts";
import { controlSocketPaths } from "../../control/socket-path.ts";
import { isLocked } from "./lock.ts";
import { isHolderRunning, readNote } from "./lock-note.ts";
import { isRunning } from "./process-identity.ts";
import { readState } from "./state-file.ts";

export type SupervisorFolders = Pick<Paths, "runtime" | "state">;

/**
 * The lock of a profile's supervisor. It lives with the state, which is the same for every way in which a user can log
 * in.
 */
export function supervisorLockPath(stateDir: string, name: string): string {
  return join(stateDir, name, "lock");
}

/** The lock of a profile's server, which holds it for as long as it lives. */
export function serverLockPath(stateDir: string, name: string): string {
  return join(stateDir, name, "server.lock");
}

/** A supervisor that runs. */
export type FoundSupervisor =
  | { readonly answers: true; readonly socketPath: string; readonly status: Status }
  /**
   * It holds the lock and does not answer: it is stopped, starts or ends just now, or its socket is being made anew.
   */
  | { readonly answers: false; readonly pid: number | undefined; readonly reason: LlmctlError };

/**
 * A supervisor that starts has its lock some ten milliseconds before its socket, and one that ends gives up the socket
 * first.
 */
const settleMs = 300;
/** One whose socket was removed makes it anew within a health interval, 5 s unless the profile says otherwise. */
const renewMs = 6000;
const lookEveryMs = 50;

/**
 * Finds the supervisor of a profile: by its socket, wherever it says that is, else by its lock. The state file alone
 * decides nothing: it may be lost, and its pid means nothing in another pid namespace.
 * @param waitMs How long one that holds its lock and has no socket is given to have one.
 * @returns undefined where none runs.
 * @throws LlmctlError `foreign-folder` where the profile's state is another user's; `foreign-socket`, where only a
 *   socket of another user's is there.
 */
export async function findSupervisor(
  folders: SupervisorFolders,
  name: string,
  waitMs = settleMs,
): Promise<FoundSupervisor | undefined> {
  expectOwnState(folders.state, name);
  for (const untilMs = performance.now() + waitMs; ; await sleep(lookEveryMs)) {
    const found = await look(folders, name);
    const mayAnswerSoon = found?.answers === false && found.reason.code === "no-socket";
    if (!mayAnswerSoon || performance.now() > untilMs) return found;
  }
}

async function look(folders: SupervisorFolders, name: string): Promise<FoundSupervisor | undefined> {
  let refused: LlmctlError | undefined;
  for (const socketPath of await listSockets(folders, name)) {
    try {
      const status = await fetchStatus(socketPath);
      if (status?.name === name) return { answers: true, socketPath, status };
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      refused = error;
    }
  }
  const lockPath = supervisorLockPath(folders.state, name);
  const note = readNote(lockPath);
  const pid = note === undefined || note === "released" ? undefined : note.holder.pid;
  if (isLockHeld(lockPath)) return { answers: false, pid, reason: refused ?? noSocket(lockPath, pid) };
  const lockless = await findLockless(folders, name);
  if (lockless !== undefined) return { answers: false, pid: lockless, reason: refused ?? noLock(lockPath, lockless) };
  if (refused !== undefined) throw refused;
  return undefined;
}

/**
 * A supervisor that runs and whose lock file was removed, until it makes it anew: its server's lock names it, and its
 * state. One that ends says in its locks that it holds them no more.
 * @returns its pid.
 */
export async function findLockless({ state }: SupervisorFolders, name: string): Promise<number | undefined> {
  const note = readNote(serverLockPath(state, name));
  if (note !== undefined && note !== "released" && isHolderRunning(note) === true) return note.holder.pid;
  const isRemoved = readNote(supervisorLockPath(state, name)) === undefined;
  const supervisor = isRemoved ? (await readState(state, name))?.supervisor : undefined;
  return supervisor !== undefined && isRunning(supervisor) ? supervisor.pid : undefined;
}

/**
 * As {@link findSupervisor}, for whoever wants to ask it something.
 * @throws LlmctlError `unresponsive`, `no-socket` where it does not answer.
 */
export async function findAnswering(
  folders: SupervisorFolders,
  name: string,
): Promise<Extract<FoundSupervisor, { answers: true }> | undefined> {
  const found = await findSupervisor(folders, name, renewMs);
  if (found === undefined || found.answers) return found;
  throw found.reason;
}

/** Where the supervisor says that its socket is, by its lock and its state, and where it usually is. */
async function listSockets(folders: SupervisorFolders, name: string): Promise<readonly string[]> {
  const note = readNote(supervisorLockPath(folders.state, name));
  const noted = note === undefined || note === "released" ? undefined : note.socket;
  const recorded = (await readState(folders.state, name))?.socket;
  const known = [noted, recorded].filter((path) => path !== undefined);
  return [...new Set([...known, ...controlSocketPaths(folders, name)])];
}

/** Whether any process holds a lock; the kernel is asked where the file's words do not tell. */
export function isLockHeld(path: string): boolean {
  const isRunning = isHolderRunning(readNote(path));
  return isRunning === "unknown" ? isLocked(path) : isRunning;
}

/** Whoever can write into the folder of a state could have any process stopped by it. */
function expectOwnState(stateDir: string, name: string): void {
  for (const folder of [stateDir, join(stateDir, name)]) {
    try {
      const info = lstatSync(folder, { throwIfNoEntry: false });
      if (info === undefined) return;
      expectOwnFolder(folder, info);
      expectTrustedPath(dirname(folder));
    } catch (error) {
      if (error instanceof LlmctlError || systemErrorCode(error) === undefined) throw error;
      return; // a file in its place, or a folder that cannot be looked into: there is no state of ours
    }
  }
}

function noLock(lockPath: string, pid: number): LlmctlError {
  return new LlmctlError(
    "no-socket",
    `the supervisor (pid ${pid}) runs, but its lock and its control socket were removed`,
    {
      exit: "failed",
      at: lockPath,
      fix: "it makes them anew within one health interval: try again",
    },
  );
}

function noSocket(lockPath: string, pid: number | undefined): LlmctlError {
  const who = pid === undefined ? "" : ` (pid ${pid})`;
  return new LlmctlError("no-socket", `the supervisor${who} holds its lock, but its control socket is not there`, {
    exit: "failed",
    at: lockPath,
    fix: "it makes its socket anew within one health interval: try again; if it runs in a container, run llmctl there",
  });
}
