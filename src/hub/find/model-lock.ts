import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../base/files/atomic-write.ts";
import { systemErrorCode } from "../../base/errors.ts";
import { ensureOwnFolder } from "../../base/files/own-folder.ts";
import { parseJson as parseBounded } from "../../base/text/parse-json.ts";
import { readSmallFile } from "../../base/files/read-small-file.ts";
import { maskAddress } from "../../base/text/secrets.ts";
import type { RemoteModelRef } from "../../profiles/schema/schema.ts";
import { describeUrl } from "./describe-ref.ts";
import { isSafePath } from "./hub-cache.ts";
import type { HubFile } from "./list-model.ts";

const lockSchema = z.object({
  version: z.literal(1),
  ref: z.union([
    z.object({ hf: z.string(), quant: z.string().optional(), file: z.string().optional(), revision: z.string() }),
    z.object({ url: z.string(), query: z.string().optional() }),
  ]),
  commit: z
    .string()
    .regex(/^[0-9a-f]{40}$/)
    .optional(),
  files: z
    .array(
      z.object({
        name: z.string().refine(isSafePath),
        sizeBytes: z.int().min(0),
        digest: z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/),
        version: z.string().optional(),
      }),
    )
    .min(1),
});

/** About ten thousand shards. */
const mostBytes = 4 << 20;

/** The files of a reference, first shard first, whatever is later pushed to its branch or put at its address. */
export interface ModelLock {
  /** Undefined for an address. */
  readonly commit?: string | undefined;
  readonly files: readonly LockedFile[];
}

interface LockedFile extends HubFile {
  /** The server's name for this content: its ETag or time of change; undefined when it gives none. */
  readonly version?: string | undefined;
}

/**
 * Folder of the locks, with one small file for each reference. It is beside the states of the profiles, whose names
 * cannot start with a dot.
 */
export function modelLockFolder(stateDir: string): string {
  return join(stateDir, ".models");
}

/**
 * Reads the lock of a reference.
 * @returns undefined when there is none, or when it is unreadable or of another reference; the Hub is then asked again.
 */
export async function readModelLock(folder: string, ref: RemoteModelRef): Promise<ModelLock | undefined> {
  const text = readText(lockPath(folder, ref));
  const lock = lockSchema.safeParse(parseJson(text));
  if (!lock.success || !isOf(lock.data.ref, ref)) return undefined;
  const { commit, files } = lock.data;
  if (commit === undefined) return "url" in ref ? { files } : undefined;
  return { commit, files };
}

/**
 * Writes the lock of a reference, atomically.
 * @throws LlmctlError `foreign-folder` (77); the system's error.
 */
export async function writeModelLock(folder: string, ref: RemoteModelRef, { commit, files }: ModelLock): Promise<void> {
  const known = files.map(({ name, sizeBytes, digest, version }) => ({ name, sizeBytes, digest, version }));
  const lock = { version: 1, ref: notedRef(ref), commit, files: known };
  ensureOwnFolder(folder);
  await writeFileAtomic(lockPath(folder, ref), `${JSON.stringify(lock, undefined, 2)}\n`);
}

/**
 * Keys in the order of the schema, so that two references compare as text. The digests of an address are not part of
 * it: the lock is compared with them.
 */
function lockedRef(ref: RemoteModelRef) {
  if ("url" in ref) return { url: ref.url };
  const { hf, quant, file, revision = "main" } = ref;
  return { hf, ...(quant === undefined ? {} : { quant }), ...(file === undefined ? {} : { file }), revision };
}

/** As it is in the file: of a signed address only a hash, which tells signatures apart. */
function notedRef(ref: RemoteModelRef) {
  if (!("url" in ref) || maskAddress(ref.url) === ref.url) return lockedRef(ref);
  return { url: maskAddress(ref.url), query: createHash("sha256").update(ref.url).digest("hex") };
}

/** Earlier versions recorded the whole address. */
function isOf(noted: unknown, ref: RemoteModelRef): boolean {
  return [notedRef(ref), lockedRef(ref)].some((one) => JSON.stringify(one) === JSON.stringify(noted));
}

/** The readable part is for people; the digest makes the name unique. */
function lockPath(folder: string, ref: RemoteModelRef): string {
  const name =
    "url" in ref ? describeUrl(ref.url).replace(/^https?:\/+/, "") : `${ref.hf}--${ref.quant ?? ref.file ?? ""}`;
  const readable = name.replaceAll("/", "--").replaceAll(/[^\w.-]/g, "_");
  const digest = createHash("sha256")
    .update(JSON.stringify(lockedRef(ref)))
    .digest("hex");
  return join(folder, `${readable.slice(0, 150)}-${digest.slice(0, 12)}.json`);
}

/** @throws LlmctlError `foreign-file` (77): the lock decides what a server loads. */
function readText(path: string): string {
  try {
    return readSmallFile(path, { most: mostBytes }) ?? "";
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "ENXIO"].includes(systemErrorCode(error) ?? "")) return "";
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    return parseBounded(text);
  } catch {
    return undefined; // cut off or hostile: counts as none
  }
}
