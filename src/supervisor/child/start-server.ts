import type { Launch } from "../launch.ts";
import { stateUnwritable } from "../state/file-lock.ts";
import type { LockedServer } from "../state/lock-record.ts";
import { readOomKills } from "./oom-kills.ts";
import { formatRunMarker, type ServerLog } from "../log/server-log.ts";
import { spawnServer, type ServerProcess } from "./server-process.ts";
import type { StartedServer } from "./server-run.ts";
import { removeStaleSocket } from "../port/socket-check.ts";

/** Who the next server will be known to. */
export interface ServerRegistry {
  /** The descriptor of the server's lock, which the server inherits. @throws LlmctlError when another one has it. */
  readonly lockServer: () => Promise<number>;
  /** Notes which server it is that has inherited the lock. @throws the system's error. */
  readonly recordServer: (server: LockedServer) => void;
}

interface ServerStartOptions extends ServerRegistry {
  readonly launch: Launch;
  /** Of the supervisor's servers this one's number, from 1. */
  readonly epoch: number;
  readonly log: ServerLog;
  readonly warn: (text: string) => void;
}

/**
 * Starts a server that writes into the log and holds the lock. A full disk is no reason not to: what cannot be written
 * is a warning.
 * @throws as `lockServer` and {@link spawnServer}.
 */
export async function startServer(options: ServerStartOptions): Promise<StartedServer> {
  const { launch, log, lockServer } = options;
  markRun(options);
  if (launch.socketPath !== undefined) await removeStaleSocket(launch.socketPath);
  const startedMs = performance.now();
  const oomKills = readOomKills() ?? 0;
  const server = await spawnServer(launch, { log: log.fd, lock: await lockServer() });
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

/** Should the state file not be written, and this process be killed, the lock still tells who the server is. */
function recordServer({ identity }: ServerProcess, options: ServerStartOptions): void {
  try {
    const { hash, stopTimeoutMs } = options.launch;
    if (identity !== undefined) options.recordServer({ identity, hash, stopTimeoutMs });
  } catch (error) {
    options.warn(`cannot record the server in its lock: ${String(error)}`);
  }
}
