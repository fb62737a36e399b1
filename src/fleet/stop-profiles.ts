import { setTimeout as sleep } from "node:timers/promises";
import { exitCodeOf, LlmctlError } from "../base/errors.ts";
import type { Paths } from "../base/files/paths.ts";
import { requestStop } from "../control/client.ts";
import { expectProfileName } from "../base/text/profile-name.ts";
import { findAnswering } from "../supervisor/state/find-supervisor.ts";
import { listRunningDependencies } from "../supervisor/state/profile-states.ts";
import { notRunningHere } from "./not-running.ts";
import { findDependents, stopOrder } from "./stop-order.ts";

/** A supervisor that has sent its last event exits within milliseconds; on a loaded machine that may be a second. */
const lookEveryMs = 50;
const mostLooks = 100;

/** What a stop reports while it goes on. */
export type StopEvent =
  /** `--all`, and nothing runs. */
  | { readonly kind: "nothing-running" }
  | { readonly kind: "stopped"; readonly name: string; readonly found: StoppedKind }
  /** One of several could not be stopped; the others are stopped all the same. */
  | { readonly kind: "error"; readonly error: unknown };

/** What ran of a profile that was stopped. */
type StoppedKind =
  | { readonly kind: "supervisor" }
  /** The server alone; its supervisor was gone. */
  | { readonly kind: "server"; readonly pid: number }
  /** No process: systemd would have started the unit again. */
  | { readonly kind: "unit"; readonly unit: string; readonly state: string };

interface StopOptions {
  readonly paths: Paths;
  /** All that run, in place of names. */
  readonly all: boolean;
  /** Without waiting for running requests. */
  readonly now: boolean;
  readonly onEvent: (event: StopEvent) => void;
}

/**
 * Stops profiles, each after those that depend on it; returns when their servers are gone.
 * @throws LlmctlError `needed` when another running profile depends on one of them; of a single profile `not-running`,
 *   `orphan-stuck`, and `overruled` by somebody else's restart.
 * @returns the exit code; of several profiles, the first that is not 0.
 */
export async function stopProfiles(names: readonly string[], options: StopOptions): Promise<number> {
  for (const name of names) expectProfileName(name);
  const { paths, all, onEvent } = options;
  const dependencies = await listRunningDependencies(paths);
  const wanted = all ? [...new Set([...dependencies.keys(), ...(await listPausedUnits())])] : names;
  if (wanted.length === 0) onEvent({ kind: "nothing-running" });
  const dependents = findDependents(wanted, dependencies);
  if (dependents.length > 0) throw needed(wanted, dependents);
  const [only] = wanted;
  if (wanted.length === 1 && only !== undefined) {
    await stopProfile(only, options);
    return 0;
  }
  const codes: number[] = [];
  for (const group of stopOrder(wanted, dependencies)) {
    codes.push(...(await Promise.all(group.map((name) => stopOrReport(name, options)))));
  }
  return codes.find((code) => code !== 0) ?? 0;
}

/** One that cannot be stopped must not keep the others running. @returns the exit code. */
async function stopOrReport(name: string, options: StopOptions): Promise<number> {
  try {
    await stopProfile(name, options);
    return 0;
  } catch (error) {
    options.onEvent({ kind: "error", error });
    return exitCodeOf(error);
  }
}

async function stopProfile(name: string, { paths, now, onEvent }: StopOptions): Promise<void> {
  // Asked for its status first: a stop has no time limit of its own, and would wait for ever for a supervisor that does
  // not answer.
  const running = await findAnswering(paths, name);
  if (running !== undefined && (await requestStop(running.socketPath, now)) !== undefined) {
    await endUnit(name, running.status.supervisorPid);
    onEvent({ kind: "stopped", name, found: { kind: "supervisor" } });
    return;
  }
  // Loaded only where no supervisor has answered: the usual `down` need not wait for it.
  const { endOrphan, findOrphan } = await import("../supervisor/state/orphan.ts");
  const orphan = await findOrphan(paths, name);
  if (orphan === undefined) {
    onEvent({ kind: "stopped", name, found: await endPausedUnit(name, paths) });
    return;
  }
  await endOrphan(orphan, name, { now });
  await endUnit(name, 0);
  onEvent({ kind: "stopped", name, found: { kind: "server", pid: orphan.identity.pid } });
}

/**
 * Ends the unit whose supervisor has just been stopped, if it still runs: a unit that an older version wrote would
 * start the supervisor again. A user may not end a service of the machine; there the supervisor's exit code keeps it
 * from being started again.
 * @param endingPid The supervisor, which is about to exit with that code.
 * @throws LlmctlError `systemctl-failed`
 */
async function endUnit(name: string, endingPid: number): Promise<void> {
  const { findLiveUnit, stopUnit } = await import("../services/unit-files.ts");
  let live = await findLiveUnit(name);
  for (let tries = 0; live?.mainPid === endingPid && tries < mostLooks; tries += 1) {
    await sleep(lookEveryMs);
    live = await findLiveUnit(name);
  }
  if (live !== undefined && (live.scope === "user" || process.getuid?.() === 0)) await stopUnit(live);
}

/**
 * Between two starts of a unit nothing runs, but systemd will start it again.
 * @throws LlmctlError `not-running`, `systemctl-failed`
 */
async function endPausedUnit(name: string, paths: Paths): Promise<StoppedKind> {
  const { findLiveUnit, stopUnit } = await import("../services/unit-files.ts");
  const live = await findLiveUnit(name);
  if (live === undefined) throw await notRunningHere(name, paths);
  await stopUnit(live);
  return { kind: "unit", unit: live.unit, state: live.state };
}

/** Profiles that do not run, but whose units (the user's own) systemd will start again. */
async function listPausedUnits(): Promise<string[]> {
  const { findLiveUnit, listUnits } = await import("../services/unit-files.ts");
  const names = await listUnits("user");
  const live = await Promise.all(names.map(findLiveUnit));
  return names.filter((_, index) => live[index]?.scope === "user");
}

function needed(names: readonly string[], dependents: readonly string[]): LlmctlError {
  const quoted = (list: readonly string[]) => list.map((name) => `"${name}"`).join(", ");
  return new LlmctlError(
    "needed",
    `${quoted(dependents)} ${dependents.length === 1 ? "runs and depends" : "run and depend"} on ${quoted(names)}`,
    {
      exit: "busy",
      fix: { before: "stop all of them:", run: ["down", ...dependents, ...names] },
    },
  );
}
