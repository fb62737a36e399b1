import { spawn, type SpawnOptions } from "node:child_process";
import { randomInt } from "node:crypto";
import { type Clock, systemClock } from "../../base/clock.ts";
import { type QuietWatch, watchQuietly } from "../../base/files/watch-quietly.ts";
import { findListeningPort, hasLostPeer } from "../port/listening-sockets.ts";
import { removeStaleSocket } from "../port/socket-check.ts";
import {
  type BytesTaken,
  findDescendants,
  identifyProcess,
  isRunning,
  type ProcessIdentity,
  readBytesTaken,
  readCpuTicks,
} from "../state/process-identity.ts";
import { readOomKills } from "./oom-kills.ts";
import { readSinceBootMs } from "./suspend-meter.ts";

/** A process that was just spawned, as Node reports it: `spawn` or `error` first, then `exit`. */
export interface SpawnedChild extends NodeJS.EventEmitter {
  readonly pid?: number | undefined;
}

/** The processes of the machine, and what the system tells about each. */
export interface Processes {
  readonly spawn: (file: string, args: readonly string[], options: SpawnOptions) => SpawnedChild;
  /** @param pid Negative: a process group. @throws the system's error. */
  readonly signal: (pid: number, name: NodeJS.Signals) => void;
  readonly identify: (pid: number) => ProcessIdentity | undefined;
  readonly isRunning: (identity: ProcessIdentity) => boolean;
  readonly findDescendants: (pid: number) => readonly number[];
  readonly readCpuTicks: (pid: number) => number | undefined;
  readonly readBytesTaken: (pid: number) => BytesTaken | undefined;
  readonly readOomKills: () => number | undefined;
  readonly findListeningPort: (pid: number) => number | undefined;
  readonly hasLostPeer: (pid: number, ports: readonly number[], ownPort: number | undefined) => boolean;
}

/** Everything that the loop and its servers take from the machine. */
export interface System {
  readonly clock: Clock;
  /** See {@link readSinceBootMs}. */
  readonly sinceBootMs: () => number | undefined;
  /** Uniform in 0..1. */
  readonly random: () => number;
  readonly processes: Processes;
  readonly watchFile: (path: string, onChange: () => void) => QuietWatch;
  readonly removeStaleSocket: (path: string) => Promise<void>;
}

export const systemProcesses: Processes = {
  spawn,
  signal: (pid, name) => void process.kill(pid, name),
  identify: identifyProcess,
  isRunning,
  findDescendants,
  readCpuTicks,
  readBytesTaken,
  readOomKills,
  findListeningPort,
  hasLostPeer,
};

export const realSystem: System = {
  clock: systemClock,
  sinceBootMs: readSinceBootMs,
  random: () => randomInt(1 << 30) / (1 << 30),
  processes: systemProcesses,
  watchFile: watchQuietly,
  removeStaleSocket,
};
