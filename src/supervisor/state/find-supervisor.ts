import { lstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Clock, systemClock } from "../../base/clock.ts";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { expectOwnFolder } from "../../base/files/own-folder.ts";
import type { Paths } from "../../base/files/paths.ts";
import { expectTrustedPath } from "../../base/files/trusted-path.ts";
import { fetchStatus } from "../../control/client.ts";
import type { Status } from "../../control/messages.ts";
import { controlSocketPaths } from "../../control/socket-path.ts";
import { type Flock, isLockHeld } from "./file-lock.ts";
import { isHolderRunning, readLockRecord } from "./lock-record.ts";
import { isRunning } from "./process-identity.ts";
import { readState } from "./state-file.ts";

export type SupervisorFolders = Pick<Paths, "runtime" | "state">;

/** What a look asks besides files: the time, the kernel's locks, and the supervisor on a socket. */
export interface Lookup {
  readonly clock?: Clock | undefined;
  readonly flock?: Flock | undefined;
  /** As `fetchStatus`. */
  readonly ask?: (socketPath: string) => Promise<Status | undefined>;
}

/**
 * Path of a profile's supervisor lock. It lies beside the state, whose folder is the same for every way in which a user
 * can log in.
 */
export function supervisorLockPath(stateDir: string, name: string): string {
  return join(stateDir, name, "lock");
}

/** Path of a profile's server lock, which the server holds for as long as it lives. */
export function serverLockPath(stateDir: string, name: string): string {
  return join(stateDir, name, "server.lock");
}

/** Whether a supervisor or a server of the profile runs: each holds one of its locks. */
export function isAnyLockHeld(stateDir: string, name: string): boolean {
  return isLockHeld(supervisorLockPath(stateDir, name)) || isLockHeld(serverLockPath(stateDir, name));
}

/** A running supervisor. */
export type FoundSupervisor =
  | { readonly answers: true; readonly socketPath: string; readonly status: Status }
  /** It holds the lock and does not answer: it is stopped (SIGSTOP), starting, ending, or recreating its socket. */
  | { readonly answers: false; readonly pid: number | undefined; readonly reason: LlmctlError };

/**
 * A starting supervisor has its lock some ten milliseconds before its socket; an ending one removes the socket first.
 */
const settleMs = 300;
/** A supervisor recreates a removed socket within one health interval, 5 s by default. */
const renewMs = 6000;
const lookEveryMs = 50;

/**
 * Finds the supervisor of a profile by its socket, otherwise by its lock. The state file alone decides nothing: it may
 * be lost, and its pid means nothing in another pid namespace.
 * @param options `waitMs`: how long to wait for the socket of a supervisor that holds its lock.
 * @returns undefined when none runs.
 * @throws LlmctlError `foreign-folder` when another user owns the profile's state; `foreign-socket` when the only
 *   socket belongs to another user.
 */
export async function findSupervisor(
  folders: SupervisorFolders,
  name: string,
  { waitMs = settleMs, ...lookup }: Lookup & { readonly waitMs?: number } = {},
): Promise<FoundSupervisor | undefined> {
  expectOwnState(folders.state, name);
  const { clock = systemClock } = lookup;
  let found = await look(folders, name, lookup);
  if (!mayAnswerSoon(found)) return found; // the usual case; the first use of the clock would load a module
  for (const untilMs = clock.nowMs() + waitMs; mayAnswerSoon(found) && clock.nowMs() < untilMs;) {
    await clock.sleep(lookEveryMs);
    found = await look(folders, name, lookup);
  }
  return found;
}

function mayAnswerSoon(found: FoundSupervisor | undefined): boolean {
  return found?.answers === false && found.reason.code === "no-socket";
}

