import { dirname, join } from "node:path";
import { removeUnfinished, writeFileAtomic } from "../../base/files/atomic-write.ts";
import { isNullOr, isNumber, isOptional, isShape, isText } from "../../base/text/check-shape.ts";
import { systemErrorCode } from "../../base/errors.ts";
import { ensureOwnFolder } from "../../base/files/own-folder.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { readSmallFile } from "../../base/files/read-small-file.ts";
import { isStatus } from "../../control/check-answer.ts";
import type { Status } from "../../control/messages.ts";
import { isIdentity, type ProcessIdentity } from "./process-identity.ts";

/** What a supervisor leaves on disk at every change, for `ps` and for the supervisor after it. */
export interface StateRecord {
  readonly status: Status;
  readonly supervisor: ProcessIdentity;
  /** Where it answers; a state of an older version does not say. */
  readonly socket?: string;
  /** The server, while it runs. */
  readonly server: ProcessIdentity | null;
  /** How long the server may take to stop, should it outlive its supervisor; a state of an older version has none. */
  readonly stopTimeoutMs?: number;
}

const isRecord = isShape<StateRecord>({
  status: isStatus,
  supervisor: isIdentity,
  socket: isOptional(isText),
  server: isNullOr(isIdentity),
  stopTimeoutMs: isOptional(isNumber),
});

/** Path of a profile's state, absolute. */
export function stateFilePath(stateDir: string, name: string): string {
  return join(stateDir, name, "state.json");
}

/** Writes the state of a profile, atomically. @throws LlmctlError `foreign-folder`; the system's error. */
export async function writeState(stateDir: string, record: StateRecord): Promise<void> {
  const path = stateFilePath(stateDir, record.status.name);
  ensureOwnFolder(dirname(path));
  await writeFileAtomic(path, `${JSON.stringify(record, undefined, 2)}\n`);
}

/** Writes the first state of a new supervisor, who is alone in writing it. @throws the system's error. */
export async function writeFirstState(stateDir: string, record: StateRecord): Promise<void> {
  await writeState(stateDir, record);
  await removeUnfinished(stateFilePath(stateDir, record.status.name));
}

/**
 * Reads the state of a profile.
 * @param owner Whose it must be; ours unless told.
 * @throws LlmctlError `foreign-file` (77).
 * @returns undefined when there is none, or when it is not one that this version can read: the lock and the socket
 *   decide, never this file.
 */
export async function readState(stateDir: string, name: string, owner?: number): Promise<StateRecord | undefined> {
  try {
    const record = parseJson(
      readSmallFile(stateFilePath(stateDir, name), { owner, what: "state" }) ?? "",
    ) as StateRecord;
    // A key that came later: a state of before it has none.
    const whole = { ...record, status: { ...record.status, dependsOn: record.status.dependsOn ?? [] } };
    return isRecord(whole) && whole.status.name === name ? whole : undefined;
  } catch (error) {
    // No file, a folder in its place, one that is not ours to read, half a file of an older program, or a hostile one:
    // as good as none.
    if (error instanceof SyntaxError || error instanceof TypeError || systemErrorCode(error) !== undefined)
      return undefined;
    throw error;
  }
}
