import { realpath, stat } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { systemErrorCode } from "../../base/errors.ts";
import { readBounded } from "../../base/files/read-bounded.ts";
import type { ModelFiles } from "../find/model-files.ts";
import type { ModelLock } from "../find/model-lock.ts";

/** A file according to the program that fetched it. Only its digest can prove it. */
interface FileIdentity {
  readonly commit: string;
  /** Relative to the repository, with `/`. */
  readonly name: string;
  readonly digest: string;
}

const commitPattern = /^[0-9a-f]{40}$/;
const digestPattern = /^([0-9a-f]{40}|[0-9a-f]{64})$/;
/** Folders of repositories are rarely deeper than one. */
const maxDepth = 4;

/**
 * Finds the commit of a model's files without network: by the names in the Hugging Face cache, or by the notes that the
 * Python client leaves in a `local_dir`.
 * @returns undefined when it is unknown for a file, or not the same for all files.
 */
export async function identifyFiles({ shards }: ModelFiles): Promise<ModelLock | undefined> {
  const files = await Promise.all(
    shards.map(async ({ path, sizeBytes }) => {
      const identity = (await identifyCached(path)) ?? (await identifyLocal(path));
      return identity === undefined ? [] : [{ ...identity, sizeBytes }];
    }),
  );
  const known = files.flat();
  const commit = known[0]?.commit;
  if (commit === undefined || known.length < shards.length || known.some((file) => file.commit !== commit))
    return undefined;
  return { commit, files: known.map(({ name, sizeBytes, digest }) => ({ name, sizeBytes, digest })) };
}

/** `…/snapshots/COMMIT/NAME`, a link to a blob whose name is its digest. */
async function identifyCached(path: string): Promise<FileIdentity | undefined> {
  const [, commit, name] = new RegExp(`${sep}snapshots${sep}([0-9a-f]{40})${sep}(.+)$`).exec(path) ?? [];
  if (commit === undefined || name === undefined) return undefined;
  const blob = await realpath(path);
  const digest = basename(blob);
  return basename(dirname(blob)) === "blobs" && digestPattern.test(digest)
    ? { commit, name: toHubName(name), digest }
    : undefined;
}

/** `FOLDER/NAME`, with `FOLDER/.cache/huggingface/download/NAME.metadata`: commit, ETag and time, one on each line. */
async function identifyLocal(path: string): Promise<FileIdentity | undefined> {
  for (let folder = dirname(path), depth = 0; depth < maxDepth; folder = dirname(folder), depth += 1) {
    const name = relative(folder, path);
    const note = await readNote(join(folder, ".cache", "huggingface", "download", `${name}.metadata`));
    if (note === undefined) continue;
    const [commit = "", digest = "", time = ""] = note.split("\n");
    // The Python client also allows a second, because some file systems keep coarse times.
    const isCurrent = (await stat(path)).mtimeMs / 1000 - 1 <= Number(time);
    return isCurrent && commitPattern.test(commit) && digestPattern.test(digest)
      ? { commit, name: toHubName(name), digest }
      : undefined;
  }
  return undefined;
}

/** A note is a commit, an ETag and a time. A larger file is not a note. */
const mostBytes = 4096;

async function readNote(path: string): Promise<string | undefined> {
  try {
    return await readBounded(path, mostBytes);
  } catch (error) {
    // No note, or one that is unreadable: the file is unknown.
    if (["ENOENT", "ENOTDIR", "EACCES", "EPERM", "ENAMETOOLONG"].includes(systemErrorCode(error) ?? ""))
      return undefined;
    throw error;
  }
}

function toHubName(path: string): string {
  return path.split(sep).join("/");
}
