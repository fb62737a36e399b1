import { systemClock } from "../../base/clock.ts";
import { LlmctlError } from "../../base/errors.ts";
import { followEvents } from "../../control/client.ts";
import type { StateName, StatusEvent } from "../../control/messages.ts";
import { findAnswering } from "../../supervisor/state/find-supervisor.ts";
import type { Launch } from "../../supervisor/launch.ts";
import { unplannedHash } from "./plan-start.ts";
import { waitForReady, type WaitOptions } from "./wait-for-ready.ts";

/**
 * Waits for a supervisor that already runs.
 * @returns the exit code; undefined when no supervisor runs, or when it was stopping and has stopped.
 * @throws LlmctlError `other-configuration`; as `waitForReady`.
 */
export async function attach(launch: Launch, options: WaitOptions): Promise<number | undefined> {
  const { paths, timeout, onEvent } = options;
  const running = await findAnswering(paths, launch.name);
  if (running === undefined) return undefined;
  const { status, socketPath } = running;
  const events = followEvents(socketPath, { signal: timeout });
  if (isStopping(status.state)) return afterStop(launch, events, options);
  // One that waits for what its plan needs has no configuration yet.
  if (status.hash !== unplannedHash && status.hash !== launch.hash) {
    throw new LlmctlError("other-configuration", `"${launch.name}" is already running with another configuration`, {
      exit: "busy",
      at: `pid ${status.pid ?? status.supervisorPid}, ${status.profile}`,
      fix: { run: ["restart", launch.name], after: "to take up the present one" },
    });
  }
  onEvent({ kind: "already-running", name: launch.name });
  return waitForReady(launch, events, options);
}

function isStopping(state: StateName): boolean {
  return state === "stopping" || state === "killing" || state === "stuck";
}

/**
 * A server that is being stopped is not the wanted one; when it is gone, another can be started. Or the stop is part of
 * a restart, and the server comes back.
 */
async function afterStop(
  launch: Launch,
  events: AsyncIterable<StatusEvent>,
  options: WaitOptions,
): Promise<number | undefined> {
  options.onEvent({ kind: "being-stopped", name: launch.name });
  try {
    return await waitForReady(launch, events, options);
  } catch (error) {
    if (error instanceof LlmctlError && error.code === "stopped-meanwhile") return undefined;
    throw error;
  }
}

/** Some 5 s: the winner of a race opens its socket some milliseconds after it has the lock. */
const mostTries = 100;
const tryEveryMs = 50;

/** As {@link attach}, to a supervisor that has the lock and may not have its socket yet. */
export async function attachSoon(launch: Launch, options: WaitOptions): Promise<number | undefined> {
  const { clock = systemClock } = options;
  for (let tries = 0; tries < mostTries; tries += 1) {
    const result = await attach(launch, options);
    if (result !== undefined) return result;
    await clock.sleep(tryEveryMs);
  }
  return undefined;
}
