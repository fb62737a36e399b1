import { watch } from "node:fs";

/** A file watch that may do nothing: callers also poll. */
export interface QuietWatch {
  close(): void;
}

/**
 * Calls back when a file changes, where the system can tell. It never throws: the user's limit of watches may be used
 * up, or the file may be gone. A watch that fails later ends without an error.
 */
export function watchQuietly(path: string, onChange: () => void): QuietWatch {
  try {
    const watcher = watch(path, onChange);
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return { close: () => undefined }; // callers also poll
  }
}
