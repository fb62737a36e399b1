import { lstatSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import type { Env } from "../environment.ts";
import { LlmctlError, systemErrorCode } from "../errors.ts";
import { commandAs, describeUser } from "../describe-user.ts";

/** The kernel follows as many links. */
const mostLinks = 40;

/**
 * Checks the path to a folder: each symbolic link on it belongs to this user or to root, and for root each folder, too.
 * The owner of a link or of a folder can redirect everything below it, and root, who can write everywhere, would follow
 * anywhere. Another user would only be redirected to folders of their own, and often has a home below somebody else's
 * folder (of a project, of a storage server, of "nobody").
 *
 * Modes are not checked: folders that a group can write are usual where each user has a group, and so are container
 * volumes that everybody can write. A missing folder is no fault: the caller creates it.
 * @throws LlmctlError `foreign-folder` (77)
 */
export function expectTrustedPath(folder: string): void {
  const isRoot = process.getuid?.() === 0;
  const other = findOther(folder, (info) => isRoot || info.isSymbolicLink());
  if (other !== undefined) throw foreignWay(other, folder);
}

/**
 * User id of the first folder or link on the path, the folder itself included, that belongs neither to this user nor to
 * root.
 */
export function findOtherOwner(folder: string): number | undefined {
  return findOther(folder, () => true)?.info.uid;
}

interface Step {
  readonly path: string;
  readonly info: Stats;
}

function findOther(folder: string, counts: (info: Stats) => boolean): Step | undefined {
  if (process.getuid === undefined) return undefined;
  let at = "/";
  let links = 0;
  const left = split(resolve(folder));
  for (let name = left.shift(); name !== undefined; name = left.shift()) {
    const path = name === ".." ? dirname(at) : join(at, name);
    const info = lstatOrNone(path);
    if (info === undefined) return undefined;
    if (!isTrusted(info) && counts(info)) return { path, info };
    if (!info.isSymbolicLink()) at = path;
    else {
      if ((links += 1) > mostLinks) return undefined; // opening the path gives the system's own error
      const target = readlinkSync(path);
      if (isAbsolute(target)) at = "/";
      left.unshift(...split(target));
    }
  }
  return undefined;
}

/**
 * As {@link expectTrustedPath}, for root alone: other users can only damage files of their own, also in a cache or a
 * checkout that several users share.
 * @throws LlmctlError `foreign-folder` (77)
 */
export function expectSafeForRoot(folder: string): void {
  if (process.getuid?.() === 0) expectTrustedPath(folder);
}

/**
 * Refuses, for root, an `LLMCTL_HOME` of another user: its builds and profiles name programs, so that user would decide
 * what root runs. A service user must not become root that way.
 * @throws LlmctlError `foreign-folder` (77)
 */
export function expectOwnPrograms(env: Env = process.env): void {
  if (env["LLMCTL_HOME"]) expectSafeForRoot(env["LLMCTL_HOME"]);
}

function split(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** @returns undefined for a path that is missing or not accessible; opening it gives the system's own error. */
function lstatOrNone(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

/** True for a file that belongs to this user or to root. */
export function isTrusted({ uid }: Pick<Stats, "uid">): boolean {
  return process.getuid === undefined || uid === 0 || uid === process.getuid() || isHiddenOwner(uid);
}

/**
 * Whether the user namespace (`unshare`, rootless podman) has no mapping for this owner. The machine's root, who owns
 * the parent folders, is unmapped there as well, so an unmapped owner cannot be told from root.
 */
function isHiddenOwner(uid: number): boolean {
  return uid === Number(readText("/proc/sys/kernel/overflowuid") || "65534") && !knowsAllUsers();
}

function knowsAllUsers(): boolean {
  const map = readText("/proc/self/uid_map");
  return map === "" || /^\s*0\s+0\s+4294967295\s*$/.test(map);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // not Linux
  }
}

function foreignWay({ path, info }: Step, folder: string): LlmctlError {
  const what = info.isSymbolicLink() ? "link" : "folder";
  const owner = describeUser(info.uid);
  return new LlmctlError("foreign-folder", `the ${what} ${path} belongs to ${owner}, who could redirect ${folder}`, {
    exit: "permission",
    at: folder,
    fix:
      `run llmctl as its owner: ${commandAs(info.uid)}; ` +
      "or set LLMCTL_HOME (for models of Hugging Face HF_HOME) to a folder of your own",
  });
}
