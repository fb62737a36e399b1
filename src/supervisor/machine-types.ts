import type { ExitName } from "../base/exit-codes.ts";
import type { ExitCause, Health } from "./launch.ts";

/** What happens after the server is gone. */
export type Next = "stop" | "restart" | "back off";

/** The supervisor's state. An `epoch` numbers the spawn it belongs to; events of another epoch are dropped. */
export type State =
  | { readonly name: "stopped" }
  /** `again`: a restart was requested meanwhile, perhaps with another launch, so this preflight's result is dropped. */
  | { readonly name: "preflight"; readonly again?: true }
  | { readonly name: "starting" | "loading" | "proving" | "unhealthy" }
  | { readonly name: "ready"; readonly failedChecks: number }
  | { readonly name: "stopping"; readonly next: Next; readonly cause?: ExitCause; readonly terminations: number }
  | { readonly name: "killing" | "stuck"; readonly next: Next; readonly cause?: ExitCause }
  | { readonly name: "backoff"; readonly delayMs: number; readonly waitingFor?: ExitCause }
  | { readonly name: "failed"; readonly cause: ExitCause };

/** Everything that decides the next transition. Times are milliseconds of one monotonic clock. */
export interface Machine {
  readonly state: State;
  /** Number of the newest spawn; 0 before the first. */
  readonly epoch: number;
  /** When each recent unexpected exit happened. */
  readonly failuresMs: readonly number[];
  /**
   * Number of starts postponed since the server was last ready, because a dependency outside this machine or profile
   * (worker, address, mount) is not available yet.
   */
  readonly postponements: number;
  /** Whether to wait for causes that `mayCome`: nobody watches the start, or the server has been ready before. */
  readonly isPatient: boolean;
}

/** All events. `random` is uniform in 0..1. */
export type Event =
  | { readonly type: "up" | "down" | "restart" | "force" | "preflight-passed" | "orphan-found" }
  | { readonly type: "preflight-failed"; readonly cause: ExitCause }
  | { readonly type: "deadline" }
  | { readonly type: "spawned" | "proved" | "stalled" | "hung" | "drained"; readonly epoch: number }
  | { readonly type: "lost" | "not-proved"; readonly epoch: number; readonly cause: ExitCause }
  | { readonly type: "health"; readonly epoch: number; readonly health: Health }
  | {
      readonly type: "exited";
      readonly epoch: number;
      readonly cause: ExitCause;
      readonly nowMs: number;
      readonly random: number;
    };

/** What the loop must do, in order. A `deadline` belongs to the state that set it: leaving the state cancels it. */
export type Effect =
  | { readonly do: "preflight" | "drain" | "terminate" | "kill" | "prove" }
  | { readonly do: "spawn" | "adopt"; readonly epoch: number }
  | { readonly do: "deadline"; readonly ms: number }
  | { readonly do: "finish"; readonly exit: ExitName };

export interface Transition {
  readonly machine: Machine;
  readonly effects: readonly Effect[];
}
