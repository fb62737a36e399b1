import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readCpuTicks } from "../../supervisor/state/process-identity.ts";

/** What a process has used of the processors since it was started, in milliseconds. */
export interface ProcessorTime {
  readonly cpuMs: number;
  /** For how long its threads were ready to run and had no processor; null when the system does not tell. */
  readonly waitMs: number | null;
}

interface ThreadTime {
  readonly runNs: number;
  readonly waitNs: number;
}

/** Clock ticks of 1/100 s, proc(5). */
const msPerTick = 10;
const nsPerMs = 1e6;

/**
 * Reads the processor time of a process: to the nanosecond from `schedstat` of its threads, else to the clock tick.
 * A running thread's numbers are up to 10 ms old, those of a sleeping one are exact.
 * @see Linux Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat
 */
export class ProcessorMeter {
  readonly #folder: string;
  readonly #readTicks: () => number | undefined;
  /** By thread id. A thread that has ended keeps its last numbers, so sums never go back. */
  readonly #threads = new Map<string, ThreadTime>();
  /** Threads that have ended, and whose ids others have now. */
  readonly #replaced: ThreadTime[] = [];

  /** @param proc Where the proc file system is; a test passes a folder. */
  constructor(pid: number, proc = "/proc", readTicks: (pid: number) => number | undefined = readCpuTicks) {
    this.#folder = join(proc, String(pid), "task");
    this.#readTicks = () => readTicks(pid);
  }

  /** @returns null when the system does not tell. After the end of the process: what was read last. */
  read(): ProcessorTime | null {
    for (const id of listFolder(this.#folder)) {
      const time = parseSchedstat(readText(join(this.#folder, id, "schedstat")));
      if (time === undefined) continue;
      const before = this.#threads.get(id);
      if (before !== undefined && time.runNs < before.runNs) this.#replaced.push(before);
      this.#threads.set(id, time);
    }
    const threads = [...this.#threads.values(), ...this.#replaced];
    const runNs = threads.reduce((sum, thread) => sum + thread.runNs, 0);
    // A kernel without CONFIG_SCHED_INFO has zeros there.
    if (runNs > 0) {
      const waitNs = threads.reduce((sum, thread) => sum + thread.waitNs, 0);
      return { cpuMs: runNs / nsPerMs, waitMs: waitNs / nsPerMs };
    }
    const ticks = this.#readTicks();
    return ticks === undefined ? null : { cpuMs: ticks * msPerTick, waitMs: null };
  }

  /** Whether no thread runs or wants to; true when the system does not tell. */
  isIdle(): boolean {
    return listFolder(this.#folder).every((id) => !isBusy(readText(join(this.#folder, id, "stat"))));
  }
}

/** @returns undefined for text that is not of such a file. */
function parseSchedstat(text: string | undefined): ThreadTime | undefined {
  const [, run, wait] = /^(\d+) (\d+) \d+\s*$/.exec(text ?? "") ?? [];
  return run === undefined || wait === undefined ? undefined : { runNs: Number(run), waitNs: Number(wait) };
}

/** Runs, or waits for the disk. The second field of `stat` may hold any text, in parentheses. */
function isBusy(stat: string | undefined): boolean {
  return /^ [RD] /.test(stat?.slice(stat.lastIndexOf(")") + 1) ?? "");
}

/** @returns nothing when the process is gone, and when there is no such file system. */
function listFolder(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // the thread has ended, or the system does not tell
  }
}
