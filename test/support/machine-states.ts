import type { ExitCause } from "../../src/supervisor/launch.ts";
import type { Event, State } from "../../src/supervisor/machine-types.ts";
import { badFlag, crashed, notThere } from "./make-launch.ts";

/** The spawn that all events here belong to. */
export const epoch = 4;

// States with everything that they can carry.
export const stopped: State = { name: "stopped" };
export const preflight: State = { name: "preflight" };
export const preflightAgain: State = { name: "preflight", again: true };
export const starting: State = { name: "starting" };
export const loading: State = { name: "loading" };
export const proving: State = { name: "proving" };
export const ready: State = { name: "ready", failedChecks: 0 };
export const readyAfter2: State = { name: "ready", failedChecks: 2 };
export const unhealthy: State = { name: "unhealthy" };
export const backoff: State = { name: "backoff", delayMs: 5 };
export const waiting: State = { name: "backoff", delayMs: 5, waitingFor: notThere };
export const failed: State = { name: "failed", cause: badFlag };
/** What happens when a signalled server is gone, and why. */
export type Gone = Pick<Extract<State, { name: "killing" | "stuck" }>, "next" | "cause">;
export const stop: Gone = { next: "stop" };
export const stopFor: Gone = { next: "stop", cause: badFlag };
export const again: Gone = { next: "restart" };
export const backOff: Gone = { next: "back off", cause: crashed };
export const ends = [stop, stopFor, again, backOff];
export const stopping = (terminations: number, gone: Gone = stop): State => ({
  name: "stopping",
  ...gone,
  terminations,
});
export const killing = (gone: Gone = stop): State => ({ name: "killing", ...gone });
export const stuck = (gone: Gone = stop): State => ({ name: "stuck", ...gone });
/** Every state of a server that was signalled, in the order in which they come. */
export const ending = (gone: Gone): State[] => [...[0, 1, 2].map((n) => stopping(n, gone)), killing(gone), stuck(gone)];

export const notLive = [stopped, preflight, preflightAgain, backoff, waiting, failed];
export const running = [starting, loading, proving, ready, readyAfter2, unhealthy];
export const live = [...running, ...ends.flatMap(ending)];

// Events of the newest spawn.
export const up: Event = { type: "up" };
export const down: Event = { type: "down" };
export const restart: Event = { type: "restart" };
export const force: Event = { type: "force" };
export const deadline: Event = { type: "deadline" };
export const passed: Event = { type: "preflight-passed" };
export const orphan: Event = { type: "orphan-found" };
export const spawned: Event = { type: "spawned", epoch };
export const proved: Event = { type: "proved", epoch };
export const stalledNow: Event = { type: "stalled", epoch };
export const hungNow: Event = { type: "hung", epoch };
export const drained: Event = { type: "drained", epoch };
export const lost: Event = { type: "lost", epoch, cause: crashed };
export const notProved: Event = { type: "not-proved", epoch, cause: badFlag };
export const good: Event = { type: "health", epoch, health: "ready" };
export const bad = (["loading", "unreachable", "timeout", "error"] as const).map((health): Event => ({
  type: "health",
  epoch,
  health,
}));
export const refused = (cause: ExitCause): Event => ({ type: "preflight-failed", cause });
export const exited = (cause: ExitCause, nowMs = 3000, random = 0.5): Event => ({
  type: "exited",
  epoch,
  cause,
  nowMs,
  random,
});

const ofAllCauses = [crashed, badFlag, notThere].flatMap((cause) => [refused(cause), exited(cause)]);
const requests = [up, down, restart, force];
const results = [deadline, passed, orphan, spawned, proved, notProved, stalledNow, hungNow, drained, lost];
/** One event of each kind, with each cause and each health. */
export const events: readonly Event[] = [...requests, ...results, good, ...bad, ...ofAllCauses];
