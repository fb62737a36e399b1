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

/** Bits of a mode by which others can put files into a folder, or take them away. */
const writableByOthers = 0o022;

/**
 * Makes a folder for locks, sockets or state, with mode 0700, or checks that the one that is there is ours alone, and
 * that the way to it is safe. Safe to repeat.
 * @throws LlmctlError `foreign-folder` (77) for a folder of another user, a link, one that holds something and can be
 *   written by others, and one below a folder of another user's; the system's error where it cannot be made.
 */
export function ensureOwnFolder(path: string): void {
  const present = lstatSync(path, { throwIfNoEntry: false });
  // Named before what is above it: it is nearer to what was asked for.
  if (present !== undefined && (present.isSymbolicLink() || !isOwn(present))) expectOwnFolder(path, present);
  expectTrustedPath(dirname(path));
  makeFolder(path);
  const info = lstatSync(path);
  // A folder of ours that was made by hand or by a mount: nobody has put anything into it yet, and from now on nobody
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
 * Makes a folder of ours and those above it. Node's own recursive mkdir never ends where the system refuses a folder
 * with ENOENT, as in /proc.
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
    // A read-only file system says of a folder that is there only that it is read-only.
    if (systemErrorCode(error) !== "EEXIST" && !statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

/**
 * Checks a folder that others could have made before us.
 * @throws LlmctlError `foreign-folder` as {@link ensureOwnFolder}.
 */
export function expectOwnFolder(path: string, info: Stats = lstatSync(path)): void {
  if (info.isSymbolicLink())
    throw foreignFolder(
      path,
      "is a link, and what it leads to may be another user's",
      `put a folder in its place, or ${elsewhere}`,
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
      `look whether all that is in it is yours, then run: chmod 700 ${path}`,
    );
  }
}

/** True for a file of the calling user's; always true where the system has no users. */
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
