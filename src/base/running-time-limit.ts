const stepMs = 25;

/**
 * A time limit that counts only time in which this process could run: a step that came late counts as one step. On a
 * loaded machine, or after a suspend, an answer may have arrived long ago and only wait to be read; it is read before
 * the limit is said to be over.
 * @param onEnd Called once, unless the returned function was called before.
 * @returns what cancels it.
 */
export function limitRunningTime(limitMs: number, onEnd: () => void): () => void {
  let leftMs = limitMs;
  let reading: NodeJS.Immediate | undefined;
  const timer = setInterval(() => {
    leftMs -= stepMs;
    if (leftMs > 0) return;
    clearInterval(timer);
    // Timers run before input is read: whatever has arrived is handled between them and this.
    reading = setImmediate(onEnd);
  }, stepMs);
  return () => {
    clearInterval(timer);
    clearImmediate(reading);
  };
}
