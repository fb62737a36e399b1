import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  type Stats,
} from "node:fs";
import { dirname } from "node:path";
import { LlmctlError, systemErrorCode } from "../errors.ts";
import { commandAs, describeUser } from "../describe-user.ts";
import { expectTrustedPath } from "./trusted-path.ts";

export { describeUser };

/** Mode bits that let other users add files to a folder or remove them. */
const writableByOthers = 0o022;

/**
 * Creates a folder for locks, sockets or state with mode 0700. A folder that exists must belong to this user alone, and
 * the path to it must be trusted. Safe to repeat.
 * @throws LlmctlError `foreign-folder` (77) for a folder of another user, a link, a folder with content that others can
 * write, and an untrusted path; the system's error when the folder cannot be created.
 */
export function ensureOwnFolder(path: string): void {
  const present = lstatSync(path, { throwIfNoEntry: false });
  // The folder itself is reported before a folder above it: it is what the caller asked for.
  if (present !== undefined && (present.isSymbolicLink() || !isOwn(present))) expectOwnFolder(path, present);
  expectTrustedPath(dirname(path));
  makeFolder(path);
  const info = lstatSync(path);
  // An empty folder that was created by hand or by a mount: nobody has placed anything in it, and with mode 0700 nobody
  // else can.
  const isOpen = (info.mode & writableByOthers) !== 0;
  const isNew = isOpen && info.isDirectory() && isOwn(info) && readdirSync(path).length === 0;
  if (!isNew) expectOwnFolder(path, info);
  if ((info.mode & 0o077) !== 0) closeToOthers(path, info);
}

function closeToOthers(path: string, { ino, dev, mode }: Stats): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const now = fstatSync(fd);
    if (now.ino === ino && now.dev === dev) fchmodSync(fd, mode & 0o700);
  } finally {
    closeSync(fd);
  }
}

/**
 * Creates a folder and its parents with mode 0700. (Node's recursive mkdir does not end where the system refuses a
 * folder with ENOENT, as in /proc.)
 * @throws the system's error.
 */
export function makeFolder(path: string): void {
  try {
    makeOne(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT" || dirname(path) === path) throw error;
    makeFolder(dirname(path));
    makeOne(path);
  }
}

function makeOne(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // On a read-only file system, mkdir of an existing folder fails with EROFS and not with EEXIST.
    if (systemErrorCode(error) !== "EEXIST" && !statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

/**
 * Checks a folder that another user could have created first.
 * @throws LlmctlError `foreign-folder` as {@link ensureOwnFolder}.
 */
export function expectOwnFolder(path: string, info: Stats = lstatSync(path)): void {
  if (info.isSymbolicLink())
    throw foreignFolder(
      path,
      "is a link, and its target may belong to another user",
      `replace it with a folder, or ${elsewhere}`,
    );
  if (!info.isDirectory()) throw Object.assign(new Error(`${path} is not a folder`), { code: "ENOTDIR" });
  if (!isOwn(info)) {
    const fix = `run llmctl as its owner: ${commandAs(info.uid)}; or remove it, or ${elsewhere}`;
    throw foreignFolder(path, `belongs to ${describeUser(info.uid)}, not to you (${describeUser(ownUid())})`, fix);
  }
  if ((info.mode & writableByOthers) !== 0) {
    throw foreignFolder(
      path,
      "can be written by other users",
      `check that everything in it is yours, then run: chmod 700 ${path}`,
    );
  }
}

/** True for a file of the calling user; always true on a system without user ids. */
export function isOwn({ uid }: Pick<Stats, "uid">): boolean {
  return process.getuid === undefined || uid === process.getuid();
}

function ownUid(): number {
  return process.getuid?.() ?? -1;
}

const elsewhere = "set LLMCTL_HOME to a folder of your own";

function foreignFolder(path: string, why: string, fix: string): LlmctlError {
  return new LlmctlError("foreign-folder", `the folder ${path} ${why}`, {
    exit: "permission",
    at: path,
    fix,
  });
}
