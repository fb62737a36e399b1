import type { ExitCause, Launch } from "./launch.ts";
import type { Machine, Transition } from "./machine-types.ts";
import { crashLoop } from "./supervision-causes.ts";
import { enter, fail } from "./transition.ts";

/** After an unexpected exit: retries with backoff, waits for a cause that `mayCome`, or gives up. */
export function backOff(
  machine: Machine,
  cause: ExitCause,
  { nowMs, random }: { nowMs: number; random: number },
  launch: Launch,
): Transition {
  const { restart } = launch;
  if (restart.policy !== "never" && isWaitedFor(machine, cause)) return postpone(machine, cause, launch);
  if (cause.permanent || restart.policy === "never") return fail(machine, cause);
  const failuresMs = [...machine.failuresMs.filter((atMs) => nowMs - atMs < restart.windowMs), nowMs];
  if (failuresMs.length >= restart.maxFailures) return fail({ ...machine, failuresMs }, crashLoop(failuresMs, cause));
  const delayMs = Math.min(restart.backoffMs * 2 ** (failuresMs.length - 1), restart.backoffMaxMs);
  // Jitter of 20 %, so that servers that died together do not load together.
  const jittered = Math.round(delayMs * (0.8 + 0.4 * random));
  return enter({ ...machine, failuresMs }, { name: "backoff", delayMs: jittered }, [{ do: "deadline", ms: jittered }]);
}

/** After a failed preflight: no failure of the server, so it is not counted. */
export function afterFailedPreflight(machine: Machine, cause: ExitCause, launch: Launch): Transition {
  const isFinal = cause.permanent && !isWaitedFor(machine, cause);
  return isFinal || launch.restart.policy === "never" ? fail(machine, cause) : postpone(machine, cause, launch);
}

/** A person who watches the start wants the error at once; a boot, or a server that was ready before, can wait. */
function isWaitedFor({ isPatient }: Machine, { mayCome }: ExitCause): boolean {
  return isPatient && mayCome === true;
}

/** Waits longer each time, without end and without counting a failure of the server. */
function postpone(machine: Machine, cause: ExitCause, { restart }: Launch): Transition {
  const delayMs = Math.min(restart.backoffMs * 2 ** machine.postponements, restart.backoffMaxMs);
  return enter(
    { ...machine, postponements: machine.postponements + 1 },
    { name: "backoff", delayMs, waitingFor: cause },
    [{ do: "deadline", ms: delayMs }],
  );
}
