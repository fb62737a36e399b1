import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { makeCacheFolder, openCacheFile } from "../find/cache-folder.ts";

const busyStatus = 75;

/**
 * Runs an action while this process holds a lock file. The system releases the lock when the process ends, however it
 * ends. The lock is flock(2), taken by the `flock` tool on an inherited descriptor. The Python client locks the same
 * files, so the lock excludes it too.
 * @param onWait Called when another process holds the lock, before waiting for it.
 * @throws LlmctlError `no-flock` when the tool is missing; the signal's reason when aborted, and what the action
 *   throws.
 */
export async function withBlobLock<T>(
  path: string,
  { signal, onWait }: { signal: AbortSignal; onWait: () => void },
  action: () => Promise<T>,
): Promise<T> {
  await makeCacheFolder(dirname(path));
  const file = await openCacheFile(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT);
  try {
    if (!(await flock(file, ["-n"], signal))) {
      onWait();
      await flock(file, [], signal);
    }
    return await action();
  } finally {
    await file.close();
  }
}

/** @returns false when the lock is held by another process (only with `-n`). */
async function flock(file: FileHandle, options: readonly string[], signal: AbortSignal): Promise<boolean> {
  signal.throwIfAborted();
  const child = spawn("flock", [...options, "-E", String(busyStatus), "3"], {
    stdio: ["ignore", "ignore", "ignore", file.fd],
    signal,
  });
  try {
    const [code, killedBy] = await once(child, "close");
    if (code === 0) return true;
    if (code === busyStatus) return false;
    throw new LlmctlError("lock-failed", `flock ended with ${killedBy ?? `status ${code}`}`, {
      exit: "io",
      fix: "check that the file system of the Hugging Face cache supports locks",
    });
  } catch (error) {
    signal.throwIfAborted();
    if (systemErrorCode(error) !== "ENOENT") throw error;
    throw new LlmctlError("no-flock", 'the program "flock" is missing', {
      exit: "failed",
      fix: "install util-linux (on macOS: brew install flock)",
    });
  }
}
