import type { Clock } from "../../base/clock.ts";

const lookEveryMs = 25;

/**
 * Waits until a server has finished its running requests, because after SIGTERM llama-server computes no more and lets
 * them hang. Returns early when the signal is aborted.
 * @param isBusy Asks the server.
 * @param onBusy Called once, if there are requests to wait for.
 */
export async function drain(
  isBusy: () => Promise<boolean>,
  onBusy: () => void,
  { signal, clock }: { readonly signal: AbortSignal; readonly clock: Clock },
): Promise<void> {
  if (!(await isBusy())) return;
  onBusy();
  // A queued request may just be moving into the slot: only two idle answers in a row show that nothing is left.
  for (let idle = 0; idle < 2 && !signal.aborted; idle = (await isBusy()) ? 0 : idle + 1)
    await clock.sleep(lookEveryMs);
}
