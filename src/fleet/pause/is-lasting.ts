import { type Clock, systemClock } from "../../base/clock.ts";
import type { Paths } from "../../base/files/paths.ts";
import type { StateName } from "../../control/messages.ts";
import { findAnswering } from "../../supervisor/state/find-supervisor.ts";

interface LastingOptions {
  readonly paths: Paths;
  readonly find?: (
    paths: Paths,
    name: string,
  ) => Promise<{ readonly status: { readonly state: StateName } } | undefined>;
  readonly clock?: Pick<Clock, "sleep">;
}

/** A server drains for seconds to minutes. */
const lookEveryMs = 200;
/** In `stopped` a supervisor is about to exit, or about to start its server. */
const passing: ReadonlySet<StateName> = new Set(["stopping", "killing", "stuck", "stopped"]);

/**
 * Whether a supervisor of the profile runs and goes on. One that is being stopped is waited for: the process that asked
 * for the stop may have been killed in the middle of it.
 * @throws LlmctlError as `findAnswering`.
 */
export async function isLasting(
  name: string,
  { paths, find = findAnswering, clock = systemClock }: LastingOptions,
): Promise<boolean> {
  for (;;) {
    const found = await find(paths, name);
    if (found === undefined) return false;
    if (!passing.has(found.status.state)) return true;
    await clock.sleep(lookEveryMs);
  }
}
