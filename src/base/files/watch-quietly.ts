import { watch } from "node:fs";

/** A watch, or none: what it would have told must be looked for from time to time, too. */
export interface QuietWatch {
  close(): void;
}

/**
 * Calls back when a file changes, where the system can tell. Never throws: a user has a limited number of watches,
 * which others may have used up, and the file may be gone. A watch that fails later ends without a word.
 */
export function watchQuietly(path: string, onChange: () => void): QuietWatch {
  try {
    const watcher = watch(path, onChange);
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return { close: () => undefined }; // whoever watches also looks by a timer
  }
}
