import type { StateName } from "../control/messages.ts";
import type { ExitCause, Health, Launch } from "./launch.ts";
import type { Event, Machine, Next, State, Transition } from "./machine-types.ts";
import { afterFailedPreflight, backOff } from "./restart-policy.ts";
import { hung, stalled } from "./supervision-causes.ts";
import { enter, fail, stay, stayIn } from "./transition.ts";

/** A signal that arrives before the previous one is handled is lost: the kernel keeps only one pending. */
const betweenSignalsMs = 250;
/** llama-server exits within 20 ms of its second SIGTERM; freeing its memory takes as long as after a SIGKILL. */
const hurryDeadlineMs = 2000;
/** Time for the kernel to end a killed process: a GPU driver needs seconds to free memory. */
const killDeadlineMs = 30_000;

export const initialMachine: Machine = {
  state: { name: "stopped" },
  epoch: 0,
  failuresMs: [],
  postponements: 0,
  isPatient: false,
};

/** True while a child process may exist. */
export function isLive(state: State): boolean {
  const live: readonly StateName[] = [
    "starting",
    "loading",
    "proving",
    "ready",
    "unhealthy",
    "stopping",
    "killing",
    "stuck",
  ];
  return live.includes(state.name);
}

/**
 * The whole policy of supervision: pure, total and deterministic. An event that means nothing in the present state, or
 * belongs to an earlier spawn, changes nothing.
 */
export function next(machine: Machine, event: Event, launch: Launch): Transition {
  if ("epoch" in event && event.epoch !== machine.epoch) return stay(machine);
  switch (event.type) {
    case "up":
      return machine.state.name === "stopped" || machine.state.name === "failed" ? startAnew(machine) : stay(machine);
    case "preflight-passed":
      return onPreflight(machine, () => begin(machine, "spawn"));
    case "orphan-found":
      return onPreflight(machine, () => begin(machine, "adopt"));
    case "preflight-failed":
      return onPreflight(machine, () => afterFailedPreflight(machine, event.cause, launch));
    case "spawned":
      return machine.state.name === "starting" ? enter(machine, { name: "loading" }) : stay(machine);
    case "health":
      return onHealth(machine, event.health, launch);
    case "proved":
      return machine.state.name === "proving" ? enter(machine, { name: "ready", failedChecks: 0 }) : stay(machine);
    case "not-proved":
      return onNotProved(machine, event.cause, launch);
    case "stalled":
      return machine.state.name === "starting" || machine.state.name === "loading"
        ? kill(machine, "back off", stalled(launch))
        : stay(machine);
    case "hung":
      return machine.state.name === "unhealthy" ? kill(machine, "back off", hung(launch)) : stay(machine);
    case "lost":
      return machine.state.name === "ready" || machine.state.name === "unhealthy"
        ? kill(machine, "back off", event.cause)
        : stay(machine);
    case "drained":
      return onDrained(machine);
    case "exited":
      return onExited(machine, event, launch);
    case "deadline":
      return onDeadline(machine);
    case "down":
      return onDown(machine, launch);
    case "restart":
      return onRestart(machine, launch);
    case "force":
      return onForce(machine);
  }
}

/** Acts on the result of a preflight, unless a restart has made it outdated. */
function onPreflight(machine: Machine, act: () => Transition): Transition {
  if (machine.state.name !== "preflight") return stay(machine);
  return machine.state.again === true ? startAnew(machine) : act();
}

function onHealth(machine: Machine, health: Health, launch: Launch): Transition {
  const { state } = machine;
  switch (state.name) {
    case "starting":
    case "loading":
      return health === "ready" ? ready(machine, launch) : stay(machine);
    case "ready":
      return health === "ready"
        ? enter(machine, { name: "ready", failedChecks: 0 })
        : onFailedCheck(machine, state.failedChecks + 1, launch);
    case "unhealthy":
      return health === "ready" ? enter(machine, { name: "ready", failedChecks: 0 }) : stay(machine);
    default:
      return stay(machine);
  }
}

function ready(machine: Machine, launch: Launch): Transition {
  return launch.proof.wanted
    ? enter(machine, { name: "proving" }, [{ do: "prove" }])
    : enter(machine, { name: "ready", failedChecks: 0 });
}

function onFailedCheck(machine: Machine, failedChecks: number, launch: Launch): Transition {
  return enter(
    machine,
    failedChecks >= launch.health.failures ? { name: "unhealthy" } : { name: "ready", failedChecks },
  );
}

/** A failed proof is a mistake in the profile, not a crash: the server is kept as it is, or stopped for good. */
function onNotProved(machine: Machine, cause: ExitCause, launch: Launch): Transition {
  if (machine.state.name !== "proving") return stay(machine);
  const refused = launch.proof.wanted && launch.proof.onFailure === "fail";
  return refused ? terminate(machine, "stop", launch, cause) : enter(machine, { name: "ready", failedChecks: 0 });
}