async function look(
  folders: SupervisorFolders,
  name: string,
  { ask = fetchStatus, flock }: Lookup,
): Promise<FoundSupervisor | undefined> {
  let refused: LlmctlError | undefined;
  for (const socketPath of await listSockets(folders, name)) {
    try {
      const status = await ask(socketPath);
      if (status?.name === name) return { answers: true, socketPath, status };
    } catch (error) {
      if (!(error instanceof LlmctlError)) throw error;
      refused = error;
    }
  }
  const lockPath = supervisorLockPath(folders.state, name);
  const lockRecord = readLockRecord(lockPath);
  const pid = lockRecord === undefined || lockRecord === "released" ? undefined : lockRecord.holder.pid;
  if (isLockHeld(lockPath, flock)) return { answers: false, pid, reason: refused ?? noSocket(lockPath, pid) };
  const lockless = await findSupervisorWithoutLock(folders, name);
  if (lockless !== undefined) return { answers: false, pid: lockless, reason: refused ?? noLock(lockPath, lockless) };
  if (refused !== undefined) throw refused;
  return undefined;
}

/**
 * Finds a running supervisor whose lock file was removed and not yet recreated: its server's lock and its state file
 * still name it. A supervisor that ends marks its locks as released.
 * @returns its pid.
 */
export async function findSupervisorWithoutLock(
  { state }: SupervisorFolders,
  name: string,
): Promise<number | undefined> {
  const lockRecord = readLockRecord(serverLockPath(state, name));
  if (lockRecord !== undefined && lockRecord !== "released" && isHolderRunning(lockRecord) === true)
    return lockRecord.holder.pid;
  const isRemoved = readLockRecord(supervisorLockPath(state, name)) === undefined;
  const supervisor = isRemoved ? (await readState(state, name))?.supervisor : undefined;
  return supervisor !== undefined && isRunning(supervisor) ? supervisor.pid : undefined;
}

/**
 * Like {@link findSupervisor}, for a caller that needs an answer.
 * @throws LlmctlError `unresponsive`, `no-socket` when a supervisor runs and does not answer.
 */
export async function findAnswering(
  folders: SupervisorFolders,
  name: string,
  lookup: Lookup = {},
): Promise<Extract<FoundSupervisor, { answers: true }> | undefined> {
  const found = await findSupervisor(folders, name, { ...lookup, waitMs: renewMs });
  if (found === undefined || found.answers) return found;
  throw found.reason;
}

/** Possible paths of the socket: those recorded in the lock and the state file, then the usual ones. */
async function listSockets(folders: SupervisorFolders, name: string): Promise<readonly string[]> {
  const lockRecord = readLockRecord(supervisorLockPath(folders.state, name));
  const noted = lockRecord === undefined || lockRecord === "released" ? undefined : lockRecord.socket;
  const recorded = (await readState(folders.state, name))?.socket;
  const known = [noted, recorded].filter((path) => path !== undefined);
  return [...new Set([...known, ...controlSocketPaths(folders, name)])];
}

/** Anyone who can write a state folder could make us stop any process: it must be ours alone. */
function expectOwnState(stateDir: string, name: string): void {
  for (const folder of [stateDir, join(stateDir, name)]) {
    try {
      const info = lstatSync(folder, { throwIfNoEntry: false });
      if (info === undefined) return;
      expectOwnFolder(folder, info);
      expectTrustedPath(dirname(folder));
    } catch (error) {
      if (error instanceof LlmctlError || systemErrorCode(error) === undefined) throw error;
      return; // a file in its place, or an unreadable folder: there is no state of ours
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
      fix: "it recreates them within one health interval: try again",
    },
  );
}

function noSocket(lockPath: string, pid: number | undefined): LlmctlError {
  const who = pid === undefined ? "" : ` (pid ${pid})`;
  return new LlmctlError("no-socket", `the supervisor${who} holds its lock, but its control socket is missing`, {
    exit: "failed",
    at: lockPath,
    fix: "it recreates its socket within one health interval: try again; if it runs in a container, run llmctl there",
  });
}
