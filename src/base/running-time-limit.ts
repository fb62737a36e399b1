const stepMs = 25;

/**
 * A time limit that counts only the time in which this process could run: a timer step that comes late counts as one
 * step. On a loaded machine, or after a suspend, the answer may have arrived and wait to be read; it is read before the
 * limit counts as reached.
 * @param onEnd Called once, unless the returned function was called before.
 * @returns a function that cancels the limit.
 */
export function limitRunningTime(limitMs: number, onEnd: () => void): () => void {
  let leftMs = limitMs;
  let reading: NodeJS.Immediate | undefined;
  const timer = setInterval(() => {
    leftMs -= stepMs;
    if (leftMs > 0) return;
    clearInterval(timer);
    // Timers run before pending input is read, and setImmediate runs after it.
    reading = setImmediate(onEnd);
  }, stepMs);
  return () => {
    clearInterval(timer);
    clearImmediate(reading);
  };
}
