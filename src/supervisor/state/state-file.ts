import { dirname, join } from "node:path";
import { removeUnfinished, writeFileAtomic } from "../../base/files/atomic-write.ts";
import type { FileOperations } from "../../base/files/file-operations.ts";
import { isNullOr, isNumber, isOptional, isShape, isText } from "../../base/text/check-shape.ts";
import { systemErrorCode } from "../../base/errors.ts";
import { ensureOwnFolder } from "../../base/files/own-folder.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { readSmallFile } from "../../base/files/read-small-file.ts";
import { isStatus, type Status } from "../../control/messages.ts";
import { isIdentity, type ProcessIdentity } from "./process-identity.ts";

/** Content of `state.json`, written at every change, for `ps` and for the next supervisor. */
export interface StateRecord {
  readonly status: Status;
  readonly supervisor: ProcessIdentity;
  /** Path of the control socket; absent in states of older versions. */
  readonly socket?: string;
  /** The server, while it runs. */
  readonly server: ProcessIdentity | null;
  /** The server's time to stop, should it outlive its supervisor; absent in states of older versions. */
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
export async function writeState(stateDir: string, record: StateRecord, files?: FileOperations): Promise<void> {
  const path = stateFilePath(stateDir, record.status.name);
  ensureOwnFolder(dirname(path));
  await writeFileAtomic(path, `${JSON.stringify(record, undefined, 2)}\n`, files === undefined ? {} : { files });
}

/**
 * Writes the first state of a new supervisor and removes unfinished writes of earlier ones.
 * @throws the system's error.
 */
export async function writeFirstState(stateDir: string, record: StateRecord, files?: FileOperations): Promise<void> {
  await writeState(stateDir, record, files);
  await removeUnfinished(stateFilePath(stateDir, record.status.name));
}

/**
 * Reads the state of a profile.
 * @param owner User who must own the file; by default ours.
 * @throws LlmctlError `foreign-file` (77).
 * @returns undefined when there is none that this version can read: the lock and the socket decide, never this file.
 */
export async function readState(stateDir: string, name: string, owner?: number): Promise<StateRecord | undefined> {
  try {
    const record = parseJson(
      readSmallFile(stateFilePath(stateDir, name), { owner, what: "state" }) ?? "",
    ) as StateRecord;
    // States of older versions lack this key.
    const whole = { ...record, status: { ...record.status, dependsOn: record.status.dependsOn ?? [] } };
    return isRecord(whole) && whole.status.name === name ? whole : undefined;
  } catch (error) {
    // No file, a folder in its place, an unreadable file, half a file of an older program, or a hostile one counts as
    // none.
    if (error instanceof SyntaxError || error instanceof TypeError || systemErrorCode(error) !== undefined)
      return undefined;
    throw error;
  }
}
