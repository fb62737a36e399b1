import { lstatSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import { LlmctlError, systemErrorCode } from "../base/errors.ts";
import { describeUser, ensureOwnFolder, expectOwnFolder, isOwn } from "../base/files/own-folder.ts";
import { type Paths, socketsBeside } from "../base/files/paths.ts";

/** sun_path has 104 bytes on macOS and 108 on Linux; Node silently truncates a longer path. */
const maxBytes = 103;

type Folders = Pick<Paths, "runtime" | "state">;

/** Possible paths of a supervisor's control socket, the usual one first. Lock and state file record the actual one. */
export function controlSocketPaths({ runtime, state }: Folders, name: string): readonly string[] {
  const folders = [...new Set([runtime, socketsBeside(state)])];
  return folders.map((folder) => join(folder, `${name}.sock`));
}

/**
 * Paths at which a control socket can be created, the usual one first.
 * @throws LlmctlError `socket-path-too-long` when there is none.
 */
export function listSocketPlaces(folders: Folders, name: string): readonly string[] {
  const paths = controlSocketPaths(folders, name);
  const short = paths.filter((path) => Buffer.byteLength(path) <= maxBytes);
  if (short.length === 0) throw tooLong(paths[0] ?? "");
  return short;
}

/**
 * Creates the folder of a control socket, or checks that it is ours.
 * @throws LlmctlError `foreign-runtime-folder`, `foreign-folder`; the system's error when it cannot be created.
 */
export function ensureSocketFolder(socketPath: string): void {
  const folder = dirname(socketPath);
  if (lstatOrNone(folder) === undefined) expectOwnRuntime(dirname(folder));
  ensureOwnFolder(folder);
}

/**
 * Whether the socket at a path is ours, and in a folder that only we can write. Checked before anything is sent to it.
 * @returns false when there is no socket.
 * @throws LlmctlError `foreign-socket`, `foreign-folder`.
 */
export function isOwnSocket(path: string): boolean {
  try {
    const info = lstatSync(path, { throwIfNoEntry: false });
    if (info === undefined) return false;
    if (!isOwn(info)) throw foreignSocket(path, info.uid);
    expectOwnFolder(dirname(path));
    return info.isSocket();
  } catch (error) {
    if (error instanceof LlmctlError) throw error;
    if (systemErrorCode(error) === undefined) throw error;
    return false; // an unreadable folder has no socket of ours
  }
}

/** Whether there is a socket of another user at a path, in a folder of that user: root may send requests to it. */
export function isSocketOf(path: string, owner: number): boolean {
  const info = lstatOrNone(path);
  const folder = lstatOrNone(dirname(path));
  return info?.isSocket() === true && info.uid === owner && folder?.isDirectory() === true && folder.uid === owner;
}

function lstatOrNone(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined; // a part of the path is a file, or unreadable for us
  }
}

/**
 * Refuses a runtime folder of another user: `su` and `sudo -u` keep the caller's XDG_RUNTIME_DIR. A folder of root is
 * refused only if it is private; others, such as /run and /tmp, are for everybody.
 * @throws LlmctlError `foreign-runtime-folder`
 */
function expectOwnRuntime(folder: string): void {
  const info = lstatOrNone(folder);
  const isForAll = info?.uid === 0 && (info.mode & 0o077) !== 0;
  if (info === undefined || isForAll || isOwn(info)) return;
  throw new LlmctlError(
    "foreign-runtime-folder",
    `the runtime folder ${folder} belongs to another user: ${describeUser(info.uid)}`,
    {
      exit: "permission",
      at: folder,
      fix:
        'XDG_RUNTIME_DIR still names a folder of that user, as after "su": ' +
        'run "unset XDG_RUNTIME_DIR", or log in with "su -" or "sudo -i"',
    },
  );
}

function foreignSocket(path: string, uid: number): LlmctlError {
  return new LlmctlError("foreign-socket", `the control socket belongs to another user: ${describeUser(uid)}`, {
    exit: "permission",
    at: path,
    fix: "run llmctl as that user, or remove the file if nobody uses it",
  });
}

function tooLong(path: string): LlmctlError {
  return new LlmctlError(
    "socket-path-too-long",
    `the control socket's path has ${Buffer.byteLength(path)} bytes, at most ${maxBytes} are possible`,
    { exit: "config", at: path, fix: "set XDG_RUNTIME_DIR or LLMCTL_HOME to a shorter path" },
  );
}
