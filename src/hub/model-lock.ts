import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../base/atomic-write.ts";
import { systemErrorCode } from "../base/errors.ts";
import type { HubModelRef } from "../profiles/schema.ts";
import { isSafePath } from "./hub-cache.ts";
import type { HubFile } from "./list-model.ts";

const lockSchema = z.object({
  version: z.literal(1),
  ref: z.object({ hf: z.string(), quant: z.string().optional(), file: z.string().optional(), revision: z.string() }),
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  files: z
    .array(
      z.object({
        name: z.string().refine(isSafePath),
        sizeBytes: z.int().min(0),
        digest: z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/),
      }),
    )
    .min(1),
});

/** What a reference means from now on, whatever is pushed to its branch: the commit, and its files, first shard first. */
export interface ModelLock {
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** Folder of the locks, one small file a reference, beside the profiles' states; no profile's name starts with a dot. */
export function modelLockFolder(stateDir: string): string {
  return join(stateDir, ".models");
}

/**
 * Reads what a reference was resolved to.
 * @returns undefined when it was not, or when the lock is not one of this reference that this version can read: the Hub is then asked again.
 */
export async function readModelLock(folder: string, ref: HubModelRef): Promise<ModelLock | undefined> {
  const text = await readText(lockPath(folder, ref));
  const lock = lockSchema.safeParse(parseJson(text));
  if (!lock.success || JSON.stringify(lock.data.ref) !== JSON.stringify(lockedRef(ref))) return undefined;
  const { commit, files } = lock.data;
  return { commit, files };
}

/** Notes what a reference was resolved to, atomically. @throws the system's error. */
export async function writeModelLock(folder: string, ref: HubModelRef, { commit, files }: ModelLock): Promise<void> {
  const known = files.map(({ name, sizeBytes, digest }) => ({ name, sizeBytes, digest }));
  const lock = { version: 1, ref: lockedRef(ref), commit, files: known };
  await writeFileAtomic(lockPath(folder, ref), `${JSON.stringify(lock, undefined, 2)}\n`);
}

/** Keys in the order of the schema, so that two of them compare as text. */
function lockedRef({ hf, quant, file, revision = "main" }: HubModelRef) {
  return { hf, ...(quant === undefined ? {} : { quant }), ...(file === undefined ? {} : { file }), revision };
}

/** The readable part is for people; the digest tells apart what the characters of a file name cannot. */
function lockPath(folder: string, ref: HubModelRef): string {
  const readable = `${ref.hf}--${ref.quant ?? ref.file ?? ""}`.replaceAll("/", "--").replaceAll(/[^\w.-]/g, "_");
  const digest = createHash("sha256")
    .update(JSON.stringify(lockedRef(ref)))
    .digest("hex");
  return join(folder, `${readable.slice(0, 150)}-${digest.slice(0, 12)}.json`);
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EISDIR"].includes(systemErrorCode(error) ?? "")) return "";
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // half a file of another program, or hostile: as good as none
  }
}
