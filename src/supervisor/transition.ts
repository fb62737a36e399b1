import type { ExitCause } from "./launch.ts";
import type { Effect, Machine, State, Transition } from "./machine-types.ts";

// Constructors of transitions, for machine.ts and restart-policy.ts.

export function fail(machine: Machine, cause: ExitCause): Transition {
  return enter(machine, { name: "failed", cause }, [{ do: "finish", exit: cause.exit }]);
}

export function stay(machine: Machine): Transition {
  return { machine, effects: [] };
}

/** Changes the state's data only: the work under way and its deadline go on. */
export function stayIn(machine: Machine, state: State): Transition {
  return { machine: { ...machine, state }, effects: [] };
}

export function enter(machine: Machine, state: State, effects: readonly Effect[] = []): Transition {
  const served = state.name === "ready" ? { postponements: 0, isPatient: true } : {};
  return { machine: { ...machine, ...served, state }, effects };
}
