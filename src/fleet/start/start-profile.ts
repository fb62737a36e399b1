import { setTimeout as sleep } from "node:timers/promises";
import { exitCodes, type ExitName } from "../../base/exit-codes.ts";
import { LlmctlError } from "../../base/errors.ts";
import type { Paths } from "../../base/files/paths.ts";
import { followEvents } from "../../control/client.ts";
import type { StateName, StatusEvent } from "../../control/messages.ts";
import { planLaunch, type LaunchPlan } from "../../llama/plan/plan-launch.ts";
import { protocolOf } from "../../llama/server/protocols.ts";
import type { Profile } from "../../profiles/schema/schema.ts";
import { findAnswering } from "../../supervisor/state/find-supervisor.ts";
import type { Launch } from "../../supervisor/launch.ts";
import { supervise, type SuperviseOptions } from "../../supervisor/supervise.ts";
import { isService } from "../../services/notify.ts";
import { startDetached } from "./start-detached.ts";
import { leaveUnread, outliveOutput } from "../../cli/run/outlive-output.ts";
import { showPlanNotes } from "../../cli/look/plan.ts";
import { makePlan, planPatiently, planService, unplannedHash, type PlanStartOptions } from "./plan-start.ts";
import { EventScreen, showFailure, waitForReady } from "../../cli/screen/show-events.ts";
import { runsElsewhere } from "./runs-elsewhere.ts";
import { createSystemdReporter } from "../../cli/run/systemd-reporter.ts";

export interface StartOptions extends PlanStartOptions {
  /** Leave it to a supervisor of its own once it is ready. */
  readonly detach: boolean;
  /** Longest wait for ready, in milliseconds; the server goes on loading after it. */
  readonly timeoutMs: number | undefined;
}

/** Starts one profile, whatever it depends on, and waits until it is ready; safe to repeat. @returns the exit code. */
export async function startProfile(profile: Profile, { detach, timeoutMs, ...options }: StartOptions): Promise<number> {
  const { paths } = options;
  if (!hasTerminal()) process.on("SIGHUP", () => undefined); // of a terminal that started this with nohup, and closes
  if (isService(process.env) && !detach) return serve(profile, options);
  const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  const plan = await planWatched(profile, options);
  const attached = await attach(plan.launch, paths, timeout);
  if (attached !== undefined) return attached;
  showPlanNotes(plan);
  for (let starts = 1; ; starts += 1) {
    try {
      return await (detach ? runDetached(plan.launch, paths, timeout) : runHere(plan.launch, paths));
    } catch (error) {
      // Another `up` of the same profile was a moment faster: its server is the one that was asked for.
      const lost = error instanceof LlmctlError && error.code === "already-running";
      const joined = lost ? await attachSoon(plan.launch, paths, timeout) : undefined;
      if (joined !== undefined) return joined;
      // One that was faster and has failed, as on a full disk, leaves its cause to be told by the next try.
      if (!lost || starts === mostStarts) throw error;
    }
  }
}

/** Lost races to supervisors that then failed are rare enough. */
const mostStarts = 3;

async function planWatched(profile: Profile, options: PlanStartOptions): Promise<LaunchPlan> {
  const { paths } = options;
  if ((await findAnswering(paths, profile.name)) !== undefined) return planLaunch(profile, { paths, env: process.env });
  // What a unit depends on, and has no unit of its own, is as patient as the unit.
  if (isService(process.env)) return planPatiently(profile, options);
  // Here and not in the supervisor: whoever asked for the start sees the progress, and Ctrl-C ends it.
  return makePlan(profile, options);
}

/**
 * Starts a profile for systemd, which wants this process to be the supervisor: nobody watches, so what may come is
 * waited for.
 * @throws LlmctlError `already-running` when a supervisor runs that is not this unit's.
 */
