import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { formatSize } from "../../base/text/units.ts";

/** A folder that keeps fetched files. */
export interface Store {
  readonly folder: string;
  /** For people. */
  readonly name: string;
  /** The environment variable that sets the folder. */
  readonly setting: string;
}

/** @throws LlmctlError `no-space` when the store's disk has too little room. The folder need not exist. */
export async function checkSpace(
  neededBytes: number,
  { folder, setting }: Pick<Store, "folder" | "setting">,
): Promise<void> {
  const freeBytes = await measureFree(folder);
  if (freeBytes >= neededBytes) return;
  throw new LlmctlError(
    "no-space",
    `${formatSize(neededBytes)} are needed, but only ${formatSize(freeBytes)} are free`,
    {
      exit: "io",
      at: folder,
      fix: `free ${formatSize(neededBytes - freeBytes)}, or set ${setting} to a folder on a larger disk`,
    },
  );
}

async function measureFree(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    // The first file creates the cache. Until then its nearest existing parent tells the disk.
    if (systemErrorCode(error) !== "ENOENT" || dirname(folder) === folder) throw error;
    return measureFree(dirname(folder));
  }
}
