import { join } from "node:path";
import { LlmctlError } from "../../base/errors.ts";
import { findPaths } from "../../base/files/paths.ts";
import { closeLogEnd, followLog } from "../../supervisor/log/follow-log.ts";
import { printLogLine } from "../screen/print.ts";
import type { LogLine } from "../../supervisor/log/log-history.ts";
import { findWantedLog } from "./find-log.ts";
import { readTail } from "../../supervisor/log/last-log-lines.ts";

interface LogsOptions {
  readonly follow: boolean;
  /** Undefined: 100, or all of a previous run or since a time. */
  readonly lines: number | undefined;
  /** The run before the newest, in place of the end of the log. */
  readonly previous: boolean;
  /** Only what was written since then. */
  readonly since: Date | undefined;
}

/**
 * Prints the end of a server's log, or another part of it, and with `follow` the coming lines; needs no running
 * supervisor.
 * @throws LlmctlError `no-log`, `no-previous-run`.
 */
export async function logs(name: string, { follow, lines, previous, since }: LogsOptions): Promise<number> {
  const { findPlace } = await import("../../fleet/foreign-states.ts");
  const { paths } = await findPlace(findPaths(), name);
  const path = join(paths.state, name, "server.log");
  const end = await findWantedLog(paths, { name, path, kind: "log" }, follow);
  const { size } = end;
  const signal = interrupted();
  if (previous || since !== undefined) {
    const isWanted = await choose({ name, path, size }, { previous, since });
    await printChosen({ path, size, isWanted, most: lines }, signal);
  } else {
    for (const line of await readTail(path, lines ?? 100, size)) await printLogLine(line, signal);
  }
  if (!follow) await closeLogEnd(end);
  else for await (const line of followLog(path, end, signal)) await printLogLine(line, signal);
  return 0;
}

interface Log {
  readonly name: string;
  readonly path: string;
  readonly size: number;
}

/** The test for wanted lines. It reads the whole log first: a run is known by the run that follows it. */
async function choose(
  log: Log,
  { previous, since }: Pick<LogsOptions, "previous" | "since">,
): Promise<(line: LogLine) => boolean> {
  const runs = await findRuns(log);
  const newest = runs.length - 1;
  if (previous && newest < 1) {
    throw new LlmctlError("no-previous-run", `the log of "${log.name}" holds no run before the newest one`, {
      exit: "missingFile",
      at: log.path,
      fix: "log.keep and log.max_size of the profile decide how much is kept",
    });
  }
  const sinceMs = since?.getTime() ?? Number.NEGATIVE_INFINITY;
  // Some builds write no times into their lines: all that is known is that a run ended before the next one began.
  const mayReach = (run: number) => run === newest || (runs[run + 1]?.startMs ?? 0) >= sinceMs;
  const isSince = ({ run, atMs }: LogLine) => (runs[run]?.hasTimes === false ? mayReach(run) : atMs >= sinceMs);
  return (line) => (!previous || line.run === newest - 1) && isSince(line);
}

interface Run {
  readonly startMs: number;
  hasTimes: boolean;
}

/** The runs whose markers are in a log, oldest first. */
async function findRuns({ path, size }: Log): Promise<readonly Run[]> {
  const { readHistory } = await import("../../supervisor/log/log-history.ts");
  const runs: Run[] = [];
  for await (const lines of readHistory(path, size)) {
    for (const { run, atMs, hasTimes } of lines) {
      if (run < 0) continue;
      const known = (runs[run] ??= { startMs: atMs, hasTimes: false });
      known.hasTimes ||= hasTimes;
    }
  }
  return runs;
}

interface Choice extends Pick<Log, "path" | "size"> {
  readonly isWanted: (line: LogLine) => boolean;
  /** Only the last so many; undefined: all. */
  readonly most: number | undefined;
}

async function printChosen({ path, size, isWanted, most }: Choice, signal: AbortSignal): Promise<void> {
  const { readHistory } = await import("../../supervisor/log/log-history.ts");
  let last: string[] = [];
  for await (const lines of readHistory(path, size)) {
    const wanted = lines.filter(isWanted).map(({ text }) => text);
    if (signal.aborted) return;
    if (most === undefined) for (const line of wanted) await printLogLine(line, signal);
    else if (most > 0) last = [...last, ...wanted].slice(-most);
  }
  for (const line of last) await printLogLine(line, signal);
}

/** A signal that aborts on Ctrl-C, and when the reader of our output is gone. */
export function interrupted(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  process.once("SIGTERM", () => controller.abort());
  process.stdout.once("error", () => controller.abort());
  return controller.signal;
}