async function serve(profile: Profile, options: PlanStartOptions): Promise<number> {
  const { paths } = options;
  const elsewhere = await runsElsewhere(profile.name, paths);
  if (elsewhere !== undefined) throw elsewhere;
  const start = await planService(profile, options);
  try {
    const code = await runHere(start.launch, paths, start.plan);
    // A plan that nobody needs any more may be reading 200 GB, or wait for a file system that does not answer.
    return start.isPlanning() ? process.exit(code) : code;
  } catch (error) {
    const lost = error instanceof LlmctlError && error.code === "already-running";
    throw (lost ? await runsElsewhere(profile.name, paths) : undefined) ?? error;
  }
}

async function runDetached(launch: Launch, paths: Paths, timeout: AbortSignal | undefined): Promise<number> {
  const onInterrupt = () => leaveLoading(launch.name);
  process.once("SIGINT", onInterrupt);
  try {
    return await waitForReady(launch, startDetached(launch, paths, timeout), timeout);
  } finally {
    process.removeListener("SIGINT", onInterrupt);
  }
}

function leaveLoading(name: string): never {
  process.stderr.write(`\n"${name}" goes on loading in the background; stop it: llmctl down ${name}\n`);
  process.exit(exitCodes.interrupted.code);
}

/**
 * Waits for a supervisor that already runs.
 * @returns undefined when there is none, or when it was stopping, and has stopped.
 * @throws LlmctlError `other-configuration`.
 */
async function attach(launch: Launch, paths: Paths, timeout: AbortSignal | undefined): Promise<number | undefined> {
  const running = await findAnswering(paths, launch.name);
  if (running === undefined) return undefined;
  const { status, socketPath } = running;
  const events = followEvents(socketPath, { signal: timeout });
  if (isStopping(status.state)) return afterStop(launch, events, timeout);
  // One that waits for what its plan needs has no configuration yet.
  if (status.hash !== unplannedHash && status.hash !== launch.hash) {
    throw new LlmctlError("other-configuration", `"${launch.name}" is already running with another configuration`, {
      exit: "busy",
      at: `pid ${status.pid ?? status.supervisorPid}, ${status.profile}`,
      fix: { run: ["restart", launch.name], after: "to take up the present one" },
    });
  }
  process.stdout.write(`"${launch.name}" is already running\n`);
  return waitForReady(launch, events, timeout);
}

function isStopping(state: StateName): boolean {
  return state === "stopping" || state === "killing" || state === "stuck";
}

/**
 * A server that is being stopped is not the one that is asked for: when it is gone, another can be started. It may also
 * just be restarted.
 */
async function afterStop(
  launch: Launch,
  events: AsyncIterable<StatusEvent>,
  timeout: AbortSignal | undefined,
): Promise<number | undefined> {
  process.stdout.write(`"${launch.name}" is being stopped; waiting for its end\n`);
  try {
    return await waitForReady(launch, events, timeout);
  } catch (error) {
    if (error instanceof LlmctlError && error.code === "stopped-meanwhile") return undefined;
    throw error;
  }
}

/** The winner of a race opens its socket some milliseconds after it has the lock. */
async function attachSoon(launch: Launch, paths: Paths, timeout: AbortSignal | undefined): Promise<number | undefined> {
  for (let tries = 0; tries < 100; tries += 1) {
    const result = await attach(launch, paths, timeout);
    if (result !== undefined) return result;
    await sleep(50);
  }
  return undefined;
}

/** Whether a terminal that closes is one that this command was given, and not only the one it was started from. */
function hasTerminal(): boolean {
  return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
}

/**
 * A wrapper such as npm or timeout passes on the Ctrl-C that the terminal has already sent to all: one key, two
 * signals.
 */
const echoMs = 150;

/** Supervises in this process until the server has stopped: Ctrl-C stops gracefully, a second one at once. */
async function runHere(launch: Launch, paths: Paths, plan?: SuperviseOptions["plan"]): Promise<number> {
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
  supervision.start();
  const exit: ExitName = await supervision.finished;
  reporter.close();
  leaveUnread();
  // Nothing runs that was asked for. systemd would take an end in good order, before the server was ever ready, for a
  // failure, and start the unit again.
  if (exit === "done" && !wasReady && supervision.wasAskedToStop()) return exitCodes.notRunning.code;
  return exit === "done" || last === undefined ? exitCodes[exit].code : showFailure(last);
}
