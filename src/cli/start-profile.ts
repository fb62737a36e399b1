import { exitCodes, type ExitName } from "../base/exit-codes.ts";
import { LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/paths.ts";
import { fetchStatus, followEvents } from "../control/client.ts";
import type { StatusEvent } from "../control/messages.ts";
import { controlSocketPath } from "../control/socket-path.ts";
import { planLaunch } from "../llama/plan-launch.ts";
import { protocolOf } from "../llama/protocols.ts";
import type { Profile } from "../profiles/schema.ts";
import type { Launch } from "../supervisor/launch.ts";
import { supervise } from "../supervisor/supervise.ts";
import { startDetached } from "./detached.ts";
import { outliveOutput } from "./outlive-output.ts";
import { showPlanNotes } from "./plan.ts";
import { prepareModels } from "./prepare-models.ts";
import { EventScreen, showFailure, waitForReady } from "./show-events.ts";
import { createSystemdReporter } from "./systemd-reporter.ts";

export interface StartOptions {
  readonly paths: Paths;
  /** Leave it to a supervisor of its own once it is ready. */
  readonly detach: boolean;
  /** Fetch what is missing, before anything is started. */
  readonly fetch: boolean;
  /** Read, once, what another program has fetched. */
  readonly verify: boolean;
  /** Longest wait for ready, in milliseconds; the server goes on loading after it. */
  readonly timeoutMs: number | undefined;
}

/** Starts one profile, whatever it depends on, and waits until it is ready; safe to repeat. @returns the exit code. */
export async function startProfile(profile: Profile, { paths, detach, timeoutMs, ...options }: StartOptions): Promise<number> {
  // Here and not in the supervisor: whoever asked for the start sees the progress, and Ctrl-C ends it.
  if ((await fetchStatus(controlSocketPath(paths.runtime, profile.name))) === undefined)
    await prepareModels(profile, { paths, ...options });
  const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  const plan = await planLaunch(profile, { paths, env: process.env });
  const attached = await attach(plan.launch, paths, timeout);
  if (attached !== undefined) return attached;
  showPlanNotes(plan);
  try {
    return await (detach ? runDetached(plan.launch, paths, timeout) : runHere(plan.launch, paths));
  } catch (error) {
    // Another `up` of the same profile was a moment faster: its server is the one that was asked for.
    const lost = error instanceof LlmctlError && error.code === "already-running";
    const joined = lost ? await attachSoon(plan.launch, paths, timeout) : undefined;
    if (joined === undefined) throw error;
    return joined;
  }
}

async function runDetached(launch: Launch, paths: Paths, timeout: AbortSignal | undefined): Promise<number> {
  const onInterrupt = () => leaveLoading(launch.name);
  process.once("SIGINT", onInterrupt);
  try {
    return await waitForReady(launch.name, startDetached(launch, paths, timeout), timeout);
  } finally {
    process.removeListener("SIGINT", onInterrupt);
  }
}

function leaveLoading(name: string): never {
  process.stderr.write(`\n"${name}" goes on loading in the background; stop it: llmctl down ${name}\n`);
  process.exit(exitCodes.interrupted.code);
}

/** Waits for a supervisor that already runs. @returns undefined when there is none. @throws LlmctlError `other-configuration`. */
async function attach(launch: Launch, paths: Paths, timeout: AbortSignal | undefined): Promise<number | undefined> {
  const socketPath = controlSocketPath(paths.runtime, launch.name);
  const status = await fetchStatus(socketPath);
  if (status === undefined) return undefined;
  if (status.hash !== launch.hash) {
    throw new LlmctlError("other-configuration", `"${launch.name}" is already running with another configuration`, {
      exit: "busy",
      at: `pid ${status.pid ?? status.supervisorPid}, ${status.profile}`,
      fix: `run "llmctl restart ${launch.name}" to take up the present one`,
    });
  }
  process.stdout.write(`"${launch.name}" is already running\n`);
  return waitForReady(launch.name, followEvents(socketPath, timeout), timeout);
}

/** The winner of a race opens its socket some milliseconds after it has the lock. */
async function attachSoon(launch: Launch, paths: Paths, timeout: AbortSignal | undefined): Promise<number | undefined> {
  const { setTimeout: sleep } = await import("node:timers/promises");
  for (let tries = 0; tries < 100; tries += 1) {
    const result = await attach(launch, paths, timeout);
    if (result !== undefined) return result;
    await sleep(50);
  }
  return undefined;
}

/** A wrapper such as npm or timeout passes on the Ctrl-C that the terminal has already sent to all: one key, two signals. */
const echoMs = 150;

/** Supervises in this process until the server has stopped: Ctrl-C stops gracefully, a second one at once. */
async function runHere(launch: Launch, paths: Paths): Promise<number> {
  outliveOutput();
  let last: StatusEvent | undefined;
  const reporter = createSystemdReporter(process.env);
  const screen = new EventScreen();
  const supervision = await supervise({
    launch,
    protocol: protocolOf(launch),
    paths,
    onEvent: (event) => {
      last = event;
      reporter.report(event);
      screen.show(event);
    },
  });
  reporter.watch(() => supervision.status());
  let firstSignalMs: number | undefined;
  const stop = (signal: NodeJS.Signals) => {
    // A terminal that closes may send SIGHUP more than once: from the shell, and from the kernel when the shell is gone.
    const isEcho = signal === "SIGHUP" || (firstSignalMs !== undefined && performance.now() - firstSignalMs < echoMs);
    if (firstSignalMs !== undefined) return isEcho ? undefined : supervision.forceDown();
    firstSignalMs = performance.now();
    if (signal === "SIGINT") process.stderr.write("\nstopping; press Ctrl-C again to stop at once\n");
    supervision.down();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop);
  const exit: ExitName = await supervision.finished;
  reporter.close();
  return exit === "done" || last === undefined ? exitCodes[exit].code : showFailure(last);
}
