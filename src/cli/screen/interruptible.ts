/** Runs an action that Ctrl-C aborts in an orderly way, instead of ending the process. */
export async function interruptible<T>(action: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort();
  process.once("SIGINT", onInterrupt);
  try {
    return await action(interrupt.signal);
  } finally {
    process.removeListener("SIGINT", onInterrupt);
  }
}
