import { ftruncateSync, readSync, writeSync } from "node:fs";
import { isMap, isNumber, isOptional, isShape, isText } from "../../base/text/check-shape.ts";
import { LlmctlError } from "../../base/errors.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { readSmallFile } from "../../base/files/read-small-file.ts";
import { identifyProcess, isIdentity, isOfHere, isRunning, type ProcessIdentity } from "./process-identity.ts";

/**
 * Content of a lock file: who holds the lock. Enough to find a supervisor, or a server without one, when the state file
 * is lost. Older versions write other keys, so any key may be missing.
 */
export interface LockRecord {
  /** The process that took the lock. */
  readonly holder: ProcessIdentity;
  /** Name of the profile. */
  readonly profile: string;
  /** Path of the supervisor's control socket. */
  readonly socket?: string;
  /** The server that has inherited the lock, with everything needed to adopt or end it. */
  readonly server?: LockedServer;
}

export interface LockedServer {
  readonly identity: ProcessIdentity;
  /** Identifies the configuration that it runs. */
  readonly hash: string;
  readonly stopTimeoutMs: number;
}

/** Records are padded to this size: a new one overwrites the whole old one and needs no more disk space. */
const recordBytes = 1536;

/** Identity of this process, read once. */
export const thisProcess: ProcessIdentity = identifyProcess(process.pid) ?? {
  pid: process.pid,
  startTime: "",
  bootId: "",
};

/** A record that names this process as the holder. */
export function makeLockRecord(profile: string, more: Omit<LockRecord, "holder" | "profile"> = {}): LockRecord {
  return { holder: thisProcess, profile, ...more };
}

/** Content of a lock file after its release. */
const released = { released: true } as const;

/** @throws the system's error. */
export function writeLockRecord(fd: number, record: LockRecord | typeof released): void {
  writeSync(fd, encode(record), 0, recordBytes, 0);
  ftruncateSync(fd, recordBytes);
}

/**
 * Whether the file already contains this record, so that a sleeping disk is not woken to write it again.
 * @throws the system's error.
 */
export function holdsLockRecord(fd: number, record: LockRecord): boolean {
  const bytes = Buffer.alloc(recordBytes);
  return readSync(fd, bytes, 0, recordBytes, 0) === recordBytes && bytes.equals(encode(record));
}

function encode(record: LockRecord | typeof released): Buffer {
  const bytes = Buffer.alloc(recordBytes, " ");
  bytes.write(JSON.stringify(record));
  return bytes;
}

/** Marks the lock as released, so that readers need not ask the kernel. */
export function markReleased(fd: number): void {
  writeLockRecord(fd, released);
}

/**
 * Reads a lock file.
 * @param owner User who must own it; by default ours.
 * @returns `released` after its last holder has released it; undefined when it has no readable record.
 * @throws LlmctlError `foreign-file` (77).
 */
export function readLockRecord(path: string, owner?: number): LockRecord | "released" | undefined {
  try {
    const record: unknown = parseJson(readSmallFile(path, { owner, what: "lock file" }) ?? "");
    if (!isMap(record)) return undefined;
    if (record["released"] === true) return "released";
    return isLockRecord(record) ? checkServer(record) : undefined;
  } catch (error) {
    if (error instanceof LlmctlError) throw error;
    return undefined; // no lock file, a record being written, or a file that somebody has emptied
  }
}

const isLockRecord = isShape<Omit<LockRecord, "server">>({
  holder: isIdentity,
  profile: isText,
  socket: isOptional(isText),
});
const isLockedServer = isShape<LockedServer>({ identity: isIdentity, hash: isText, stopTimeoutMs: isNumber });

/** Drops a malformed server: it could name any process, and the server may be signalled. */
function checkServer({ server, ...record }: LockRecord): LockRecord {
  return isLockedServer(server) ? { ...record, server } : record;
}

/** Whether the holder of a lock runs; `unknown` without a record, or for a holder in another pid namespace. */
export function isHolderRunning(record: LockRecord | "released" | undefined): boolean | "unknown" {
  if (record === "released") return false;
  return record === undefined || !isOfHere(record.holder) ? "unknown" : isRunning(record.holder);
}
