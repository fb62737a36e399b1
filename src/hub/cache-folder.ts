import { mkdir } from "node:fs/promises";
import { expectSafeForRoot } from "../base/safe-way.ts";

/**
 * Makes a folder of models, of locks or of names, readable to all whom the umask lets, as the Python client does: several users may share them.
 * @throws LlmctlError `foreign-folder` where root would write below a folder of another user's; the system's error.
 */
export async function makeCacheFolder(path: string): Promise<void> {
  expectSafeForRoot(path);
  await mkdir(path, { recursive: true });
}
