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
export interface LockNote {
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
 * Notes are padded to this, so that one that follows takes the whole place of the one before, and no room on the disk.
 */
const noteBytes = 1536;

/** This process. Asked once: it does not change. */
export const self: ProcessIdentity = identifyProcess(process.pid) ?? { pid: process.pid, startTime: "", bootId: "" };

/** A note of this process. */
export function makeNote(profile: string, more: Omit<LockNote, "holder" | "profile"> = {}): LockNote {
  return { holder: self, profile, ...more };
}

/** What stands in the file of a lock that was given up. */
const released = { released: true } as const;

/** @throws the system's error. */
export function writeNote(fd: number, note: LockNote | typeof released): void {
  writeSync(fd, encode(note), 0, noteBytes, 0);
  ftruncateSync(fd, noteBytes);
}

/**
 * Whether the file holds just this note: a disk that sleeps is not woken to write it again.
 * @throws the system's error.
 */
export function saysNote(fd: number, note: LockNote): boolean {
  const bytes = Buffer.alloc(noteBytes);
  return readSync(fd, bytes, 0, noteBytes, 0) === noteBytes && bytes.equals(encode(note));
}

function encode(note: LockNote | typeof released): Buffer {
  const bytes = Buffer.alloc(noteBytes, " ");
  bytes.write(JSON.stringify(note));
  return bytes;
}

/** Says that nobody holds it any more: readers need not ask the kernel. */
export function clearNote(fd: number): void {
  writeNote(fd, released);
}

/**
 * What a lock file says; `released` where its last holder has given it up, undefined where it says nothing that can be
 * read.
 * @param owner Whose it must be; ours unless told.
 * @throws LlmctlError `foreign-file` (77).
 */
export function readNote(path: string, owner?: number): LockNote | "released" | undefined {
  try {
    const note: unknown = parseJson(readSmallFile(path, { owner, what: "lock file" }) ?? "");
    if (!isMap(note)) return undefined;
    if (note["released"] === true) return "released";
    return isNote(note) ? checkServer(note) : undefined;
  } catch (error) {
    if (error instanceof LlmctlError) throw error;
    return undefined; // no lock file, its holder is just writing it, or somebody has emptied it
  }
}

const isNote = isShape<Omit<LockNote, "server">>({ holder: isIdentity, profile: isText, socket: isOptional(isText) });
const isLockedServer = isShape<LockedServer>({ identity: isIdentity, hash: isText, stopTimeoutMs: isNumber });

/** A server that is not described as it should be is no server that may be signalled. */
function checkServer({ server, ...note }: LockNote): LockNote {
  return isLockedServer(server) ? { ...note, server } : note;
}

/**
 * Whether the process that took a lock runs: `unknown` where the note does not say, or names a process that cannot be
 * seen from here.
 */
export function isHolderRunning(note: LockNote | "released" | undefined): boolean | "unknown" {
  if (note === "released") return false;
  return note === undefined || !isOfHere(note.holder) ? "unknown" : isRunning(note.holder);
}
