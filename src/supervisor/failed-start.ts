import { join } from "node:path";
import { describeInLine } from "../base/fix.ts";
import { ensureOwnFolder } from "../base/files/own-folder.ts";
import { makeEvent } from "./describe-state.ts";
import { EventLog, eventLogPath } from "./log/event-log.ts";
import type { ExitCause } from "./launch.ts";
import { thisProcess } from "./state/lock-record.ts";
import { initialMachine } from "./machine.ts";
import { findOrphan } from "./state/orphan.ts";
import { takeSupervisorLock } from "./state/profile-locks.ts";
import { writeState } from "./state/state-file.ts";
import { StatusBoard, type ShownLaunch } from "./status-board.ts";

interface FailedStart {
  readonly name: string;
  readonly profilePath: string;
  readonly cause: ExitCause;
}

/**
 * Records a start that nobody watched and that failed before there was a supervisor: in the event log, and in the state
 * file unless a supervisor or a server owns it.
 * @param warn Called with what cannot be written.
 * @throws LlmctlError as `takeSupervisorLock`, and the system's error.
 */
export async function recordFailedStart(
  folders: { readonly runtime: string; readonly state: string },
  { name, profilePath, cause }: FailedStart,
  warn: (text: string) => void,
): Promise<void> {
  const folder = join(folders.state, name);
  for (const own of [folders.state, folder]) ensureOwnFolder(own);
  const board = new StatusBoard();
  const launch: ShownLaunch = { ...nothing, name, profilePath };
  const machine = { ...initialMachine, state: { name: "failed", cause } } as const;
  board.startRun(launch);
  board.enter(machine.state);
  const status = board.read(machine.state, launch, { pid: null, log: join(folder, "server.log") });
  const event = makeEvent(`not started: ${describeInLine(cause)}`, { machine, status, elapsedMs: performance.now() });
  new EventLog(eventLogPath(folders.state, name), warn).append(event);
  const lock = await takeSupervisorLock(folders, name);
  if (lock === undefined) return;
  try {
    // The state file is needed to find a server that has outlived its supervisor.
    if ((await findOrphan(folders, name)) !== undefined) return;
    await writeState(folders.state, { status, supervisor: thisProcess, server: null });
  } finally {
    lock.release();
  }
}

const nothing: Omit<ShownLaunch, "name" | "profilePath"> = {
  protocol: "llama-server",
  dependsOn: [],
  file: "",
  args: [],
  watchTraffic: false,
  proof: { wanted: false, reason: "nothing was started" },
  build: "",
  hash: "",
};
