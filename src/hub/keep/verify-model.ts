import { realpath } from "node:fs/promises";
import { basename } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import type { RemoteModelRef } from "../../profiles/schema/schema.ts";
import { hashFile } from "./hash-file.ts";
import { identifyFiles } from "./identify-file.ts";
import type { ModelFiles } from "../find/model-files.ts";
import { readModelLock, type ModelLock } from "../find/model-lock.ts";
import { pullFix } from "../find/pull-fix.ts";
import { listDigests } from "../find/url-files.ts";
import { findVerified, forgetVerified, recordVerified } from "./verified-files.ts";

/** Progress of a verification. `file` is a path. */
export interface VerifyEvent {
  readonly kind: "verify";
  readonly file: string;
  readonly doneBytes: number;
  readonly sizeBytes: number;
}

export interface VerifyOptions {
  readonly lockFolder: string;
  readonly signal: AbortSignal;
  readonly onProgress: (event: VerifyEvent) => void;
  /** Read every file again, even when its digest is known. */
  readonly again?: boolean;
}

/** A file with the digest that it should have. */
export interface ExpectedFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly digest: string;
  /** A profile that names the model, for messages. */
  readonly profile?: string | undefined;
}

/**
 * The expected files of a model: from its lock, from the digests in the profile, or from the names in the cache.
 * Undefined when only the Hub can tell.
 */
export async function findKnown(
  ref: RemoteModelRef,
  files: ModelFiles,
  lockFolder: string,
): Promise<ModelLock | undefined> {
  const lock = await readModelLock(lockFolder, ref);
  if (lock !== undefined) return lock;
  if ("hf" in ref) return identifyFiles(files);
  const digests = listDigests(ref);
  return (
    digests && {
      files: files.shards.map(({ path, sizeBytes }, i) => ({
        name: basename(path),
        sizeBytes,
        digest: digests[i] ?? "",
      })),
    }
  );
}

/** The files with their expected digests; undefined when only the Hub can tell. */
export async function expectFiles(
  files: ModelFiles,
  lock: ModelLock | undefined,
): Promise<readonly ExpectedFile[] | undefined> {
  const known = lock?.files ?? (await identifyFiles(files))?.files;
  if (known?.length !== files.shards.length) return undefined;
  return files.shards.flatMap(({ path, sizeBytes }, i) =>
    known[i] === undefined ? [] : [{ path, sizeBytes, digest: known[i].digest }],
  );
}

/** The files that were not verified since they last changed. */
export async function listUnverified(files: readonly ExpectedFile[], lockFolder: string): Promise<ExpectedFile[]> {
  const unverified = await Promise.all(
    files.map(async (file) => ((await findVerified(lockFolder, file.path))?.digest === file.digest ? [] : [file])),
  );
  return unverified.flat();
}

/**
 * Hashes files and compares the digests. A file that is right is recorded, and not read again until it changes.
 * @throws LlmctlError `model-damaged`, naming the file; the signal's reason when aborted.
 */
export async function verifyFiles(files: readonly ExpectedFile[], options: VerifyOptions): Promise<void> {
  for (const file of options.again === true ? files : await listUnverified(files, options.lockFolder))
    await verifyFile(file, options);
}

async function verifyFile(
  { path, sizeBytes, digest, profile }: ExpectedFile,
  { lockFolder, signal, onProgress }: VerifyOptions,
): Promise<void> {
  const onBytes = (doneBytes: number) => onProgress({ kind: "verify", file: path, doneBytes, sizeBytes });
  onBytes(0);
  const found = await hashFile(path, digest, { signal, onBytes });
  if (found === digest) return recordVerified(lockFolder, path, digest);
  await forgetVerified(lockFolder, path);
  // Deleting only the link would leave the damaged blob, which looks complete.
  const deletion = `delete "${await realpath(path)}"`;
  throw new LlmctlError("model-damaged", `"${path}" is damaged: its digest is ${found} instead of ${digest}`, {
    exit: "missingFile",
    fix: profile === undefined ? deletion : pullFix(profile, { before: `${deletion}, then fetch it again with` }),
  });
}
