import type { SpawnOptions } from "node:child_process";
import { EventEmitter } from "node:events";
import type { ProcessExit } from "../../src/supervisor/child/server-process.ts";
import type { Processes, SpawnedChild } from "../../src/supervisor/child/system.ts";
import type { BytesTaken, ProcessIdentity } from "../../src/supervisor/state/process-identity.ts";
import type { FakeClock } from "./fake-clock.ts";

/** How a process behaves; by default it exits with code 0 at the first SIGTERM and dies of SIGKILL at once. */
export interface Behaviour {
  /** From SIGTERM to its exit, one time for each SIGTERM; Infinity ignores it. */
  readonly termMs?: readonly number[];
  /** From SIGKILL to its end: a driver may hold a process for a while. */
  readonly killMs?: number;
  /** Ends by itself. */
  readonly ends?: ProcessExit & { readonly afterMs: number };
  /** Its children: in its own process group, or in a session of their own. */
  readonly children?: readonly ("group" | "session")[];
  /** The system refuses to spawn it. */
  readonly refused?: string;
}

export interface FakeProcess {
  readonly pid: number;
  parent: number;
  readonly group: number;
  readonly behaviour: Behaviour;
  readonly events: EventEmitter;
  isStopped: boolean;
  terms: number;
  cpuTicks: number;
  taken: BytesTaken;
  port: number | undefined;
  lostPeers: readonly number[];
}

/** A process table whose processes live by a fake clock. Tells what is done to them. */
export class FakeProcesses implements Processes {
  /** Behaviours of the next spawns, in order; the last one is kept. */
  behaviours: Behaviour[] = [{}];
  /** How often the kernel has killed a process for lack of memory. */
  oomKills: number | undefined = 0;
  /** The code of an error that every question about a process fails with. */
  unknowable: string | undefined;
  /** Time between fork and exec. */
  spawnMs = 1;
  readonly spawned: { readonly command: readonly string[]; readonly options: SpawnOptions }[] = [];
  readonly #clock: FakeClock;
  readonly #tell: (text: string) => void;
  readonly #table = new Map<number, FakeProcess>();
  #lastPid = 100;

  constructor(clock: FakeClock, tell: (text: string) => void = () => undefined) {
    this.#clock = clock;
    this.#tell = tell;
  }

  get pids(): readonly number[] {
    return [...this.#table.keys()];
  }

  find(pid: number): FakeProcess {
    const found = this.#table.get(pid);
    if (found === undefined) throw new Error(`there is no process ${pid}`);
    return found;
  }

  readonly spawn = (file: string, args: readonly string[], options: SpawnOptions): SpawnedChild => {
    this.spawned.push({ command: [file, ...args], options });
    const behaviour = (this.behaviours.length > 1 ? this.behaviours.shift() : this.behaviours[0]) ?? {};
    const events = new EventEmitter();
    if (behaviour.refused !== undefined) {
      const error = systemError(behaviour.refused, "spawn");
      this.#clock.setTimer(this.spawnMs, () => events.emit("error", error));
      return events;
    }
    const { pid } = this.start(behaviour, events);
    this.#tell(`spawn ${pid}`);
    this.#clock.setTimer(this.spawnMs, () => events.emit("spawn"));
    return Object.assign(events, { pid });
  };

  /** A process that nobody spawned, such as the server of a supervisor that has died. */
  start(behaviour: Behaviour = {}, events = new EventEmitter()): FakeProcess {
    const pid = this.#add({ behaviour, events, parent: 1 });
    for (const where of behaviour.children ?? [])
      this.#add({ behaviour: {}, events: new EventEmitter(), parent: pid, group: where === "group" ? pid : undefined });
    const { ends } = behaviour;
    if (ends !== undefined) this.#clock.setTimer(ends.afterMs, () => this.end(pid, ends));
    return this.find(pid);
  }

  #add({
    group,
    ...rest
  }: Pick<FakeProcess, "behaviour" | "events" | "parent"> & { group?: number | undefined }): number {
    const pid = (this.#lastPid += 1);
    this.#table.set(pid, {
      ...rest,
      pid,
      group: group ?? pid,
      isStopped: false,
      terms: 0,
      cpuTicks: 0,
      taken: { read: 0, fetched: 0, mapped: 0 },
      port: undefined,
      lostPeers: [],
    });
    return pid;
  }

  end(pid: number, { code, signal }: ProcessExit): void {
    const gone = this.#table.get(pid);
    if (gone === undefined || !this.#table.delete(pid)) return;
    // Without its parent a process belongs to init.
    for (const child of this.#table.values()) if (child.parent === pid) child.parent = 1;
    gone.events.emit("exit", code, signal);
  }

  readonly signal = (target: number, name: NodeJS.Signals): void => {
    this.#tell(`${name} ${target}`);
    const reached = [...this.#table.values()].filter(({ pid, group }) => pid === target || group === -target);
    if (reached.length === 0) throw systemError("ESRCH", "kill");
    for (const one of reached) this.#deliver(one, name);
  };

  #deliver(one: FakeProcess, name: NodeJS.Signals): void {
    const { pid, behaviour } = one;
    if (name === "SIGCONT") one.isStopped = false;
    if (name === "SIGKILL") this.#endAfter(behaviour.killMs ?? 0, pid, { code: null, signal: "SIGKILL" });
    if (name !== "SIGTERM") return;
    const ms = (behaviour.termMs ?? [])[one.terms] ?? (behaviour.termMs === undefined ? 0 : Infinity);
    one.terms += 1;
    // A stopped process handles a signal when it is continued, which comes with this SIGTERM or never.
    this.#clock.setTimer(0, () => !one.isStopped && this.#endAfter(ms, pid, { code: 0, signal: null }));
  }

  #endAfter(ms: number, pid: number, exit: ProcessExit): void {
    if (Number.isFinite(ms)) this.#clock.setTimer(ms, () => this.end(pid, exit));
  }

  readonly identify = (pid: number): ProcessIdentity | undefined => {
    if (this.unknowable !== undefined) throw systemError(this.unknowable, "open");
    return this.#table.has(pid) ? { pid, startTime: String(pid), bootId: "boot" } : undefined;
  };

  readonly isRunning = (identity: ProcessIdentity): boolean =>
    this.identify(identity.pid)?.startTime === identity.startTime;

  readonly findDescendants = (pid: number): readonly number[] =>
    [...this.#table.values()].filter(({ parent }) => parent === pid).map((child) => child.pid);

  readonly readCpuTicks = (pid: number): number | undefined => this.#table.get(pid)?.cpuTicks;
  readonly readBytesTaken = (pid: number): BytesTaken | undefined => this.#table.get(pid)?.taken;
  readonly readOomKills = (): number | undefined => this.oomKills;
  readonly findListeningPort = (pid: number): number | undefined => this.#table.get(pid)?.port;
  readonly hasLostPeer = (pid: number, ports: readonly number[], ownPort: number | undefined): boolean =>
    this.#table.get(pid)?.lostPeers.some((port) => ports.includes(port) && port !== ownPort) ?? false;
}

export function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${syscall} ${code}`), { code, syscall });
}
