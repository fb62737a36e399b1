import { readdir } from "node:fs/promises";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import type { Paths } from "../base/paths.ts";
import type { Status } from "../control/messages.ts";

/** What `ps` and `status` say of a profile: the supervisor's own word, or what is left of it. */
export interface ProfileState {
  readonly name: string;
  /**
   * `live`: its supervisor answered. `unresponsive`: it runs but does not answer. `orphaned`: the server runs without a supervisor. `gone`:
   * nothing runs; the status is the last one.
   */
  readonly presence: "live" | "unresponsive" | "orphaned" | "gone";
  readonly status: Status;
}

/** All profiles that run or have run, by name. */
export async function listProfileStates(paths: Paths): Promise<readonly ProfileState[]> {
  const names = await listFolders(paths.state);
  const states = await Promise.all(names.map((name) => readProfileState(paths, name)));
  return states.filter((state) => state !== undefined);
}

/** The state of one profile; undefined when it has never run. The lock and the socket decide, the state file only fills in. */
export async function readProfileState(paths: Paths, name: string): Promise<ProfileState | undefined> {
  // Loaded here, so that `ps` is quick where nothing has run yet.
  const { readState } = await import("../supervisor/state-file.ts");
  const { isRunning } = await import("../supervisor/process-identity.ts");
  const record = await readState(paths.state, name);
  if (record === undefined) return undefined;
  const supervised = isRunning(record.supervisor);
  if (supervised) {
    const status = await askSupervisor(paths, name);
    if (status !== undefined)
      return {
        name,
        presence: status === "unresponsive" ? "unresponsive" : "live",
        status: status === "unresponsive" ? record.status : status,
      };
  }
  // Loaded only where no supervisor has answered.
  const { findOrphanRecord } = await import("../supervisor/ownership.ts");
  const orphan = await findOrphanRecord(paths, name);
  return { name, presence: orphan === undefined ? "gone" : "orphaned", status: (orphan ?? record).status };
}

/** What each running profile depends on, as it was started; by name. Asks nobody, so that it costs `down` next to nothing. */
export async function listRunningDependencies(paths: Paths): Promise<ReadonlyMap<string, readonly string[]>> {
  const { readState } = await import("../supervisor/state-file.ts");
  const { isRunning } = await import("../supervisor/process-identity.ts");
  const records = await Promise.all((await listFolders(paths.state)).map((name) => readState(paths.state, name)));
  const running = records
    .filter((record) => record !== undefined)
    .filter(({ supervisor, server }) => isRunning(supervisor) || (server !== null && isRunning(server)));
  return new Map(running.map(({ status }) => [status.name, status.dependsOn]));
}

async function askSupervisor(paths: Paths, name: string): Promise<Status | "unresponsive" | undefined> {
  const { fetchStatus } = await import("../control/client.ts");
  const { controlSocketPath } = await import("../control/socket-path.ts");
  try {
    return await fetchStatus(controlSocketPath(paths.runtime, name));
  } catch {
    return "unresponsive"; // shown as such; the reason is always the same: no answer in time
  }
}

async function listFolders(path: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .toSorted();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT") return [];
    if (code === undefined) throw error;
    throw new LlmctlError("state-unreadable", `cannot read the folder of the states: ${code}`, {
      exit: code === "EACCES" ? "permission" : "io",
      at: path,
      fix: "check who owns it, or set LLMCTL_HOME to another folder",
      cause: error,
    });
  }
}
