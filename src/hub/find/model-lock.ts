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

/** Some ten thousand shards. */
const mostBytes = 4 << 20;

/**
 * What a reference means from now on, whatever is pushed to its branch or put at its address: its files, first shard
 * first.
 */
export interface ModelLock {
  /** Undefined for an address. */
  readonly commit?: string | undefined;
  readonly files: readonly LockedFile[];
}

interface LockedFile extends HubFile {
  /** What the server of an address calls this content; undefined where it has no word for it. */
  readonly version?: string | undefined;
}

/**
 * Folder of the locks, one small file a reference, beside the profiles' states; no profile's name starts with a dot.
 */
export function modelLockFolder(stateDir: string): string {
  return join(stateDir, ".models");
}

/**
 * Reads what a reference was resolved to.
 * @returns undefined when it was not, or when the lock is not one of this reference that this version can read: the Hub
 *   is then asked again.
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
 * Notes what a reference was resolved to, atomically.
 * @throws LlmctlError `foreign-folder` (77); the system's error.
 */
export async function writeModelLock(folder: string, ref: RemoteModelRef, { commit, files }: ModelLock): Promise<void> {
  const known = files.map(({ name, sizeBytes, digest, version }) => ({ name, sizeBytes, digest, version }));
  const lock = { version: 1, ref: notedRef(ref), commit, files: known };
  ensureOwnFolder(folder);
  await writeFileAtomic(lockPath(folder, ref), `${JSON.stringify(lock, undefined, 2)}\n`);
}

/**
 * Keys in the order of the schema, so that two of them compare as text. The digests of an address are what it is
 * compared with.
 */
function lockedRef(ref: RemoteModelRef) {
  if ("url" in ref) return { url: ref.url };
  const { hf, quant, file, revision = "main" } = ref;
  return { hf, ...(quant === undefined ? {} : { quant }), ...(file === undefined ? {} : { file }), revision };
}

/** As it stands in the file: of an address that is signed, the signature is no more than told apart. */
function notedRef(ref: RemoteModelRef) {
  if (!("url" in ref) || maskAddress(ref.url) === ref.url) return lockedRef(ref);
  return { url: maskAddress(ref.url), query: createHash("sha256").update(ref.url).digest("hex") };
}

/** Earlier versions have noted the whole address. */
function isOf(noted: unknown, ref: RemoteModelRef): boolean {
  return [notedRef(ref), lockedRef(ref)].some((one) => JSON.stringify(one) === JSON.stringify(noted));
}

/** The readable part is for people; the digest tells apart what the characters of a file name cannot. */
function lockPath(folder: string, ref: RemoteModelRef): string {
  const name =
    "url" in ref ? describeUrl(ref.url).replace(/^https?:\/+/, "") : `${ref.hf}--${ref.quant ?? ref.file ?? ""}`;
  const readable = name.replaceAll("/", "--").replaceAll(/[^\w.-]/g, "_");
  const digest = createHash("sha256")
    .update(JSON.stringify(lockedRef(ref)))
    .digest("hex");
  return join(folder, `${readable.slice(0, 150)}-${digest.slice(0, 12)}.json`);
}

/** @throws LlmctlError `foreign-file` (77): what is locked here is what a server loads. */
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
    return undefined; // half a file of another program, or hostile: as good as none
  }
}
