import { lstatSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import type { Env } from "../environment.ts";
import { LlmctlError, systemErrorCode } from "../errors.ts";
import { commandAs, describeUser } from "../describe-user.ts";

/** As many as the kernel follows. */
const mostLinks = 40;

/**
 * Checks the way to a folder: each link that it follows belongs to us or to root, and for root each folder on it, too.
 * Its owner could put another folder, or a link, in the place of what is below, and lead root, who can write
 * everywhere, anywhere. Everyone else would only be led to another folder of their own, and often has a home below a
 * folder of somebody else's (of a project, of a storage server, of "nobody").
 *
 * The mode is not asked for: a folder that a group can write is usual where each user has a group, and so is a volume
 * of a container that all can write. What is missing is no fault: we make it.
 * @throws LlmctlError `foreign-folder` (77)
 */
export function expectTrustedPath(folder: string): void {
  const isRoot = process.getuid?.() === 0;
  const other = findOther(folder, (info) => isRoot || info.isSymbolicLink());
  if (other !== undefined) throw foreignWay(other, folder);
}

/** Who has a folder, or the first one on the way to it that is neither ours nor root's. */
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
      if ((links += 1) > mostLinks) return undefined; // whoever opens it hears of it from the system
      const target = readlinkSync(path);
      if (isAbsolute(target)) at = "/";
      left.unshift(...split(target));
    }
  }
  return undefined;
}

/**
 * The same for what only root must look at: everyone else writes only what is theirs to write, also in a cache or a
 * checkout that several users share.
 * @throws LlmctlError `foreign-folder` (77)
 */
export function expectSafeForRoot(folder: string): void {
  if (process.getuid?.() === 0) expectTrustedPath(folder);
}

/**
 * Root runs no program that is found by another user's `LLMCTL_HOME`, of a build or of a profile: that user decides
 * which one it is, and a service of the machine is kept from being root.
 * @throws LlmctlError `foreign-folder` (77)
 */
export function expectOwnPrograms(env: Env = process.env): void {
  if (env["LLMCTL_HOME"]) expectSafeForRoot(env["LLMCTL_HOME"]);
}

function split(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** @returns undefined of what is not there, or not ours to look at: whoever opens it hears of it from the system. */
function lstatOrNone(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

/** True for what belongs to us or to root. */
export function isTrusted({ uid }: Pick<Stats, "uid">): boolean {
  return process.getuid === undefined || uid === 0 || uid === process.getuid() || isHiddenOwner(uid);
}

/**
 * Whether an owner is one that a user namespace (`unshare`, rootless podman) has no number for. Root of the machine,
 * who owns the folders above ours, is one of them, so there nobody can be told from root.
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
    return ""; // no such system
  }
}

function foreignWay({ path, info }: Step, folder: string): LlmctlError {
  const what = info.isSymbolicLink() ? "link" : "folder";
  const owner = describeUser(info.uid);
  return new LlmctlError(
    "foreign-folder",
    `the ${what} ${path} belongs to ${owner}, who could lead ${folder} elsewhere`,
    {
      exit: "permission",
      at: folder,
      fix: `run llmctl as its owner: ${commandAs(info.uid)}; or set LLMCTL_HOME (for models of Hugging Face HF_HOME) to a folder of your own`,
    },
  );
}