function onExited(machine: Machine, event: Extract<Event, { type: "exited" }>, launch: Launch): Transition {
  const { state } = machine;
  switch (state.name) {
    case "stopping":
    case "killing":
    case "stuck":
      return onGone(machine, state.next, state.cause, event, launch);
    case "starting":
    case "loading":
    case "proving":
    case "ready":
    case "unhealthy":
      return backOff(machine, event.cause, event, launch);
    default:
      return stay(machine);
  }
}

function onGone(
  machine: Machine,
  then: Next,
  cause: ExitCause | undefined,
  event: Extract<Event, { type: "exited" }>,
  launch: Launch,
): Transition {
  switch (then) {
    case "restart":
      return startAnew(machine);
    case "back off":
      return backOff(machine, cause ?? event.cause, event, launch);
    case "stop":
      return cause === undefined
        ? enter(machine, { name: "stopped" }, [{ do: "finish", exit: "done" }])
        : fail(machine, cause);
  }
}

function onDeadline(machine: Machine): Transition {
  const { state } = machine;
  switch (state.name) {
    case "backoff":
      return start(machine);
    case "stopping":
      return hurry(machine, state);
    case "killing":
      return enter(machine, { ...state, name: "stuck" });
    default:
      return stay(machine);
  }
}

function onDown(machine: Machine, launch: Launch): Transition {
  const { state } = machine;
  switch (state.name) {
    case "starting":
    case "loading":
    case "proving":
    case "ready":
    case "unhealthy":
      return terminate(machine, "stop", launch);
    case "stopping":
      return stayIn(machine, { name: "stopping", next: "stop", terminations: state.terminations });
    case "killing":
    case "stuck":
      return stayIn(machine, { name: state.name, next: "stop" });
    // Here "stopped" means not started yet: after its end a supervision takes no event.
    case "stopped":
    case "preflight":
    case "backoff":
      return enter(machine, { name: "stopped" }, [{ do: "finish", exit: "done" }]);
    case "failed":
      return stay(machine);
  }
}

function onRestart(machine: Machine, launch: Launch): Transition {
  const { state } = machine;
  switch (state.name) {
    case "starting":
    case "loading":
    case "proving":
    case "ready":
    case "unhealthy":
      return terminate(machine, "restart", launch);
    case "stopping":
      return stayIn(machine, { name: "stopping", next: "restart", terminations: state.terminations });
    case "killing":
    case "stuck":
      return stayIn(machine, { name: state.name, next: "restart" });
    case "stopped":
    case "backoff":
    case "failed":
      return startAnew(machine);
    case "preflight":
      // This preflight has already checked part of the old launch. The next one checks the new launch.
      return stayIn(machine, { name: "preflight", again: true });
  }
}

function onForce(machine: Machine): Transition {
  const { state } = machine;
  // A second deadline would outlive the first.
  if (state.name === "killing") return stayIn(machine, { name: "killing", next: "stop" });
  return isLive(state) ? kill(machine, "stop") : stay(machine);
}

function start(machine: Machine): Transition {
  return enter(machine, { name: "preflight" }, [{ do: "preflight" }]);
}

/** Up and restart, which a person asks for, reset the failure counts. */
function startAnew(machine: Machine): Transition {
  return start({ ...machine, failuresMs: [], postponements: 0 });
}

/** An adopted server goes through the same states as a spawned one: it is ready when it has answered. */
function begin(machine: Machine, how: "spawn" | "adopt"): Transition {
  const epoch = machine.epoch + 1;
  return enter({ ...machine, epoch }, { name: "starting" }, [{ do: how, epoch }]);
}

/** Only a ready server is drained: others have no requests to finish, or do not answer. */
function terminate(machine: Machine, then: Next, launch: Launch, cause?: ExitCause): Transition {
  const drains = machine.state.name === "ready";
  return enter(
    machine,
    { name: "stopping", next: then, ...(cause === undefined ? {} : { cause }), terminations: drains ? 0 : 1 },
    [{ do: drains ? "drain" : "terminate" }, { do: "deadline", ms: launch.stopTimeoutMs }],
  );
}

function onDrained(machine: Machine): Transition {
  const { state } = machine;
  // After a drain that took too long, SIGTERM has already been sent.
  if (state.name !== "stopping" || state.terminations > 0) return stay(machine);
  return { machine: { ...machine, state: { ...state, terminations: 1 } }, effects: [{ do: "terminate" }] };
}

/**
 * The next signal of a stop whose time is over. After the first SIGTERM llama-server waits for its clients to leave,
 * after the second it exits at once; SIGKILL needs no cooperation.
 */
function hurry(machine: Machine, state: Extract<State, { name: "stopping" }>): Transition {
  if (state.terminations === 2) return kill(machine, state.next, state.cause);
  const terminations = state.terminations + 1;
  return {
    machine: { ...machine, state: { ...state, terminations } },
    effects: [{ do: "terminate" }, { do: "deadline", ms: terminations === 1 ? betweenSignalsMs : hurryDeadlineMs }],
  };
}

function kill(machine: Machine, then: Next, cause?: ExitCause): Transition {
  return enter(machine, { name: "killing", next: then, ...(cause === undefined ? {} : { cause }) }, [
    { do: "kill" },
    { do: "deadline", ms: killDeadlineMs },
  ]);
}
