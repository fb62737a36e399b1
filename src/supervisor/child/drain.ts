import { setTimeout as sleep } from "node:timers/promises";

const lookEveryMs = 25;

/**
 * Waits until a server has finished what it was asked for: llama-server stops working when it is asked to stop, and
 * lets running requests hang. Ends early, in silence, when the signal is aborted.
 * @param isBusy Asks the server.
 * @param onBusy Called once, if there is anything to wait for.
 */
export async function drain(isBusy: () => Promise<boolean>, onBusy: () => void, signal: AbortSignal): Promise<void> {
  if (!(await isBusy())) return;
  onBusy();
  // A request that waited behind the running one may just be moving up: only a second look shows that nothing is left.
  for (let idle = 0; idle < 2 && !signal.aborted; idle = (await isBusy()) ? 0 : idle + 1) await sleep(lookEveryMs);
}
