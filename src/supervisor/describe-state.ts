import { exitCodes, type ExitName } from "../base/exit-codes.ts";
import { formatDuration } from "../base/text/units.ts";
import type { LoadProgress, Status, StatusEvent } from "../control/messages.ts";
import type { ProofTexts } from "./launch.ts";
import { initialMachine } from "./machine.ts";
import type { Machine, State } from "./machine-types.ts";

interface Circumstances {
  readonly status: Status;
  /** Time since the server was spawned; 0 when there is none. */
  readonly sinceSpawnMs: number;
  /** Who sent the last request (down, restart), in words. */
  readonly askedBy: string | undefined;
  readonly proofTexts: ProofTexts;
}

/** One line for people about a state that was just entered. */
export function describeState(state: State, { status, sinceSpawnMs, askedBy, proofTexts }: Circumstances): string {
  const asked = askedBy === undefined ? "" : `, asked for by ${askedBy}`;
  switch (state.name) {
    case "ready":
      return `ready on ${status.url} in ${formatDuration(sinceSpawnMs)} · ${proofTexts.describe(status.drafting)}`;
    case "proving":
      return `server is up on ${status.url} after ${formatDuration(status.loadMs ?? 0)}, ${proofTexts.asking}`;
    case "unhealthy":
      return "unhealthy: the server no longer answers; it is not killed while it shows signs of life";
    case "backoff":
      return (
        ((state.waitingFor ?? status.lastExit)?.message ?? "the server is gone") +
        `; next start in ${formatDuration(state.delayMs)}`
      );
    case "failed":
      return `failed: ${state.cause.message}`;
    case "stopping":
      return state.cause === undefined
        ? `stopping${state.next === "restart" ? " for a restart" : ""}${asked}`
        : `stopping: ${state.cause.message}`;
    case "killing":
      return state.cause === undefined ? `killing the server${asked}` : `killing the server: ${state.cause.message}`;
    case "stuck":
      return `stuck: pid ${status.pid} is still there after SIGKILL; nothing is started until it is gone`;
    case "stopped":
      return `stopped${asked}`;
    case "preflight":
    case "starting":
    case "loading":
      return state.name;
  }
}

/** Progress of a load: `41 %`. */
export function describeLoad({ doneBytes, totalBytes }: LoadProgress): string {
  return `${Math.floor((100 * doneBytes) / totalBytes)} %`;
}

/**
 * An event: a message for people, and the status after it.
 * @param elapsedMs Since the supervisor started.
 */
export function makeEvent(
  message: string,
  { machine, status, elapsedMs }: { readonly machine: Machine; readonly status: Status; readonly elapsedMs: number },
): StatusEvent {
  const exit = findEnd(machine);
  return {
    time: new Date().toISOString(),
    elapsedMs: Math.round(elapsedMs),
    message,
    cause: findCause(machine.state, status),
    status,
    ...(exit === undefined ? {} : { end: { exit, code: exitCodes[exit].code } }),
  };
}

/** The kind of the cause that led to a state. */
function findCause(state: State, { lastExit }: Pick<Status, "lastExit">): string | null {
  if (state.name === "backoff") return (state.waitingFor ?? lastExit)?.kind ?? null;
  return "cause" in state ? (state.cause?.kind ?? null) : null;
}

/** The exit of a supervision that has ended; undefined while it runs. */
function findEnd(machine: Machine): ExitName | undefined {
  const { state } = machine;
  if (state.name === "failed") return state.cause.exit;
  return state.name === "stopped" && state !== initialMachine.state ? "done" : undefined;
}
