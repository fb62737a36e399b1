import type { Paths } from "../../base/files/paths.ts";
import type { Launch } from "../../supervisor/launch.ts";
import type { SuperviseOptions } from "../../supervisor/supervise.ts";
import type { OnStartEvent } from "./start-event.ts";

/**
 * What belongs to the process that starts profiles: its output, its signals, its service manager. A command gives all
 * of it; a program that only wants servers gives `onEvent` alone.
 */
export interface StartHost {
  readonly onEvent: OnStartEvent;
  /** Runs what may fetch and read models for hours; the action ends when `signal` aborts, such as on Ctrl-C. */
  readonly whileModels?: (action: (signal: AbortSignal) => Promise<void>) => Promise<void>;
  /** Runs the wait for a supervisor that goes on when this process ends. */
  readonly whileDetached?: (name: string, action: () => Promise<number>) => Promise<number>;
  /** Keeps the service manager from giving up a long start, and shows it why it takes long, until it is closed. */
  readonly holdStart?: (why: string) => { close(): void };
  /** Makes this process the supervisor of the last profile; undefined: every supervisor is a process of its own. */
  readonly runHere?: RunHere;
}

/** A server that this process is to supervise. */
export interface HereStart {
  readonly launch: Launch;
  readonly paths: Paths;
  /** Of a service that could not be planned yet. */
  readonly plan?: SuperviseOptions["plan"];
  /** Whether a plan is being made now. */
  readonly isPlanning?: () => boolean;
}

/** Supervises until the server has stopped. @returns the exit code. @throws LlmctlError as `supervise`. */
export type RunHere = (start: HereStart) => Promise<number>;
