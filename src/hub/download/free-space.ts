import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { formatSize } from "../../base/text/units.ts";

/** Where files are kept that were fetched. */
export interface Store {
  readonly folder: string;
  /** For people. */
  readonly name: string;
  /** The variable that moves it. */
  readonly setting: string;
}

/** @throws LlmctlError `no-space` when a store's disk has no room for so many bytes more. The folder need not exist. */
export async function checkSpace(
  neededBytes: number,
  { folder, setting }: Pick<Store, "folder" | "setting">,
): Promise<void> {
  const freeBytes = await measureFree(folder);
  if (freeBytes >= neededBytes) return;
  throw new LlmctlError(
    "no-space",
    `${formatSize(neededBytes)} are to be fetched, but only ${formatSize(freeBytes)} are free`,
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
    // The cache is made with the first file; until then its nearest folder tells the disk.
    if (systemErrorCode(error) !== "ENOENT" || dirname(folder) === folder) throw error;
    return measureFree(dirname(folder));
  }
}
