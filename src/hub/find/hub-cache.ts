import { randomBytes } from "node:crypto";
import { rename, rm, symlink } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { writeFileAtomic } from "../../base/files/atomic-write.ts";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { readBounded } from "../../base/files/read-bounded.ts";
import { quote } from "../../profiles/yaml/quote-value.ts";
import { makeCacheFolder } from "./cache-folder.ts";

/** The folder of one repository in the Hugging Face cache, in the layout of the Python client. */
export interface RepoFolder {
  readonly path: string;
  /** Folder of the lock files, one for each blob; the Python client uses the same files. */
  readonly locks: string;
}

const commitPattern = /^[0-9a-f]{40}$/;

/** A ref is a commit in hex, perhaps with a line break. */
export const refBytes = 256;

/** The folder of `owner/name` in the cache; it need not exist. */
export function repoFolder(hubCache: string, hf: string): RepoFolder {
  const name = `models--${hf.replace("/", "--")}`;
  return { path: resolve(hubCache, name), locks: resolve(hubCache, ".locks", name) };
}

/** The commit of a revision when the cache last asked; undefined when it never asked. */
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

/** Records the commit of a branch or tag. It is written after the files, so that a reader finds them. */
export async function writeRef(repo: RepoFolder, revision: string, commit: string): Promise<void> {
  if (revision === commit) return;
  const path = refPath(repo, revision);
  await makeCacheFolder(dirname(path));
  await writeFileAtomic(path, commit, { mode: 0o666 });
}

/** The path of a file in a snapshot. */
function snapshotPath(repo: RepoFolder, commit: string, name: string): string {
  return join(repo.path, "snapshots", commit, ...name.split("/"));
}

export function blobPath(repo: RepoFolder, digest: string): string {
  return join(repo.path, "blobs", digest);
}

/** Gives a blob its name in a snapshot: a relative link, which replaces an old one atomically. */
export async function linkBlob(repo: RepoFolder, commit: string, name: string, digest: string): Promise<string> {
  const path = snapshotPath(repo, commit, name);
  const folder = dirname(path);
  await makeCacheFolder(folder);
  // The name with a suffix could be too long for the file system.
  const beside = join(folder, `.llmctl-${process.pid}-${randomBytes(4).toString("hex")}.tmp`);
  try {
    await symlink(relative(folder, blobPath(repo, digest)), beside);
    await rename(beside, path);
  } finally {
    await rm(beside, { force: true });
  }
  return path;
}

/** Limits of file systems in bytes. A longer name or path would fail in the middle of a pull. */
const longest = { name: 255, path: 1024 };

/** Of a branch or tag: while its file is written, a temporary file has a longer name. */
const longestRevisionName = 200;

/**
 * Whether a path with `/` stays below its folder, can be a file's path and part of an address, and is safe to print. (A
 * lone surrogate cannot be encoded as UTF-8.)
 */
export function isSafePath(path: string): boolean {
  if (path === "" || Buffer.byteLength(path) > longest.path || /[\\\p{Cc}\p{Cs}]/u.test(path)) return false;
  return path
    .split("/")
    .every((part) => part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= longest.name);
}

function refPath(repo: RepoFolder, revision: string): string {
  if (!isSafePath(revision) || revision.split("/").some((part) => Buffer.byteLength(part) > longestRevisionName)) {
    throw new LlmctlError(
      "bad-revision",
      `${quote(revision.slice(0, 300))} is not a valid name of a branch, tag or commit`,
      {
        exit: "config",
      },
    );
  }
  return join(repo.path, "refs", ...revision.split("/"));
}
