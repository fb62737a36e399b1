import { lstatSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { expectOwnFolder, isOwn } from "../../base/files/own-folder.ts";
import type { Paths } from "../../base/files/paths.ts";
import { commandAs } from "../../base/describe-user.ts";
import { expectTrustedPath, findOtherOwner } from "../../base/files/trusted-path.ts";
import type { Status } from "../../control/messages.ts";
import { profileNamePattern } from "../../base/text/profile-name.ts";
import type { FoundSupervisor } from "./find-supervisor.ts";

/** The state of a profile, as `ps` and `status` show it: the supervisor's own status, or what is left of that. */
export interface ProfileState {
  readonly name: string;
  /**
   * - `live`: its supervisor answered
   * - `unresponsive`: its supervisor runs but does not answer
   * - `orphaned`: the server runs without a supervisor
   * - `gone`: nothing runs; the status is the last one
   * - `unknown`: its folder or socket is refused, as another user's
   */
  readonly presence: "live" | "unresponsive" | "orphaned" | "gone" | "unknown";
  readonly status: Status;
  /** Of `unresponsive` and `unknown`: why. */
  readonly error?: LlmctlError;
  /** Who runs it, where that is not the caller. The status is then only what that user claims. */
  readonly user?: string;
}

/** All profiles that run or have run, by name. */
export async function listProfileStates(paths: Paths): Promise<readonly ProfileState[]> {
  const names = await listStateNames(paths);
  const states = await Promise.all(names.map((name) => readOrExplain(paths, name)));
  return states.filter((state) => state !== undefined);
}

/** One that cannot be asked hides none of the others. */
async function readOrExplain(paths: Paths, name: string): Promise<ProfileState | undefined> {
  try {
    return await readProfileState(paths, name);
  } catch (error) {
    return refusedState(name, error);
  }
}

/** The state of a profile whose folder or socket is refused. @throws what is no LlmctlError. */
export function refusedState(name: string, error: unknown): ProfileState {
  if (!(error instanceof LlmctlError)) throw error;
  return { name, presence: "unknown", status: lostStatus(name, { warnings: [error.message] }), error };
}

/**
 * The state of one profile; undefined when it has never run. The lock and the socket decide, the state file only fills
 * in.
 */
export async function readProfileState(paths: Paths, name: string): Promise<ProfileState | undefined> {
  // Loaded here, so that `ps` is quick where nothing has run yet.
  const { findSupervisor } = await import("./find-supervisor.ts");
  const found = await findSupervisor(paths, name);
  if (found?.answers === true) return { name, presence: "live", status: found.status };
  return readUnanswered(paths, name, found);
}

/**
 * The state of a profile of which no supervisor answers.
 * @param found The supervisor that runs and does not answer; undefined where none runs.
 * @returns undefined when the profile has never run.
 */
export async function readUnanswered(
  paths: Paths,
  name: string,
  found: Extract<FoundSupervisor, { answers: false }> | undefined,
): Promise<ProfileState | undefined> {
  const { readState } = await import("./state-file.ts");
  const status = (await readState(paths.state, name))?.status;
  if (found !== undefined) {
    const lost = { supervisorPid: found.pid ?? 0 };
    const { reason } = found;
    return {
      name,
      presence: "unresponsive",
      status: withWarning(status ?? lostStatus(name, lost), reason.message),
      error: reason,
    };
  }
  // Loaded only where there is no supervisor.
  const { findOrphan } = await import("./orphan.ts");
  const orphan = await findOrphan(paths, name);
  if (orphan !== undefined) {
    const { hash = "", identity } = orphan;
    return { name, presence: "orphaned", status: orphan.status ?? lostStatus(name, { pid: identity.pid, hash }) };
  }
  return status === undefined ? undefined : { name, presence: "gone", status };
}

const unknownSince = new Date(0).toISOString();

export function isSinceKnown({ since }: Status): boolean {
  return since !== unknownSince;
}

function withWarning(status: Status, text: string): Status {
  return { ...status, warnings: [...status.warnings, text] };
}

/**
 * The status of something that runs and whose state file is lost: unknown values are empty, and {@link isSinceKnown} is
 * false.
 */
export function lostStatus(name: string, known: Partial<Status>): Status {
  return {
    version: 1,
    name,
    state: "stopped",
    since: unknownSince,
    url: null,
    pid: null,
    supervisorPid: 0,
    drafting: { state: "unproven" },
    tokensPerSecond: null,
    baselineTokensPerSecond: null,
    traffic: null,
    loadMs: null,
    load: null,
    runs: 0,
    restarts: 0,
    restartsByCause: {},
    startedAt: null,
    lastExit: null,
    waitingFor: null,
    retryInMs: null,
    build: "",
    profile: "",
    dependsOn: [],
    hash: "",
    log: "",
    warnings: ["its state file is lost or cannot be read"],
    ...known,
  };
}

/**
 * What each running profile depends on, as it was started; by name. A supervisor is asked only where its state file is
 * lost.
 */
export async function listRunningDependencies(paths: Paths): Promise<ReadonlyMap<string, readonly string[]>> {
  const { isLockHeld } = await import("./file-lock.ts");
  const { serverLockPath, supervisorLockPath } = await import("./find-supervisor.ts");
  const { readState } = await import("./state-file.ts");
  const isRunning = (name: string) =>
    isLockHeld(supervisorLockPath(paths.state, name)) || isLockHeld(serverLockPath(paths.state, name));
  const find = async (name: string): Promise<readonly string[] | undefined> => {
    try {
      if (!isRunning(name)) return undefined;
      const status = (await readState(paths.state, name))?.status ?? (await readOrExplain(paths, name))?.status;
      return status?.dependsOn ?? [];
    } catch (error) {
      // One that is refused may run: the stop then tells why it cannot be asked.
      if (error instanceof LlmctlError) return [];
      throw error;
    }
  };
  const names = await listStateNames(paths);
  const found = await Promise.all(names.map(async (name) => [name, await find(name)] as const));
  return new Map(found.flatMap(([name, needed]) => (needed === undefined ? [] : [[name, needed] as const])));
}

/**
 * Names of the profiles that have a folder of state, whatever is in it.
 * @throws LlmctlError `foreign-folder`, `state-unreadable`.
 */
export async function listStateNames({ state }: Paths): Promise<readonly string[]> {
  try {
    const info = lstatSync(state);
    if (!isOwn(info)) expectOwnFolder(state, info); // names its owner, where it cannot be read
    const entries = await readdir(state, { withFileTypes: true });
    if (entries.length > 0) expectOwnFolder(state, info);
    expectTrustedPath(dirname(state));
    return entries
      .filter((entry) => entry.isDirectory() && profileNamePattern.test(entry.name))
      .map((entry) => entry.name)
      .toSorted();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT") return [];
    if (code === undefined) throw error; // such as `foreign-folder`
    throw unreadableState(state, error);
  }
}

/** The error for a folder of states that cannot be read. */
export function unreadableState(state: string, cause: unknown): LlmctlError {
  const code = systemErrorCode(cause);
  const owner = findOtherOwner(state);
  return new LlmctlError("state-unreadable", `cannot read the folder of the states: ${code}`, {
    exit: code === "EACCES" ? "permission" : "io",
    at: state,
    fix:
      owner === undefined
        ? "check who owns it, or set LLMCTL_HOME to another folder"
        : `run llmctl as its owner: ${commandAs(owner)}; or set LLMCTL_HOME to another folder`,
    cause,
  });
}
