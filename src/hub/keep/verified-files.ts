import { createHash } from "node:crypto";
import { realpath, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../../base/files/atomic-write.ts";
import { systemErrorCode } from "../../base/errors.ts";
import { ensureOwnFolder } from "../../base/files/own-folder.ts";
import { parseJson } from "../../base/text/parse-json.ts";
import { readSmallFile } from "../../base/files/read-small-file.ts";

/** A record is a path of at most 4 kB and a few numbers. A larger file is not a record. */
const most = 64 << 10;

const recordSchema = z.object({
  version: z.literal(1),
  path: z.string(),
  sizeBytes: z.number(),
  modifiedMs: z.number(),
  digest: z.string(),
  verifiedAt: z.iso.datetime(),
});

/** The digest of a file, and the time at which it was last computed. */
export type VerifiedFile = Pick<z.infer<typeof recordSchema>, "digest" | "verifiedAt">;

/**
 * The known digest of a file. It is valid while size and time of change stay the same, so that 135 GB need not be read
 * at each start.
 * @param lockFolder As {@link modelLockFolder} gives it; the records are in it.
 */
export async function findVerified(lockFolder: string, path: string): Promise<VerifiedFile | undefined> {
  const file = await statReal(path);
  try {
    const record = recordSchema.safeParse(parseJson(readSmallFile(recordPath(lockFolder, file.path), { most }) ?? ""));
    if (!record.success) return undefined;
    const { digest, verifiedAt, ...then } = record.data;
    const isSame = then.path === file.path && then.sizeBytes === file.sizeBytes && then.modifiedMs === file.modifiedMs;
    return isSame ? { digest, verifiedAt } : undefined;
  } catch (error) {
    if (["ENOENT", "ELOOP"].includes(systemErrorCode(error) ?? "") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Records the digest of a file. @throws the system's error. */
export async function recordVerified(lockFolder: string, path: string, digest: string): Promise<void> {
  const file = await statReal(path);
  const record = { version: 1, ...file, digest, verifiedAt: new Date().toISOString() };
  ensureOwnFolder(dirname(recordPath(lockFolder, file.path)));
  await writeFileAtomic(recordPath(lockFolder, file.path), `${JSON.stringify(record)}\n`);
}

/** Deletes the record of a file whose content turned out to be different. */
export async function forgetVerified(lockFolder: string, path: string): Promise<void> {
  const record = recordPath(lockFolder, (await statReal(path)).path);
  ensureOwnFolder(dirname(record));
  await rm(record, { force: true });
}

/** Of the file behind the links: the Hugging Face cache has several names for one blob. */
async function statReal(path: string): Promise<{ path: string; sizeBytes: number; modifiedMs: number }> {
  const real = await realpath(path);
  const { size, mtimeMs } = await stat(real);
  return { path: real, sizeBytes: size, modifiedMs: mtimeMs };
}

function recordPath(lockFolder: string, path: string): string {
  return join(lockFolder, "verified", `${createHash("sha256").update(path).digest("hex").slice(0, 32)}.json`);
}
