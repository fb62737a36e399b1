import type { Launch } from "../launch.ts";
import { stateUnwritable } from "../state/file-lock.ts";
import type { LockedServer } from "../state/lock-record.ts";
import { formatRunMarker, type ServerLog } from "../log/server-log.ts";
import { spawnServer, type ServerProcess } from "./server-process.ts";
import type { StartedServer } from "./server-run.ts";
import type { System } from "./system.ts";

/** Makes the next server findable, should its supervisor die: by the server's lock and the record in it. */
export interface ServerRegistry {
  /** Takes the server's lock. @returns its descriptor, for the server to inherit. @throws LlmctlError `lock-held`. */
  readonly lockServer: () => Promise<number>;
  /** Writes into the lock file which server has inherited the lock. @throws the system's error. */
  readonly recordServer: (server: LockedServer) => void;
}

interface ServerStartOptions extends ServerRegistry {
  readonly launch: Launch;
  /** Number of this server among the supervisor's servers, from 1. */
  readonly epoch: number;
  readonly log: ServerLog;
  readonly system: System;
  readonly warn: (text: string) => void;
}

/**
 * Starts a server that writes into the log and holds the lock. A record or marker that cannot be written, as on a full
 * disk, is a warning.
 * @throws as `lockServer` and {@link spawnServer}.
 */
export async function startServer(options: ServerStartOptions): Promise<StartedServer> {
  const { launch, log, lockServer, system } = options;
  markRun(options);
  if (launch.socketPath !== undefined) await system.removeStaleSocket(launch.socketPath);
  const startedMs = system.clock.nowMs();
  const oomKills = system.processes.readOomKills() ?? 0;
  const lock = await lockServer();
  const server = await spawnServer(launch, { log: log.fd, lock }, system.processes);
  recordServer(server, options);
  return { server, oomKills, startedMs };
}

function markRun({ launch, epoch, log, warn }: ServerStartOptions): void {
  try {
    log.markRun(formatRunMarker(epoch, `${launch.file} ${launch.args.join(" ")}`));
  } catch (error) {
    warn(stateUnwritable(log.path, error).message);
  }
}

/** The record identifies the server even if this process is killed before it writes the state file. */
function recordServer({ identity }: ServerProcess, options: ServerStartOptions): void {
  try {
    const { hash, stopTimeoutMs } = options.launch;
    if (identity !== undefined) options.recordServer({ identity, hash, stopTimeoutMs });
  } catch (error) {
    options.warn(`cannot record the server in its lock: ${String(error)}`);
  }
}
