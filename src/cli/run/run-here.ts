import { exitCodes, type ExitName } from "../../base/exit-codes.ts";
import type { StatusEvent } from "../../control/messages.ts";
import type { HereStart } from "../../fleet/start/start-host.ts";
import { readFailure } from "../../fleet/start/wait-for-ready.ts";
import { protocolOf } from "../../llama/server/protocols.ts";
import { isService } from "../../services/notify.ts";
import { supervise, type Supervision } from "../../supervisor/supervise.ts";
import { EventScreen, showFailure } from "../screen/show-events.ts";
import { hasTerminal, leaveUnread, outliveOutput } from "./outlive-output.ts";
import { createSystemdReporter } from "./systemd-reporter.ts";

/**
 * A wrapper such as npm or timeout passes on the Ctrl-C that the terminal has already sent to all: one key, two
 * signals.
 */
const echoMs = 150;

/**
 * Supervises in this process until the server has stopped: Ctrl-C stops gracefully, a second one at once.
 * @returns the exit code.
 */
export async function runHere({ isPlanning, ...start }: HereStart): Promise<number> {
  const code = await superviseHere(start);
  // A plan that nobody needs any more may be reading 200 GB, or wait for a file system that does not answer.
  return isPlanning?.() === true ? process.exit(code) : code;
}

async function superviseHere({ launch, paths, plan }: HereStart): Promise<number> {
  outliveOutput();
  let last: StatusEvent | undefined;
  let wasReady = false;
  const reporter = createSystemdReporter(process.env);
  const screen = new EventScreen();
  const supervision = await supervise({
    launch,
    protocol: protocolOf(launch),
    paths,
    plan,
    isPatient: isService(process.env),
    onEvent: (event) => {
      last = event;
      wasReady ||= event.status.state === "ready";
      reporter.report(event);
      screen.show(event);
    },
  });
  reporter.watch(() => supervision.status());
  stopOnSignals(supervision);
  supervision.start();
  const exit: ExitName = await supervision.finished;
  reporter.close();
  leaveUnread();
  // The wanted server does not run. systemd would take an exit with code 0 before readiness for a failure, and start
  // the unit again.
  if (exit === "done" && !wasReady && supervision.wasAskedToStop()) return exitCodes.notRunning.code;
  if (exit === "done" || last === undefined) return exitCodes[exit].code;
  const failure = await readFailure(last);
  showFailure(failure);
  return failure.exitCode;
}

function stopOnSignals(supervision: Supervision): void {
  let firstSignalMs: number | undefined;
  const stop = (signal: NodeJS.Signals) => {
    if (signal === "SIGHUP" && !hasTerminal()) return undefined;
    // A terminal that closes may send SIGHUP more than once: from the shell, and from the kernel when the shell is
    // gone.
    const isEcho = signal === "SIGHUP" || (firstSignalMs !== undefined && performance.now() - firstSignalMs < echoMs);
    if (firstSignalMs !== undefined) return isEcho ? undefined : supervision.forceDown(`a second ${signal}`);
    firstSignalMs = performance.now();
    if (signal === "SIGINT") process.stderr.write("\nstopping; press Ctrl-C again to stop at once\n");
    supervision.down(signal);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
}
