import { lstatSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { LlmctlError, systemErrorCode } from "../../base/errors.ts";
import { type Flock, takeLock } from "../../supervisor/state/file-lock.ts";
import { makeLockRecord } from "../../supervisor/state/lock-record.ts";

/** A build or a file of the models has changed by then, and with it the key. */
const mostAgeMs = 90 * 24 * 3600 * 1000;
/** One for each profile, build and set of prompts that somebody still works with. */
const mostJournals = 50;

/**
 * Removes the journals that are old or too many, the least recently written first. Those that a process has open stay:
 * their lock is taken for the removal.
 */
export function pruneJournals({
  inUse,
  now,
  flock,
}: {
  readonly inUse: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly flock: Flock;
}): void {
  const journals = listJournals(dirname(inUse))
    .filter(({ path }) => path !== inUse)
    .toSorted((one, other) => other.modifiedMs - one.modifiedMs);
  for (const [index, { path, modifiedMs }] of journals.entries())
    if (now - modifiedMs > mostAgeMs || index + 1 >= mostJournals) removeUnlocked(path, flock);
}

function listJournals(folder: string): { readonly path: string; readonly modifiedMs: number }[] {
  return readdirSync(folder)
    .filter((name) => /^[0-9a-f]{16}\.jsonl$/.test(name))
    .flatMap((name) => {
      const path = join(folder, name);
      // Another process may have removed it meanwhile.
      const info = lstatSync(path, { throwIfNoEntry: false });
      return info?.isFile() === true ? [{ path, modifiedMs: info.mtimeMs }] : [];
    });
}

/** A journal that cannot be removed harms nobody: it stays until another time. */
function removeUnlocked(path: string, flock: Flock): void {
  const lockPath = path.replace(/\.jsonl$/, ".lock");
  try {
    const lock = takeLock(lockPath, makeLockRecord("prune"), flock);
    if (lock === undefined) return;
    try {
      rmSync(path, { force: true });
      // Its next opener sees that the locked file has gone, and makes another.
      rmSync(lockPath, { force: true });
    } finally {
      lock.release();
    }
  } catch (error) {
    if (systemErrorCode(error) === undefined && !(error instanceof LlmctlError)) throw error;
  }
}
