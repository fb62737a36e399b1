import { randomBytes } from "node:crypto";
import { rename, rm, symlink } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { writeFileAtomic } from "../../base/files/atomic-write.ts";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { readBounded } from "../../base/files/read-bounded.ts";
import { quote } from "../../profiles/yaml/quote-value.ts";
import { makeCacheFolder } from "../download/cache-folder.ts";

/** Where one repository lies in the Hugging Face cache, in the layout that the Python client shares. */
export interface RepoFolder {
  readonly path: string;
  /** Folder of the lock files, one a blob; the Python client takes the same ones. */
  readonly locks: string;
}

const commitPattern = /^[0-9a-f]{40}$/;

/** A ref is a commit in hex, perhaps with a line end. */
export const refBytes = 256;

/** The folder of `owner/name` in the cache; it need not exist. */
export function repoFolder(hubCache: string, hf: string): RepoFolder {
  const name = `models--${hf.replace("/", "--")}`;
  return { path: resolve(hubCache, name), locks: resolve(hubCache, ".locks", name) };
}

/** The commit that a revision meant when the cache last asked; undefined when it never did. */
export async function findCommit(repo: RepoFolder, revision: string): Promise<string | undefined> {
  if (commitPattern.test(revision)) return revision;
  try {
    const commit = ((await readBounded(refPath(repo, revision), refBytes)) ?? "").trim();
    return commitPattern.test(commit) ? commit : undefined;
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(systemErrorCode(error) ?? "")) return undefined;
    throw error;
  }
}

/** Notes what a branch or tag means now. Written after the files, so that a reader who follows it finds them. */
export async function writeRef(repo: RepoFolder, revision: string, commit: string): Promise<void> {
  if (revision === commit) return;
  const path = refPath(repo, revision);
  await makeCacheFolder(dirname(path));
  await writeFileAtomic(path, commit, 0o666);
}

/** The path of a file in a snapshot. */
function snapshotPath(repo: RepoFolder, commit: string, name: string): string {
  return join(repo.path, "snapshots", commit, ...name.split("/"));
}

export function blobPath(repo: RepoFolder, digest: string): string {
  return join(repo.path, "blobs", digest);
}

/** Gives a blob its name in a snapshot: a relative link, put in place in one step over whatever was there. */
export async function linkBlob(repo: RepoFolder, commit: string, name: string, digest: string): Promise<string> {
  const path = snapshotPath(repo, commit, name);
  const folder = dirname(path);
  await makeCacheFolder(folder);
  // Not the name with an ending: the name may be as long as a name can be.
  const beside = join(folder, `.llmctl-${process.pid}-${randomBytes(4).toString("hex")}.tmp`);
  try {
    await symlink(relative(folder, blobPath(repo, digest)), beside);
    await rename(beside, path);
  } finally {
    await rm(beside, { force: true });
  }
  return path;
}

/**
 * What file systems take, in bytes: a name, and a path below a cache's folder. More would be an error of the system in
 * the middle of a pull.
 */
const longest = { name: 255, path: 1024 };

/** Of a branch or tag: beside its file stands another of a longer name while that is written. */
const longestRevisionName = 200;

/**
 * A path below a folder, in the Hub's `/` form, that cannot lead out of it, can be the path of a file and part of an
 * address, and is safe to print. (A lone surrogate is neither: no UTF-8 has it.)
 */
export function isSafePath(path: string): boolean {
  if (path === "" || Buffer.byteLength(path) > longest.path || /[\\\p{Cc}\p{Cs}]/u.test(path)) return false;
  return path
    .split("/")
    .every((part) => part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= longest.name);
}

function refPath(repo: RepoFolder, revision: string): string {
  if (!isSafePath(revision) || revision.split("/").some((part) => Buffer.byteLength(part) > longestRevisionName)) {
    throw new LlmctlError("bad-revision", `${quote(revision.slice(0, 300))} is no name of a branch, tag or commit`, {
      exit: "config",
    });
  }
  return join(repo.path, "refs", ...revision.split("/"));
}
