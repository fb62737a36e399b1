import { ftruncateSync, readSync, writeSync } from "node:fs";
import { isMap, isNumber, isOptional, isShape, isText } from "../../base/text/check-shape.ts";
import { LlmctlError } from "../../base/errors.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { readSmallFile } from "../../base/files/read-small-file.ts";
import { identifyProcess, isIdentity, isOfHere, isRunning, type ProcessIdentity } from "./process-identity.ts";

/**
 * What a lock file says of who holds it: enough to find a supervisor, or a server without one, where the state file is
 * lost. Older versions have other words, and a reader takes any key for missing.
 */
export interface LockRecord {
  /** Who took it. */
  readonly holder: ProcessIdentity;
  /** Name of the profile. */
  readonly profile: string;
  /** Where the supervisor answers. */
  readonly socket?: string;
  /** The server that has inherited the lock, and what is needed to adopt or end it. */
  readonly server?: LockedServer;
}

export interface LockedServer {
  readonly identity: ProcessIdentity;
  /** Identifies the configuration that it runs. */
  readonly hash: string;
  readonly stopTimeoutMs: number;
}

/**
 * Records are padded to this, so that one that follows takes the whole place of the one before, and no room on the disk.
 */
const recordBytes = 1536;

/** This process. Asked once: it does not change. */
export const thisProcess: ProcessIdentity = identifyProcess(process.pid) ?? {
  pid: process.pid,
  startTime: "",
  bootId: "",
};

/** A record of this process. */
export function makeLockRecord(profile: string, more: Omit<LockRecord, "holder" | "profile"> = {}): LockRecord {
  return { holder: thisProcess, profile, ...more };
}

/** What stands in the file of a lock that was given up. */
const released = { released: true } as const;

/** @throws the system's error. */
export function writeLockRecord(fd: number, record: LockRecord | typeof released): void {
  writeSync(fd, encode(record), 0, recordBytes, 0);
  ftruncateSync(fd, recordBytes);
}

/**
 * Whether the file holds just this record: a disk that sleeps is not woken to write it again.
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

/** Says that nobody holds it any more: readers need not ask the kernel. */
export function markReleased(fd: number): void {
  writeLockRecord(fd, released);
}

/**
 * What a lock file says; `released` where its last holder has given it up, undefined where it says nothing that can be
 * read.
 * @param owner Whose it must be; ours unless told.
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
    return undefined; // no lock file, its holder is just writing it, or somebody has emptied it
  }
}

const isLockRecord = isShape<Omit<LockRecord, "server">>({
  holder: isIdentity,
  profile: isText,
  socket: isOptional(isText),
});
const isLockedServer = isShape<LockedServer>({ identity: isIdentity, hash: isText, stopTimeoutMs: isNumber });

/** A server that is not described as it should be is no server that may be signalled. */
function checkServer({ server, ...record }: LockRecord): LockRecord {
  return isLockedServer(server) ? { ...record, server } : record;
}

/**
 * Whether the process that took a lock runs: `unknown` where the record does not say, or names a process that cannot be
 * seen from here.
 */
export function isHolderRunning(record: LockRecord | "released" | undefined): boolean | "unknown" {
  if (record === "released") return false;
  return record === undefined || !isOfHere(record.holder) ? "unknown" : isRunning(record.holder);
}
