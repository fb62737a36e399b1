import type { ProcessIdentity } from "../../src/supervisor/state/process-identity.ts";
import type { FakeClock } from "./fake-clock.ts";

interface ForeignProcess {
  readonly identity: ProcessIdentity;
  /** Whether it runs as our user; true by default. */
  readonly isOwn?: boolean;
  /** Its command line. */
  readonly words?: readonly string[];
  /** The port that it listens on. */
  readonly port?: number;
  /** The lock file that it has locked; undefined in place of a path: the system does not tell. */
  readonly lockPath?: string | undefined;
  /** Time from SIGTERM to its end; without one it ignores SIGTERM. */
  readonly stopMs?: number;
  /** Time from SIGKILL to its end, as while a driver frees its memory; without one it never ends. */
  readonly killMs?: number;
}

/** A table of processes that are not our children, and that end some time after a signal. */
export class FakeForeignProcesses {
  readonly #clock: FakeClock;
  readonly #running = new Map<number, ForeignProcess>();
  /** Every signal sent, with its time since the first look at the clock. */
  readonly signals: string[] = [];
  readonly #startMs: number;

  constructor(clock: FakeClock) {
    this.#clock = clock;
    this.#startMs = clock.nowMs();
  }

  add(one: ForeignProcess): ProcessIdentity {
    this.#running.set(one.identity.pid, one);
    return one.identity;
  }

  end(pid: number): void {
    this.#running.delete(pid);
  }

  readonly isRunning = ({ pid, startTime }: ProcessIdentity): boolean =>
    this.#running.get(pid)?.identity.startTime === startTime;

  readonly isOwnProcess = (pid: number): boolean => this.#running.get(pid)?.isOwn ?? true;

  readonly hasArguments = (pid: number, args: readonly string[]): boolean =>
    JSON.stringify(this.#running.get(pid)?.words?.slice(-args.length)) === JSON.stringify(args);

  readonly holdsLock = (pid: number, path: string): boolean | undefined => {
    const one = this.#running.get(pid);
    return one !== undefined && "lockPath" in one && one.lockPath === undefined ? undefined : one?.lockPath === path;
  };

  readonly findLockHolder = (path: string): ProcessIdentity | undefined =>
    [...this.#running.values()].find(({ lockPath }) => lockPath === path)?.identity;

  readonly findListeningPort = (pid: number): number | undefined => this.#running.get(pid)?.port;

  readonly terminate = (pid: number): void => this.#signal("SIGTERM", pid, this.#running.get(pid)?.stopMs);

  readonly killGroup = (pid: number): void => this.#signal("SIGKILL to the group", pid, this.#running.get(pid)?.killMs);

  #signal(name: string, pid: number, endsAfterMs: number | undefined): void {
    this.signals.push(`${this.#clock.nowMs() - this.#startMs} ms: ${name} of ${pid}`);
    if (endsAfterMs !== undefined) this.#clock.setTimer(endsAfterMs, () => this.end(pid));
  }
}
