import { watch } from "node:fs";

/** A file watch that may do nothing: callers also poll. */
export interface QuietWatch {
  close(): void;
}

/**
 * Calls back when a file, or a file of a folder, changes, where the system can tell. Never throws: a user has a limited
 * number of watches, which others may have used up, and the file may be gone. A watch that fails later ends without an
 * error.
 * @param onChange Told the name of the file that changed, where the system says it.
 */
export function watchQuietly(path: string, onChange: (name?: string) => void): QuietWatch {
  try {
    const watcher = watch(path, (_, name) => onChange(name ?? undefined));
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return { close: () => undefined }; // callers also poll
  }
}
